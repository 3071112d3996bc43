import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cfzoo.zoo.models import make_input_norm


@settings(deadline=None, max_examples=60)
@given(
    percentiles=st.tuples(st.floats(0, 100), st.floats(0, 100)).filter(lambda p: p[0] < p[1]),
    shape=st.tuples(*[st.integers(1, 4)] * 3),
    seed=st.integers(0, 99),
)
def test_percentiles_are_numpys(percentiles, shape, seed):
    cubes = np.random.default_rng(seed).integers(0, 50, (2, 2, *shape)).astype(np.float64)
    result = make_input_norm("percentile", percentiles)(torch.from_numpy(cubes)).numpy()
    for cube, values in zip(cubes.reshape(4, -1), result.reshape(4, -1), strict=True):
        low, high = np.percentile(cube, percentiles)
        if high - low > 1e-9:
            np.testing.assert_allclose(
                values, np.clip((cube - low) / (high - low), 0, 1), atol=1e-9
            )


def test_an_even_cube_becomes_a_half():
    cubes = torch.full((1, 1, 4, 5, 6), 700.0)
    assert (make_input_norm("percentile", (1, 99))(cubes) == 0.5).all()
