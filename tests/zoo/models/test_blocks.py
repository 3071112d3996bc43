import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from cfzoo.zoo.evaluation import local_contrast
from cfzoo.zoo.models import Resize, axis_distances
from cfzoo.zoo.models.blocks import CentreContrast, RelativeMaps, SmallResize, strided_shape

side = st.integers(1, 9)
shapes = st.tuples(side, side, side)


@settings(deadline=None, max_examples=40)
@given(shapes, shapes)
def test_resize_is_trilinear_interpolation(source, target):
    x = torch.randn(2, 3, *source, generator=torch.Generator().manual_seed(0))
    expected = F.interpolate(x, size=target, mode="trilinear", align_corners=False)
    for resize in (Resize, SmallResize):
        torch.testing.assert_close(resize(source, target)(x), expected, atol=1e-5, rtol=1e-5)


@settings(deadline=None)
@given(shapes, st.sampled_from([(1, 2, 2), (2, 2, 2), (2, 1, 1)]))
def test_strided_shape_is_that_of_padded_convolution(shape, stride):
    out = F.conv3d(torch.zeros(1, 1, *shape), torch.zeros(1, 1, 3, 3, 3), None, stride, 1)
    assert strided_shape(shape, stride) == tuple(out.shape[2:])


def test_relative_maps_by_hand():
    x = torch.full((1, 1, 1, 1, 4), 100.0)
    x[..., 0] = 200.0  # mean 125, deviations 75 and -25, spread sqrt((75^2 + 3 25^2) / 4)
    maps = RelativeMaps()(x)
    assert maps.shape == (1, 2, 1, 1, 4)
    spread = np.sqrt((75**2 + 3 * 25**2) / 4)
    np.testing.assert_allclose(maps[0, 0, 0, 0], np.array([75, -25, -25, -25]) / spread, rtol=1e-5)
    np.testing.assert_allclose(maps[0, 1, 0, 0], [1.8, -0.6, -0.6, -0.6], rtol=1e-5)


def test_distances_from_candidate():
    z, y, x = axis_distances((8, 15, 16), (6.0, 3.0, 3.0))
    assert z.shape == (8, 1, 1) and y.shape == (1, 15, 1) and x.shape == (1, 1, 16)
    assert z.argmin() == 4 and float(z[4]) == 0 and float(z[3]) == 6
    assert y.argmin() == 7 and x.argmin() == 8


def test_contrast_of_cube_orders_as_contrast_of_volume():
    rng = np.random.default_rng(0)
    volume = rng.normal(1000, 20, (40, 60, 60)).astype(np.float32)
    zyx = np.array([(10 + 20 * (i % 2), 10 + 13 * (i // 2), 12 + 7 * (i % 3)) for i in range(8)])
    for i, (z, y, x) in enumerate(zyx):
        volume[z - 1 : z + 2, y - 1 : y + 2, x - 1 : x + 2] += 60 * (i + 1)
    size = (6.0, 3.0, 3.0)
    cubes = np.stack([volume[z - 4 : z + 4, y - 8 : y + 8, x - 8 : x + 8] for z, y, x in zyx])
    logits = CentreContrast((8, 16, 16), size, 4.0)(torch.from_numpy(cubes[:, None]))
    torch.testing.assert_close(logits[:, 0], -logits[:, 1])
    margin = (logits[:, 1] - logits[:, 0]).numpy()
    expected = local_contrast(volume, zyx, size)
    assert (np.argsort(margin) == np.argsort(expected)).all()
    assert np.ptp(margin) > 3


@pytest.mark.parametrize("level", [0.0, 65535.0])
def test_constant_cubes_stay_finite(level):
    x = torch.full((1, 2, 4, 5, 6), level)
    assert torch.isfinite(RelativeMaps()(x)).all()
    assert torch.isfinite(CentreContrast((4, 5, 6), (5, 2, 2), 4.0)(x)).all()
