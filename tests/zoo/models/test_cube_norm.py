import torch

from cfzoo.zoo.models.cube_norm import CubeNorm


def test_zero_mean_and_unit_variance_per_cube_and_channel():
    torch.manual_seed(0)
    x = torch.rand(3, 2, 4, 5, 6) * torch.tensor([90.0, 900.0]).reshape(1, 2, 1, 1, 1) + 300
    y = CubeNorm()(x)
    assert torch.allclose(y.mean((2, 3, 4)), torch.zeros(3, 2), atol=1e-4)
    assert torch.allclose((y * y).mean((2, 3, 4)), torch.ones(3, 2), atol=1e-4)


def test_factor_and_offset_cancel():
    torch.manual_seed(0)
    x = torch.rand(2, 1, 8, 8, 8) * 1000
    y = CubeNorm()(x)
    assert torch.allclose(CubeNorm()(4 * x + 500), y, atol=1e-4)


def test_constant_cube_is_zero():
    y = CubeNorm()(torch.full((1, 1, 4, 4, 4), 65535.0))
    assert torch.isfinite(y).all()
    assert y.abs().max() == 0
