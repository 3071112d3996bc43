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
    bands = haar(cubes)
    low, high = ptwt.wavedec3(cubes, "haar", mode="zero", level=1)
    expected = torch.stack([low, *(high[band] for band in BANDS[1:])], dim=2).flatten(1, 2)
    torch.testing.assert_close(bands, expected, atol=1e-5, rtol=1e-5)
    inverted = haar.inverse(bands, (z, y, x))
    torch.testing.assert_close(inverted, cubes, atol=1e-5, rtol=1e-5)
    expected_inverse = ptwt.waverec3((low, high), "haar")[..., :z, :y, :x]
    torch.testing.assert_close(inverted, expected_inverse, atol=1e-5, rtol=1e-5)


def test_transform_keeps_energy_of_even_sizes():
    x = torch.randn(2, 3, 4, 6, 8)
    torch.testing.assert_close(Haar3d()(x).square().sum(), x.square().sum())


@pytest.mark.parametrize("shape", [(8, 8, 8), (7, 9, 5), (1, 1, 1)])
def test_block_keeps_shape(shape):
    x = torch.randn(2, 16, *shape)
    assert WaveBlock(16)(x).shape == x.shape


def test_block_mixes_neighbouring_pairs_of_voxels():
    torch.manual_seed(0)
    block = WaveBlock(16).eval()
    x = torch.randn(1, 16, 8, 8, 8)
    shifted = x.clone()
    shifted[..., 0] += 1
    changed = (block(shifted) - block(x)).abs().amax((0, 1, 2, 3))
    assert (changed[:3] > 1e-6).all()
    assert (changed[4:] < 1e-6).all()
