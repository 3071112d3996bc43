"""A picture of one cube and its maps: three planes through the candidate."""

import base64
import io
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

PLANES = ("xy", "xz", "yz")
FOR, AGAINST = "#e8590c", "#1c7ed6"  # a cell
STRONGEST = 0.75  # opacity of the largest value of a map


def draw_maps(
    cube: np.ndarray,
    channels: Sequence[str],
    maps: Mapping[str, np.ndarray],
    voxel_size: Sequence[float],
) -> bytes:
    """PNG: a column for each channel and each map over the signal, a line for each plane.

    Parameters
    ----------
    cube : (C, z, y, x) float32, intensities
    channels : sequence of str
    maps : mapping of str to (z, y, x)
        Each is drawn from its largest magnitude, orange where positive and blue where negative;
        voxels are as they are, not smoothed.
    voxel_size : (z, y, x), um
    """
    titles = [*channels, *maps]
    z, y, x = (n // 2 for n in cube.shape[1:])
    sides = [n * size for n, size in zip(cube.shape[1:], voxel_size, strict=True)]
    heights = [sides[1], sides[0], sides[1]]  # of xy, xz, yz
    scale = 1.25 / max(sides)
    figure = Figure((1.4 * len(titles), sum(heights) * scale + 0.9), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(3, len(titles), squeeze=False, height_ratios=heights)
    for column, title in enumerate(titles):
        grey = cube[column if column < len(channels) else 0]
        overlay = None if column < len(channels) else maps[title]
        low, high = np.percentile(grey, (0.5, 99.8))
        for line, axis in enumerate(axes[:, column]):
            picture, aspect = planes_of(grey, (z, y, x), voxel_size)[line]
            axis.imshow(picture, cmap="gray", vmin=low, vmax=max(high, low + 1e-6), aspect=aspect)
            if overlay is not None:
                values = planes_of(overlay, (z, y, x), voxel_size)[line][0]
                largest = float(np.abs(overlay).max()) or 1.0
                axis.imshow(coloured(values / largest), aspect=aspect, interpolation="nearest")
            axis.set_xticks([])
            axis.set_yticks([])
            if column == 0:
                axis.set_ylabel(PLANES[line], fontsize=8)
        axes[0, column].set_title(title.replace(" (", "\n("), fontsize=7)
    drawn = io.BytesIO()
    figure.savefig(drawn, format="png", metadata={"Software": None})
    return drawn.getvalue()


def planes_of(values: np.ndarray, at: Sequence[int], size: Sequence[float]) -> list:
    """The planes through a voxel, lines by columns, and the height of a pixel by its width.

    Parameters
    ----------
    values : (z, y, x) array
    at : (z, y, x), voxels
    size : (z, y, x), um
        Of a voxel.

    Returns
    -------
    list of ((y, x), (z, x) and (y, z) array, float)
    """
    z, y, x = at
    return [
        (values[z], size[1] / size[2]),
        (values[:, y], size[0] / size[2]),
        (values[:, :, x].T, size[1] / size[0]),
    ]


def coloured(values: np.ndarray) -> np.ndarray:
    """(h, w) from -1 to 1 to (h, w, 4), 0 to 1: the sign as colour, the magnitude as opacity."""
    colours = np.array([[int(c[i : i + 2], 16) / 255 for i in (1, 3, 5)] for c in (AGAINST, FOR)])
    return np.concatenate(
        [colours[(values > 0).astype(int)], STRONGEST * np.abs(values)[..., None]], axis=-1
    )


def data_uri(png: bytes) -> str:
    """As the address of an image in a page."""
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"
