"""Pictures of candidates: frames, voxels, faces of the volume, codes."""

import numpy as np
import pytest

from cfzoo.runtime.errors import InputError
from cfzoo.runtime.labelling.planes import FIELD, MOST_PIXELS, Frame, cut_planes
from cfzoo.runtime.volume import open_volume

SHAPE = (30, 60, 70)
ALL = 2**28


@pytest.fixture(scope="module")
def voxels():
    return np.random.default_rng(0).integers(100, 4000, SHAPE).astype(np.uint16)


def cut(voxels, zyx, frame):
    """Planes of one channel: codes as three planes, black and white of each candidate."""
    planes = cut_planes([open_volume(voxels)], np.array(zyx, float), frame, ALL)
    z, y, x = frame.pixels
    parts = np.split(planes.codes[:, 0], [y * x, y * x + z * x], axis=1)
    shapes = [(y, x), (z, x), (y, z)]
    return [p.reshape(-1, *s) for p, s in zip(parts, shapes, strict=True)], planes


def decode(codes, planes, row=0):
    black, white = float(planes.black[row, 0]), float(planes.white[row, 0])
    return black + ((codes.astype(float) - 1) / 254) ** 2 * (white - black)


@pytest.mark.parametrize(
    "size", [(6, 1.62, 1.62), (5, 2, 2), (1, 0.3, 0.3), (25, 25, 25), (4, 0.65, 0.7)]
)
def test_a_frame_spans_the_field_with_bounded_pixels(size):
    frame = Frame.of(size)
    assert all(n % 2 == 1 and n <= MOST_PIXELS for n in frame.pixels)
    for n, pixel, bins, voxel in zip(frame.pixels, frame.pixel_size, frame.bins, size, strict=True):
        assert pixel == pytest.approx(bins * voxel)
        assert FIELD - pixel <= n * pixel <= FIELD + pixel


@pytest.mark.parametrize("field", [19, 401, float("nan")])
def test_a_field_beyond_all_use_is_refused(field):
    with pytest.raises(InputError, match="expected 20 to 400"):
        Frame.of((5, 2, 2), field)


def test_planes_are_those_through_the_candidate(voxels):
    frame = Frame.of((5, 2, 2), 40)
    (z, y, x) = (14, 31, 33)
    (yx, zx, yz), planes = cut(voxels, [(z, y, x)], frame)
    (dz, dy, dx) = (n // 2 for n in frame.pixels)
    box = (slice(z - dz, z + dz + 1), slice(y - dy, y + dy + 1), slice(x - dx, x + dx + 1))
    black, white = planes.black[0, 0], planes.white[0, 0]
    for codes, seen in (
        (yx[0], voxels[z, box[1], box[2]]),
        (zx[0], voxels[box[0], y, box[2]]),
        (yz[0], voxels[box[0], box[1], x].T),
    ):
        error = np.abs(decode(codes, planes) - np.clip(seen, black, white))
        assert error.max() <= (white - black) / 100


def test_a_pixel_of_several_voxels_is_their_mean(voxels):
    frame = Frame.of((0.4, 0.2, 0.2), 20)  # 51 x 101 x 101 voxels
    assert frame.bins == (1, 2, 2)
    (yx, _, _), planes = cut(voxels, [(15, 30, 35)], frame)
    y, x = (n // 2 for n in frame.pixels[1:])
    # Two voxels have no middle one: the candidate is the second.
    step = float(planes.white[0, 0] - planes.black[0, 0]) / 100
    assert decode(yx[0, y, x], planes) == pytest.approx(voxels[15, 29:31, 34:36].mean(), abs=step)


def test_pixels_outside_the_volume_have_no_code(voxels):
    frame = Frame.of((5, 2, 2), 40)
    dz, dy, dx = (n // 2 for n in frame.pixels)
    (yx, zx, yz), _ = cut(voxels, [(0, 0, 0), (29, 59, 69), (-9, 30, 30)], frame)
    assert (yx[0, :dy] == 0).all() and (yx[0, :, :dx] == 0).all() and (yx[0, dy:, dx:] > 0).all()
    assert (zx[0, :dz] == 0).all() and (zx[0, dz:, dx:] > 0).all()
    assert (yz[0, :, :dz] == 0).all() and (yz[0, dy:, dz:] > 0).all()
    assert (yx[1, : dy + 1, : dx + 1] > 0).all() and (yx[1, dy + 1 :] == 0).all()
    assert all((plane[2] == 0).all() for plane in (yx, zx, yz))


def test_voxels_that_are_no_numbers_have_no_code(voxels):
    broken = voxels.astype(np.float32)
    broken[15, 30, 36:38] = np.nan, np.inf
    frame = Frame.of((5, 2, 2), 40)
    (yx, _, _), planes = cut(broken, [(15, 30, 35)], frame)
    y, x = frame.pixels[1] // 2, frame.pixels[2] // 2
    assert yx[0, y, x + 1 : x + 3].tolist() == [0, 0]
    assert np.isfinite(planes.black).all() and np.isfinite(planes.white).all()
    (yx, _, _), _ = cut(np.full(SHAPE, np.nan, np.float32), [(15, 30, 35)], frame)
    assert (yx == 0).all()
    (yx, _, _), planes = cut(np.full(SHAPE, 7, np.uint8), [(15, 30, 35)], frame)
    assert (yx == 1).all() and planes.white[0, 0] > planes.black[0, 0]
