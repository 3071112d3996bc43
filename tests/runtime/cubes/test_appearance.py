import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import skew

from cfzoo.runtime.cubes import MEASURES, measure_appearance, usual_range

rng = np.random.default_rng(0)
CUBES = rng.gamma(2, 100, (30, 6, 8, 10)).astype(np.float32)


def test_measures_equal_their_definitions():
    measures = measure_appearance(CUBES)
    cube = CUBES[7].astype(float)
    assert measures.keys() == MEASURES.keys()
    expected = {
        "contrast": np.log(cube[2:4, 3:5, 4:6].mean() / cube.mean()),
        "variation": cube.std() / cube.mean(),
        "skewness": skew(cube, axis=None),
    }
    for name, value in expected.items():
        assert measures[name][7] == pytest.approx(value)


def test_smoothness_is_a_correlation_of_neighbours():
    z, y, x = np.indices((20, 20, 20))
    stripes = np.stack([z % 2, y % 2, (x // 10) + 0 * y]).astype(np.float32)
    measures = measure_appearance(stripes)
    np.testing.assert_allclose(measures["smoothness_z"], [-1, 1, 1], atol=1e-6)
    np.testing.assert_allclose(measures["smoothness_yx"], [1, 0, (1 + 17 / 19) / 2], atol=1e-6)


@settings(max_examples=30, deadline=None)
@given(st.floats(1e-3, 1e3))
def test_a_factor_of_all_intensities_changes_nothing(factor):
    scaled = measure_appearance(CUBES * np.float32(factor))
    for name, values in measure_appearance(CUBES).items():
        np.testing.assert_allclose(scaled[name], values, rtol=1e-4, atol=1e-5)


@settings(max_examples=50, deadline=None)
@given(arrays(np.float32, (2, 2, 3, 4), elements=st.floats(width=32)))
def test_any_cube_is_measured_without_a_warning(cubes):
    for values in measure_appearance(cubes).values():
        assert values.shape == (2,) and not np.isinf(values).any()


@pytest.mark.filterwarnings("error")
def test_one_plane_has_no_smoothness_along_z():
    plane, thick = measure_appearance(CUBES[:, 2:3]), measure_appearance(CUBES[:, 2:3].repeat(2, 1))
    assert np.isnan(plane.pop("smoothness_z")).all()
    for name, values in plane.items():
        np.testing.assert_allclose(values, thick[name])


def test_the_usual_range_leaves_out_what_is_not_defined():
    measures = {"contrast": np.append(np.arange(101.0), np.nan), "skewness": np.full(3, np.nan)}
    assert usual_range(measures) == {"contrast": (5.0, 95.0)}
