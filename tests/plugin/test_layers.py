"""Conversion of layers to voxels, without a viewer, since layers do not need one."""

import dask.array
import numpy as np
import pytest
from napari.layers import Image, Points

from cfzoo.plugin.layers import check_same_place, placement_of, points_of, volume_of, voxel_size_of
from cfzoo.runtime.errors import InputError

SHAPE = (20, 30, 40)
VOXELS = np.zeros(SHAPE, np.uint16)
ZYX = np.array([[0, 0, 0], [3, 4, 5], [19, 29, 39], [7.25, 8.5, 9.0]])


def test_points_in_voxels_are_unchanged():
    image, points = Image(VOXELS, scale=(5, 2, 3)), Points(ZYX, scale=(5, 2, 3))
    np.testing.assert_array_equal(points_of(points, image), ZYX)


def test_points_in_world_coordinates_become_voxels():
    """The volume starts at 10, 20, 40 um and has voxels of 5 x 2 x 3 um."""
    image = Image(VOXELS, scale=(5, 2, 3), translate=(10, 20, 40))
    world = ZYX * (5, 2, 3) + (10, 20, 40)
    np.testing.assert_array_equal(points_of(Points(world), image), ZYX)
    scaled = Points((world - (1, 2, 3)) / (0.5, 0.25, 4), scale=(0.5, 0.25, 4), translate=(1, 2, 3))
    np.testing.assert_array_equal(points_of(scaled, image), ZYX)


def test_halves_stay_halves():
    """The start of a cube depends on the rounding of halves, so they must be exact."""
    zyx = np.stack([np.arange(19) + 0.5] * 3, axis=1)
    image = Image(VOXELS, scale=(6, 1.62, 1.62), translate=(0.1, 0.2, 0.3))
    world = Points(zyx * (6, 1.62, 1.62) + (0.1, 0.2, 0.3))
    np.testing.assert_array_equal(points_of(world, image), zyx)


def test_rotated_layers():
    image = Image(VOXELS, scale=(5, 2, 3), affine=np.diag([2.0, 1, 1, 1]), rotate=(0, 0, 90))
    world = np.array([image.data_to_world(p) for p in ZYX])
    np.testing.assert_allclose(points_of(Points(world), image), ZYX)
    assert not np.allclose(world, ZYX * (5, 2, 3))


def test_a_new_layer_is_placed_like_another():
    image = Image(VOXELS, scale=(5, 2, 3), translate=(1, 2, 3), units=("um", "um", "um"))
    points = Points(ZYX, **placement_of(image))
    for point in ZYX:
        assert points.data_to_world(point) == image.data_to_world(point)
    assert points.units == image.units


@pytest.mark.parametrize(
    ("scale", "units", "expected"),
    [
        ((5, 2, 2), None, (5, 2, 2)),
        ((1, 1, 1), None, None),
        ((1, 1, 1), ("um",) * 3, (1, 1, 1)),
        ((5000, 2000, 1000), ("nm",) * 3, (5, 2, 1)),
        ((5, 2, 2), ("mm", "um", "um"), None),  # 5 mm is too large for a voxel
        ((5, 2, 2), ("s", "um", "um"), None),
    ],
)
def test_voxel_size_from_scale_and_units(scale, units, expected):
    assert voxel_size_of(Image(VOXELS, scale=scale, units=units)) == expected


def test_a_pyramid_gives_its_full_resolution():
    small, lazy = VOXELS[::2, ::2, ::2], dask.array.from_array(VOXELS, (5, 30, 40))
    pyramid = Image([lazy, small], multiscale=True, scale=(5, 2, 2))
    assert volume_of(pyramid, "signal") is lazy
    np.testing.assert_array_equal(points_of(Points(ZYX, scale=(5, 2, 2)), pyramid), ZYX)
    assert voxel_size_of(pyramid) == (5, 2, 2)


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (None, "No signal layer is chosen"),
        (Image(np.zeros((2, *SHAPE)), name="four"), "'four' has 4 axes, .* Split Stack"),
        (Image(np.zeros((30, 40)), name="flat"), "'flat' has 2 axes"),
        (Image(np.zeros((9, 9, 3), np.uint8), rgb=True), "colour .RGB. image"),
    ],
)
def test_unsuitable_images_are_refused(layer, message):
    with pytest.raises(InputError, match=message):
        volume_of(layer, "signal")


@pytest.mark.parametrize(
    ("points", "message"),
    [
        (None, "No layer of candidates is chosen"),
        (Points(np.empty((0, 3)), name="none"), "'none' is empty"),
        (Points(np.zeros((1, 4)), name="times"), "'times' have 4 axes"),
        (Points(ZYX + 1000, name="far"), r"No point of 'far'.*scale of the points is \(1, 1, 1\)"),
        (Points(ZYX, units=("mm",) * 3), "is in millimeter and .* in micrometer"),
    ],
)
def test_unsuitable_points_are_refused(points, message):
    with pytest.raises(InputError, match=message):
        points_of(points, Image(VOXELS, scale=(5, 2, 3), units=("um",) * 3))


def test_a_background_with_another_place_or_shape_is_refused():
    signal = Image(VOXELS, scale=(5, 2, 3))
    check_same_place(signal, Image(VOXELS, scale=(5, 2, 3)))
    with pytest.raises(InputError, match=r"background 'b' \(20, 30, 39\)"):
        check_same_place(signal, Image(VOXELS[..., 1:], scale=(5, 2, 3), name="b"))
    for placement in ({"scale": (5, 3, 2)}, {"scale": (5, 2, 3), "translate": (0, 0, 1)}):
        with pytest.raises(InputError, match="drawn elsewhere than the signal"):
            check_same_place(signal, Image(VOXELS, **placement))
