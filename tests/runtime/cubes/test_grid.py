import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cfzoo.runtime.artifact import Card
from cfzoo.runtime.cubes import Grid, copy_cubes, resampling_matrix
from cfzoo.runtime.errors import InputError

CARD = Card(
    name="m",
    version="1.0.0",
    cube_shape=(20, 50, 50),
    voxel_size=(5, 1, 1),
    channels=("signal", "background"),
    normalisation="none",
)


def test_data_shape_rounds_as_python_does():
    assert Grid.of(CARD, (5, 2, 2)).data_shape == (20, 25, 25)
    assert Grid.of(CARD, (6, 1.62, 1.62)).data_shape == (17, 31, 31)
    # 50 / 4 = 12.5 goes to the even neighbour
    assert Grid.of(CARD, (5, 4, 4)).data_shape == (20, 12, 12)


def test_starts_take_halves_to_even():
    grid = Grid.of(CARD, (5, 2, 2))
    starts = grid.starts(np.array([[30, 100, 101], [9, 12, 13], [10, 12.4, 12.6]], float))
    # y = 100 and x = 101 with 25 voxels: 87.5 and 88.5 both give 88
    assert starts.tolist() == [[20, 88, 88], [-1, 0, 0], [0, 0, 0]]


@given(
    st.integers(-160, 1600).map(lambda quarters: quarters / 4),
    st.integers(-40, 400),
    st.sampled_from([(5, 2, 2), (5, 1, 1), (6, 1.62, 1.62)]),
)
def test_starts_equal_pythons_rounding(z, yx, voxel_size):
    grid = Grid.of(CARD, voxel_size)
    nz, ny, nx = grid.data_shape
    start = grid.starts(np.array([[z, yx, yx]], float))[0]
    assert start.tolist() == [int(z - nz // 2), round(yx - ny / 2), round(yx - nx / 2)]


def test_inside_includes_the_last_place_that_fits():
    grid = Grid.of(CARD, (5, 2, 2))
    shape = (40, 60, 60)
    starts = np.array(
        [[0, 0, 0], [20, 35, 35], [21, 35, 35], [20, 36, 35], [20, 35, 36], [-1, 0, 0]]
    )
    assert grid.inside(starts, shape).tolist() == [True, True, False, False, False, False]


@given(st.integers(1, 40), st.integers(1, 60))
@settings(deadline=None)
def test_resampling_matrix_equals_torch(n_in, n_out):
    signal = torch.linspace(-3, 3, n_in)[torch.arange(n_in) * 7 % n_in].reshape(1, 1, n_in)
    expected = torch.nn.functional.interpolate(signal, n_out, mode="linear", align_corners=False)
    resampled = resampling_matrix(n_in, n_out) @ signal[0, 0].numpy()
    np.testing.assert_allclose(resampled, expected[0, 0], atol=1e-5)


@given(st.integers(1, 40), st.integers(1, 60))
@settings(deadline=None)
def test_antialias_matrix_equals_torch(n_in, n_out):
    image = torch.linspace(-3, 3, n_in * 3, dtype=torch.float64).reshape(1, 1, n_in, 3)
    expected = torch.nn.functional.interpolate(
        image, (n_out, 3), mode="bilinear", align_corners=False, antialias=True
    )
    resampled = resampling_matrix(n_in, n_out, "antialias") @ image[0, 0].numpy()
    np.testing.assert_allclose(resampled, expected[0, 0], atol=1e-5)


@pytest.mark.parametrize("voxel_size", [(5, 2, 2), (3.9, 3.9, 3.9), (6, 1.62, 1.62), (10, 0.5, 2)])
def test_resample_equals_torch_in_three_dimensions(voxel_size):
    grid = Grid.of(CARD, voxel_size)
    cubes = np.random.default_rng(0).uniform(0, 4000, (3, 2, *grid.data_shape)).astype(np.float32)
    expected = torch.nn.functional.interpolate(
        torch.from_numpy(cubes), CARD.cube_shape, mode="trilinear", align_corners=False
    )
    np.testing.assert_allclose(grid.resample(cubes), expected, rtol=1e-5)


def test_same_grid_is_passed_through():
    grid = Grid.of(CARD, (5, 1, 1))
    cubes = np.random.default_rng(0).normal(size=(2, 2, *grid.data_shape)).astype(np.float32)
    assert (grid.resample(cubes) == cubes).all()


@pytest.mark.parametrize("voxel_size", [(5000, 1, 1), (5, 0.001, 1)])
def test_refuses_absurd_voxel_sizes(voxel_size):
    with pytest.raises(InputError, match="z y x, in micrometres"):
        Grid.of(CARD, voxel_size)


@given(st.lists(st.tuples(*[st.integers(-6, 12)] * 3), min_size=1, max_size=6))
def test_cut_repeats_the_faces(starts):
    block = np.random.default_rng(0).integers(0, 1000, (5, 7, 9)).astype(np.uint16)
    shape = (4, 5, 6)
    padded = np.pad(block, [(20, 20)] * 3, mode="edge")
    out = np.empty((len(starts), *shape), np.float32)
    copy_cubes(block, np.array(starts), out)
    for start, cube in zip(starts, out, strict=True):
        part = tuple(slice(s + 20, s + 20 + n) for s, n in zip(start, shape, strict=True))
        assert (cube == padded[part]).all()


def test_cubes_as_large_as_the_block_or_larger():
    block = np.arange(4 * 5 * 6, dtype=np.float32).reshape(4, 5, 6)
    out = np.empty((2, 4, 5, 6), np.float32)
    copy_cubes(block, np.array([[0, 0, 0], [0, 0, 1]]), out)
    assert (out[0] == block).all() and (out[1, ..., :-1] == block[..., 1:]).all()
    wide = np.empty((1, 6, 7, 8), np.float32)
    copy_cubes(block, np.array([[-1, -1, -1]]), wide)
    assert (wide[0] == np.pad(block, 1, mode="edge")).all()
