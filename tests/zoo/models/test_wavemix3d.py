import ptwt
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cfzoo.zoo.models.wavemix3d import BANDS, Haar3d, WaveBlock

side = st.integers(1, 9)


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 3), st.integers(1, 4), side, side, side)
def test_forward_and_inverse_equal_ptwt(n, c, z, y, x):
    cubes = torch.randn(n, c, z, y, x, generator=torch.Generator().manual_seed(0))
    haar = Haar3d()
    ours = haar(cubes)
    low, high = ptwt.wavedec3(cubes, "haar", mode="zero", level=1)
    theirs = torch.stack([low, *(high[band] for band in BANDS[1:])], dim=2).flatten(1, 2)
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)
    back = haar.inverse(ours, (z, y, x))
    torch.testing.assert_close(back, cubes, atol=1e-5, rtol=1e-5)
    inverse = ptwt.waverec3((low, high), "haar")[..., :z, :y, :x]
    torch.testing.assert_close(back, inverse, atol=1e-5, rtol=1e-5)


def test_it_keeps_the_energy_of_even_sizes():
    x = torch.randn(2, 3, 4, 6, 8)
    torch.testing.assert_close(Haar3d()(x).square().sum(), x.square().sum())


@pytest.mark.parametrize("shape", [(8, 8, 8), (7, 9, 5), (1, 1, 1)])
def test_a_block_keeps_the_shape(shape):
    x = torch.randn(2, 16, *shape)
    assert WaveBlock(16)(x).shape == x.shape


def test_a_block_mixes_neighbours_beyond_its_cells_of_two():
    torch.manual_seed(0)
    block = WaveBlock(16).eval()
    x = torch.randn(1, 16, 8, 8, 8)
    other = x.clone()
    other[..., 0] += 1
    changed = (block(other) - block(x)).abs().amax((0, 1, 2, 3))
    assert (changed[:3] > 1e-6).all()
    assert (changed[4:] < 1e-6).all()
