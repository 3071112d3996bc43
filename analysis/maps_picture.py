"""A picture of one cube and its maps: three planes through the candidate."""

import base64
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from ..zoo.figure import draw_scale_bar

PLANES = ("xy", "xz", "yz")
FOR, AGAINST = "#e8590c", "#1c7ed6"  # colours of evidence for a cell and against it
STRONGEST = 0.75  # opacity of the largest value of a map
DPI = 300  # of a picture as PNG, as journals ask for


def draw_maps(
    cube: np.ndarray,
    channels: Sequence[str],
    maps: Mapping[str, np.ndarray],
    voxel_size: Sequence[float],
    interpolate: bool = False,
) -> Figure:
    """Draw a figure with a column for each channel and each map, and a row for each plane.

    Parameters
    ----------
    cube : (C, z, y, x) float32, intensities
    channels : sequence of str
    maps : mapping of str to (z, y, x)
        Each lies over the signal and is scaled by its largest magnitude, orange where positive and
        blue where negative.
    voxel_size : (z, y, x), um
    interpolate : bool
        Whether to smooth between voxels, bilinearly; else each is shown as it is.
    """
    smooth = "bilinear" if interpolate else "none"
    titles = [*channels, *maps]
    middle = [n // 2 for n in cube.shape[1:]]
    sides = [n * size for n, size in zip(cube.shape[1:], voxel_size, strict=True)]
    heights = [sides[1], sides[0], sides[1]]  # of xy, xz, yz
    scale = 1.25 / max(sides)
    figure = Figure((1.4 * len(titles), sum(heights) * scale + 0.9), dpi=DPI, layout="constrained")
    axes = figure.subplots(3, len(titles), squeeze=False, height_ratios=heights)
    for column, title in enumerate(titles):
        grey = cube[column if column < len(channels) else 0]
        overlay = None if column < len(channels) else maps[title]
        low, high = np.percentile(grey, (0.5, 99.8))
        for row, axis in enumerate(axes[:, column]):
            picture, aspect = planes_of(grey, middle, voxel_size)[row]
            grey_values = {"cmap": "gray", "vmin": low, "vmax": max(high, low + 1e-6)}
            axis.imshow(picture, **grey_values, aspect=aspect, interpolation=smooth)
            if overlay is not None:
                values = planes_of(overlay, middle, voxel_size)[row][0]
                largest = float(np.abs(overlay).max()) or 1.0
                axis.imshow(colour_signs(values / largest), aspect=aspect, interpolation=smooth)
            axis.set_xticks([])
            axis.set_yticks([])
            if column == 0:
                axis.set_ylabel(PLANES[row], fontsize=8)
                draw_scale_bar(axis, voxel_size[(2, 2, 0)[row]])  # along x, x and z
        axes[0, column].set_title(title.replace(" (", "\n("), fontsize=7)
    return figure


def planes_of(
    values: np.ndarray, voxel: Sequence[int], voxel_size: Sequence[float]
) -> list[tuple[np.ndarray, float]]:
    """Return the planes through a voxel, each with the height of a pixel divided by its width.

    Parameters
    ----------
    values : (z, y, x) array
    voxel : (z, y, x)
    voxel_size : (z, y, x), um

    Returns
    -------
    list of ((y, x), (z, x) and (y, z) array, float)
    """
    z, y, x = voxel
    depth, height, width = voxel_size
    return [
        (values[z], height / width),
        (values[:, y], depth / width),
        (values[:, :, x].T, height / depth),
    ]


def colour_signs(values: np.ndarray) -> np.ndarray:
    """Show signs as colours and magnitudes as opacities.

    Parameters
    ----------
    values : (h, w) float, -1 to 1

    Returns
    -------
    (h, w, 4) float, RGBA, 0 to 1
    """
    colours = np.array([[int(c[i : i + 2], 16) / 255 for i in (1, 3, 5)] for c in (AGAINST, FOR)])
    return np.concatenate(
        [colours[(values > 0).astype(int)], STRONGEST * np.abs(values)[..., None]], axis=-1
    )


def data_uri(png: bytes) -> str:
    """Return a PNG as the address of an image in a page."""
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"
