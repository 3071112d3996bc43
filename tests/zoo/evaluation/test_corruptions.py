import dataclasses

import numpy as np
import pytest

from cfzoo.runtime.cubes import Grid
from cfzoo.zoo.data import LabelledCubes
from cfzoo.zoo.evaluation import CORRUPTIONS, corrupt, list_corruptions, subsample
from cfzoo.zoo.recipe import recipe_for


@pytest.fixture
def cubes():
    card = recipe_for("attention3d").card()
    grid, margin = Grid.of(card, (6, 1.5, 1.5)), (2, 8, 8)
    shape = tuple(n + 2 * m for n, m in zip(grid.data_shape, margin, strict=True))
    crops = np.random.default_rng(0).integers(100, 60000, (10, 1, *shape), np.uint16)
    return LabelledCubes(
        name="a",
        crops=crops,
        labels=np.arange(10) % 2,
        zyx=np.zeros((10, 3)),
        inside=np.ones(10, bool),
        grid=grid,
        margin=margin,
        voxel_size=(6, 1.5, 1.5),
    )


def test_gain_and_offset_exceed_integer_range(cubes):
    scaled = corrupt(cubes, "gain", 4).crops
    assert np.array_equal(scaled, 4 * cubes.crops.astype(np.float32)) and scaled.max() > 65535
    assert np.array_equal(corrupt(cubes, "offset", 500).crops, cubes.crops + np.float32(500))


def test_noise_has_requested_deviation(cubes):
    added = corrupt(cubes, "noise", 0.3).crops - cubes.crops.astype(np.float32)
    assert added.std() == pytest.approx(0.3 * cubes.crops.std(), rel=0.02)
    assert np.array_equal(added, corrupt(cubes, "noise", 0.3).crops - cubes.crops)


def test_blur_is_in_plane_with_sigma_in_um(cubes):
    crops = np.zeros(cubes.crops.shape, np.float32)
    crops[:, :, 6, 23, 23] = 1
    blurred = corrupt(dataclasses.replace(cubes, crops=crops), "blur", 3).crops[0, 0]
    y, x = np.indices(blurred.shape[1:]) - 23
    assert blurred[6].sum() == pytest.approx(1, abs=1e-3)
    assert not np.delete(blurred, 6, axis=0).any()
    assert np.sqrt((blurred[6] * x**2).sum()) == pytest.approx(2, rel=0.02)  # 3 um of 1.5 um
    assert np.sqrt((blurred[6] * y**2).sum()) == pytest.approx(2, rel=0.02)


def test_shift_moves_cube_by_um_and_reveals_real_data(cubes):
    mz, my, mx = cubes.margin
    moved, distances = corrupt(cubes, "shift", 6), []
    dz, dy, dx = cubes.grid.data_shape
    for before, after in zip(cubes.crops, moved.crops, strict=True):
        centre = after[0, mz : mz + dz, my : my + dy, mx : mx + dx]
        windows = np.lib.stride_tricks.sliding_window_view(before[0], centre.shape)
        (position,) = np.argwhere((windows == centre).all((3, 4, 5)))
        assert position[0] == mz
        distances.append(np.hypot(*(position[1:] - [my, mx])) * 1.5)
    assert np.allclose(distances, 6, atol=0.8) and len(np.unique(distances)) > 1


def test_shifts_stay_within_margin(cubes):
    assert [level for kind, level in list_corruptions(cubes) if kind == "shift"] == [2, 4, 6]
    narrow = dataclasses.replace(cubes, margin=(2, 8, 3))  # 4.5 um along x
    assert [level for kind, level in list_corruptions(narrow) if kind == "shift"] == [2, 4]


@pytest.mark.parametrize("step", [2, 3])
@pytest.mark.parametrize("count", [11, 12])  # centres 5 and 6
def test_planes_between_those_taken_are_interpolated(cubes, step, count):
    centre = count // 2
    ramp = np.arange(count, dtype=np.float32)[:, None, None] ** 2
    crops = np.zeros(cubes.crops[:, :, :count].shape, np.float32) + ramp
    assert crops.shape[2] == count
    coarse = corrupt(dataclasses.replace(cubes, crops=crops), "planes", step).crops
    taken = np.arange(centre % step, count, step)
    assert centre in taken
    profile = np.interp(np.arange(count), taken, taken.astype(float) ** 2)  # level beyond the ends
    assert np.allclose(coarse, profile[:, None, None], rtol=1e-6)


def test_originals_are_unchanged(cubes):
    before = cubes.crops.copy()
    for kind, corruption in CORRUPTIONS.items():
        assert not np.array_equal(corrupt(cubes, kind, corruption.levels[-1]).cubes(), before)
    assert np.array_equal(cubes.crops, before)
    floats = dataclasses.replace(cubes, crops=before.astype(np.float32))
    for kind, corruption in CORRUPTIONS.items():
        corrupt(floats, kind, corruption.levels[-1])
    assert np.array_equal(floats.crops, before)


def test_subsample_takes_candidates_from_whole_file(cubes):
    subset = subsample(cubes, 4)
    assert len(subset) == 4 and np.array_equal(subset.crops, cubes.crops[[0, 3, 6, 9]])
    assert subsample(cubes, 10) is cubes
