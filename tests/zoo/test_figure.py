"""Scale bars and files of figures."""

import io

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from cfzoo.zoo.figure import choose_bar, draw_scale_bar, png_bytes, svg_bytes


@pytest.mark.parametrize(
    ("width", "bar"), [(0.5, 1), (3, 1), (14.9, 2), (48, 10), (57, 10), (60, 20), (151, 50)]
)
def test_bars_are_round_and_at_most_a_third(width, bar):
    assert choose_bar(width) == bar


def draw(um_per_pixel=3.0):
    figure = Figure((2, 2), dpi=300)
    axis = figure.add_axes((0, 0, 1, 1))
    axis.imshow(np.zeros((16, 16)), cmap="gray", interpolation="none")
    draw_scale_bar(axis, um_per_pixel)
    return figure, axis


def test_the_bar_has_its_length_in_the_lower_left_corner():
    figure, axis = draw()
    assert axis.get_xlim() == (-0.5, 15.5) and axis.get_ylim() == (15.5, -0.5)  # as imshow left it
    picture = np.asarray(Image.open(io.BytesIO(png_bytes(figure))).convert("L"))
    assert picture.shape == (600, 600)  # 16 voxels of 3 um
    row = picture[round(0.9375 * 600)]  # the middle of the bar
    [columns] = np.nonzero(row > 250)
    first = columns[columns < 0.3 * 600]
    assert first[0] == pytest.approx(0.05 * 600, abs=3)
    assert len(first) * 48 / 600 == pytest.approx(10, abs=0.3)
    assert axis.texts[0].get_text() == "10 um"
    assert not (picture[:300] > 50).any() and not (picture[:, 400:] > 50).any()


def test_svg_keeps_text_and_is_the_same_each_time():
    first, second = (svg_bytes(draw()[0]) for _ in range(2))
    assert first == second and b">10 um</text>" in first
    assert b"pixelated" in first  # voxels stay squares, whatever the magnification
