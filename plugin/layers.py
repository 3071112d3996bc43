"""Conversion of napari's layers to voxels (z, y, x), points and sizes in um, and back.

A scale, a translation and possibly more lie between the coordinates of a layer and the world
coordinates, in which napari draws all layers. Points belong to the voxels that they are drawn on.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from napari.layers import Image, Layer, Points
from napari.viewer import Viewer

from ..runtime.errors import InputError
from ..runtime.volume import stated_voxel_size
from .appearance import REACH_UM, RING, SIZE_UM, features, ring_colours
from .curation import Curation

STATE = "cfzoo"  # key of the `Curation` in the metadata of a results layer
# Conversions leave errors of about 1e-12; halves must stay halves, since cubes are rounded there.
DECIMALS = 6
_PLACEMENT = ("scale", "translate", "rotate", "shear", "affine", "units")
_UNSET = "pixel"  # napari's unit for layers without one


def volume_of(layer: Image | None, role: str) -> Any:
    """Return the voxels of an image layer, at full resolution.

    Parameters
    ----------
    layer : Image or None
    role : str
        ``signal`` or ``background``, for error messages.

    Returns
    -------
    array (z, y, x)
        The layer's own array: numpy, dask or zarr.

    Raises
    ------
    InputError
        No layer is chosen, or its axes are not z y x.
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
    """Return the points of a layer in voxels of the volume that they are drawn on.

    Returns
    -------
    (N, 3) float64, z y x, voxels

    Raises
    ------
    InputError
        No layer is chosen, it is empty or does not have three axes, its units differ from the
        volume's, or no point lies in the volume.
    """
    if layer is None:
        raise InputError("No layer of candidates is chosen. Open points and choose them.")
    if not len(layer.data):
        raise InputError(f"The points layer {layer.name!r} is empty. Choose one with candidates.")
    if layer.ndim != 3:
        raise InputError(
            f"The points of {layer.name!r} have {layer.ndim} axes; expected z y x. "
            "Choose another layer."
        )
    units = [[str(unit) for unit in item.units] for item in (layer, volume)]
    if units[0] != units[1] and all(_UNSET not in names for names in units):
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
            f"{_numbers(volume.scale)}: points in voxels need the scale of the volume."
        )
    return zyx


def check_same_place(signal: Image, background: Image) -> None:
    """Check that the background is drawn where the signal is.

    Raises
    ------
    InputError
        Its shape or its place in the world differs.
    """
    shapes = [tuple(volume_of(layer, "signal").shape) for layer in (signal, background)]
    if shapes[0] != shapes[1]:
        raise InputError(
            f"The signal {signal.name!r} has {shapes[0]} voxels (z y x) and the background "
            f"{background.name!r} {shapes[1]}; expected the same. Choose another background."
        )
    pairs = zip(_to_world(signal), _to_world(background), strict=True)
    if not all(np.allclose(*pair) for pair in pairs):
        places = [
            f"scale {_numbers(layer.scale)} and translate {_numbers(layer.translate)}"
            for layer in (signal, background)
        ]
        raise InputError(
            f"The background {background.name!r} is drawn elsewhere than the signal: {places[1]}, "
            f"but the signal has {places[0]}. Give both layers the same scale and translate."
        )


def voxel_size_of(layer: Image) -> tuple[float, float, float] | None:
    """Return the voxel size (z, y, x) in um from the scale of a layer; None if it is not set.

    A scale without a unit is taken as um; (1, 1, 1) without a unit counts as not set.
    """
    scale = [float(s) for s in layer.scale[-3:]]
    units = [str(unit) for unit in layer.units[-3:]]
    if len(scale) == 3 and _UNSET in units:
        return None if scale == [1, 1, 1] else (scale[0], scale[1], scale[2])
    return stated_voxel_size(scale, units)


def placement_of(layer: Layer) -> dict[str, Any]:
    """Return the arguments that place a new layer of the same voxels where this one is."""
    return {name: getattr(layer, name) for name in _PLACEMENT}


def add_results_layer(
    viewer: Viewer, state: Curation, placement: Mapping[str, Any], names: Mapping[str, str]
) -> Points:
    """Add a points layer for results; the `Curation` goes into its metadata.

    Parameters
    ----------
    viewer : Viewer
    state : Curation
    placement : mapping
        Arguments of the layer, see `placement_of`.
    names : mapping
        Names of the layers by role: ``signal``, ``candidates`` and perhaps ``background``.
    """
    um_z, um_y, _ = state.voxel_size
    layer = viewer.add_points(  # pyright: ignore[reportAttributeAccessIssue]  # set at runtime
        state.results.zyx,
        name=f"{names['candidates']} classified",
        **placement,
        size=SIZE_UM / um_y,
        face_color="transparent",
        border_color=ring_colours(state),
        border_width=RING,
        features=features(state),
        projection_mode="rescale_linear",
        metadata={STATE: state, **names},
    )
    if not any(viewer.dims.thickness):  # otherwise a ring shows only in its own plane
        reach = 2 * REACH_UM / um_z * float(layer.scale[0])
        viewer.dims.thickness = (reach,) * viewer.dims.ndim
    return layer


def results_layers(viewer: Viewer) -> list[Points]:
    """Return the viewer's layers that hold results."""
    layers = [layer for layer in viewer.layers if isinstance(layer, Points)]
    return [layer for layer in layers if isinstance(layer.metadata.get(STATE), Curation)]


def look_at(viewer: Viewer, layer: Points, row: int, zoom: float) -> None:
    """Move the sliders and the camera to a point, and zoom in if necessary.

    Parameters
    ----------
    viewer : Viewer
    layer : Points
    row : int
        Point of the layer.
    zoom : float
        Smallest number of screen pixels per world unit.
    """
    world = np.zeros(viewer.dims.ndim)
    world[-3:] = layer.data_to_world(layer.data[row])
    viewer.dims.set_point(range(viewer.dims.ndim - 3, viewer.dims.ndim), world[-3:].tolist())
    viewer.scene.camera.center = tuple(world[list(viewer.dims.displayed)])
    viewer.scene.camera.zoom = max(viewer.scene.camera.zoom, zoom)


def _to_world(layer: Layer) -> tuple[np.ndarray, np.ndarray]:
    """Return offset (3,) and linear (3, 3) of world = offset + linear @ zyx."""
    offset = np.array(layer.data_to_world((0, 0, 0)))
    return offset, np.array([layer.data_to_world(axis) for axis in np.eye(3)]).T - offset[:, None]


def _numbers(values: Any) -> str:
    return f"({', '.join(f'{value:g}' for value in values)})"
