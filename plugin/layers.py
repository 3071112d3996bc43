"""napari's layers to what the runtime takes: voxels (z, y, x), points in them, sizes in um.

A layer has a scale, a translation and maybe more between its own coordinates and the world's, in
which napari draws all of them. Points belong to the voxels that they are drawn on.
"""

from typing import Any

import numpy as np
from napari.layers import Image, Layer, Points
from napari.viewer import Viewer

from ..runtime.errors import InputError
from ..runtime.volume import stated_voxel_size

# Conversions leave errors of 1e-12 or so; halves must stay halves, since they decide on rounding.
DECIMALS = 6


_PLACE = ("scale", "translate", "rotate", "shear", "affine", "units")


_UNSET = "pixel"  # napari's unit of layers that nobody gave one


def volume_of(layer: Image | None, role: str) -> Any:
    """The voxels of an image layer, at full resolution.

    Parameters
    ----------
    layer : Image or None
    role : str
        ``signal`` or ``background``, for messages.

    Returns
    -------
    array (z, y, x)
        As the layer holds it: numpy, dask, zarr.

    Raises
    ------
    InputError
        No layer is chosen, or it is not z y x.
    """
    if layer is None:
        raise InputError(f"No {role} layer is chosen. Open an image and choose it.")
    data = layer.data[0] if layer.multiscale else layer.data
    if layer.rgb:
        raise InputError(
            f"The {role} layer {layer.name!r} is a colour (RGB) image; expected intensities along "
            "z y x. Open its channels as layers (right-click on it: Split RGB)."
        )
    if data.ndim != 3:
        raise InputError(
            f"The {role} layer {layer.name!r} has {data.ndim} axes, {tuple(data.shape)}; expected "
            "z y x. Take one channel and time point (right-click on the layer: Split Stack)."
        )
    return data


def points_of(layer: Points | None, volume: Image) -> np.ndarray:
    """The points of a layer in the voxels of the volume that they are drawn on.

    Returns
    -------
    (N, 3) float64, z y x, voxels

    Raises
    ------
    InputError
        No layer is chosen, it is empty or not of three axes, its units are others than the
        volume's, or no point lies in the volume.
    """
    if layer is None:
        raise InputError("No layer of candidates is chosen. Open points and choose them.")
    if not len(layer.data):
        raise InputError(f"The points layer {layer.name!r} is empty. Choose one with candidates.")
    if layer.ndim != 3:
        raise InputError(
            f"The points of {layer.name!r} have {layer.ndim} axes; expected z y x. Choose others."
        )
    units = [[str(unit) for unit in of.units] for of in (layer, volume)]
    if units[0] != units[1] and all(_UNSET not in of for of in units):
        raise InputError(
            f"{layer.name!r} is in {units[0][0]} and {volume.name!r} in {units[1][0]}; expected "
            "the same units. Set layer.units and layer.scale of one of them."
        )
    offset, linear = _to_world(layer)
    origin, axes = _to_world(volume)
    world = np.asarray(layer.data, np.float64) @ linear.T + (offset - origin)
    zyx = np.round(np.linalg.solve(axes, world.T).T, DECIMALS) + 0.0  # + 0.0 for -0.0
    shape = volume_of(volume, "signal").shape
    if not np.any(np.all((zyx > -0.5) & (zyx < np.array(shape) - 0.5), axis=1)):
        raise InputError(
            f"No point of {layer.name!r} lies in {volume.name!r}, which has {tuple(shape)} voxels "
            f"(z y x). The scale of the points is {_numbers(layer.scale)} and that of the volume "
            f"{_numbers(volume.scale)}: points in voxels need the same as the volume."
        )
    return zyx


def check_same_place(signal: Image, background: Image) -> None:
    """Refuse a background that is drawn elsewhere than the signal.

    Raises
    ------
    InputError
        It has other voxels, or they lie elsewhere in the world.
    """
    shapes = [tuple(volume_of(layer, "signal").shape) for layer in (signal, background)]
    if shapes[0] != shapes[1]:
        raise InputError(
            f"The signal {signal.name!r} has {shapes[0]} voxels (z y x) and the background "
            f"{background.name!r} {shapes[1]}; expected the same. Choose another background."
        )
    pairs = zip(_to_world(signal), _to_world(background), strict=True)
    if not all(np.allclose(one, other) for one, other in pairs):
        one, other = (
            f"scale {_numbers(layer.scale)} and translate {_numbers(layer.translate)}"
            for layer in (signal, background)
        )
        raise InputError(
            f"The background {background.name!r} is drawn elsewhere than the signal: {other}, and "
            f"{one} there. Give both layers the same scale and translate."
        )


def voxel_size_of(layer: Image) -> tuple[float, float, float] | None:
    """Voxel size (z, y, x), um, from the scale of a layer; None where nobody set it.

    A scale without a unit counts as um, and (1, 1, 1) of it as not set.
    """
    scale = [float(s) for s in layer.scale[-3:]]
    units = [str(unit) for unit in layer.units[-3:]]
    if len(scale) == 3 and _UNSET in units:
        return None if scale == [1, 1, 1] else (scale[0], scale[1], scale[2])
    return stated_voxel_size(scale, units)


def placed_like(layer: Layer) -> dict[str, Any]:
    """Arguments that put a new layer of the same voxels where this one is."""
    return {name: getattr(layer, name) for name in _PLACE}


def look_at(viewer: Viewer, layer: Points, row: int, zoom: float) -> None:
    """Move sliders and camera to a point, and zoom in at least so far.

    Parameters
    ----------
    zoom : float
        Pixels of the screen for a unit of the world.
    """
    world = np.zeros(viewer.dims.ndim)
    world[-3:] = layer.data_to_world(layer.data[row])
    viewer.dims.set_point(range(viewer.dims.ndim - 3, viewer.dims.ndim), world[-3:])
    viewer.scene.camera.center = tuple(world[list(viewer.dims.displayed)])
    viewer.scene.camera.zoom = max(viewer.scene.camera.zoom, zoom)


def _to_world(layer: Layer) -> tuple[np.ndarray, np.ndarray]:
    """(3,) and (3, 3): world = offset + linear @ zyx."""
    offset = np.array(layer.data_to_world((0, 0, 0)))
    return offset, np.array([layer.data_to_world(axis) for axis in np.eye(3)]).T - offset[:, None]


def _numbers(values: Any) -> str:
    return f"({', '.join(f'{value:g}' for value in values)})"
