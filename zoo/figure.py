"""What the figures of several rooms share: their files, and scale bars."""

import io

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

BARS_UM = tuple(step * 10**power for power in range(4) for step in (1, 2, 5))


def choose_bar(width_um: float) -> int:
    """Choose the length (um) of the scale bar of a picture: round, and at most a third of it.

    It is 1 um for a picture of less than 3 um.
    """
    return max((bar for bar in BARS_UM if bar <= width_um / 3), default=1)


def draw_scale_bar(axis: Axes, um_per_pixel: float, words: bool = True) -> None:
    """Draw a scale bar into the lower left corner of a picture that `Axes.imshow` drew.

    Parameters
    ----------
    axis : Axes
    um_per_pixel : float
        Width of a pixel.
    words : bool
        Whether its length is written beside it.
    """
    left, right = axis.get_xlim()
    bottom, top = axis.get_ylim()
    length = choose_bar((right - left) * um_per_pixel)
    width, height = right - left, top - bottom  # height is negative where y points down
    corner = left + 0.05 * width, bottom + 0.05 * height
    size = length / um_per_pixel, 0.025 * height
    axis.add_patch(Rectangle(corner, *size, facecolor="white", edgecolor="black", linewidth=0.3))
    if words:
        # Black behind the letters, as outlines would turn them into paths.
        axis.text(
            corner[0] + size[0] + 0.04 * width,
            corner[1] + size[1] / 2,
            f"{length} um",
            color="white",
            fontsize=5.5,
            va="center",
            bbox={"facecolor": "black", "alpha": 0.55, "linewidth": 0, "pad": 0.8},
        )
    axis.set_xlim(left, right)
    axis.set_ylim(bottom, top)


def svg_bytes(figure: Figure) -> bytes:
    """Return a figure as SVG, its text as text; the same figure gives the same bytes."""
    stream = io.BytesIO()
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "cfzoo"}):
        figure.savefig(stream, format="svg", metadata={"Date": None, "Creator": None})
    return stream.getvalue()


def png_bytes(figure: Figure, dpi: float | None = None) -> bytes:
    """Return a figure as PNG, at ``dpi`` or its own resolution.

    Matplotlib's version is left out of the file, so that the same figure gives the same bytes for
    longer.
    """
    stream = io.BytesIO()
    options = {"dpi": dpi} if dpi else {}
    figure.savefig(stream, format="png", metadata={"Software": None}, **options)
    return stream.getvalue()
