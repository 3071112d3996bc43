import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics import roc_auc_score

from cfzoo.export.graph import export_artifact
from cfzoo.runtime.errors import InputError
from cfzoo.zoo.data import load
from cfzoo.zoo.data.synthetic import write_synthetic
from cfzoo.zoo.explain import find_reasons
from cfzoo.zoo.models.blocks import axis_offsets
from cfzoo.zoo.models.filters3d import (
    SIGMAS_UM,
    BlobFilters,
    Filters3d,
    GaussianJet,
    symmetric_eigenvalues,
)
from cfzoo.zoo.recipe import recipe_for
from cfzoo.zoo.registry import MODELS, build
from cfzoo.zoo.training import predict_margins, train

SHAPE, SIZE = (16, 32, 32), (6.0, 3.0, 3.0)
FINE = (48, 48, 48), (2.0, 2.0, 2.0)


def blob(sigma, height=1.0, shape=FINE[0], size=FINE[1]):
    """Return a cube (1, 1, z, y, x) whose logarithm is a Gaussian at the candidate."""
    z, y, x = axis_offsets(shape, size)
    return 500 * torch.exp(height * torch.exp(-0.5 * (z**2 + y**2 + x**2) / sigma**2))[None, None]


def test_jet_is_exact_for_polynomials():
    z, y, x = axis_offsets(SHAPE, SIZE)
    linear, square, product = (0.7, -0.2, 0.4), (0.05, -0.03, 0.02), (0.01, -0.04, 0.06)
    cube = 3 + linear[0] * z + linear[1] * y + linear[2] * x
    cube = cube + square[0] * z**2 + square[1] * y**2 + square[2] * x**2
    cube = cube + product[0] * z * y + product[1] * z * x + product[2] * y * x
    gradient, hessian = GaussianJet(SHAPE, SIZE, SIGMAS_UM)(cube[None])
    for scale, sigma in enumerate(SIGMAS_UM):
        expected = torch.tensor([*(2 * s for s in square), *product]) * sigma**2
        torch.testing.assert_close(hessian[0, scale], expected, atol=0.02, rtol=1e-3)
        # The second derivatives do not reach the gradient.
        expected = torch.tensor(linear) * sigma
        torch.testing.assert_close(gradient[0, scale], expected, atol=0.02, rtol=1e-3)


def test_jet_of_a_gaussian_is_that_of_the_formula():
    cube = torch.log(blob(5.0) / 500)[:, 0]
    value, _, hessian = GaussianJet(*FINE, (5.0,)).with_values(cube)
    # A Gaussian of sigma s smoothed by t: height s^3 / (s^2 + t^2)^1.5, curvature over s^2 + t^2.
    expected = -(5.0**3) / 50**1.5 / 50 * 5.0**2
    np.testing.assert_allclose(hessian[0, 0, :3], expected, rtol=0.02)
    np.testing.assert_allclose(value[0, 0], 5.0**3 / 50**1.5, rtol=0.02)
    np.testing.assert_allclose(hessian[0, 0, 3:], 0, atol=0.003)


@settings(max_examples=100, deadline=None)
@given(arrays(np.float32, (5, 6), elements=st.floats(-100, 100, width=32)))
def test_eigenvalues_are_those_of_lapack(rows):
    zz, yy, xx, zy, zx, yx = rows.T
    full = np.array([[zz, zy, zx], [zy, yy, yx], [zx, yx, xx]]).transpose(2, 0, 1)
    expected = np.linalg.eigvalsh(full.astype(float))[:, ::-1]
    eigenvalues = symmetric_eigenvalues(torch.from_numpy(rows)).numpy()
    # Within 1e-6 of an equal pair the closed form is cut, so that its gradient stays finite.
    np.testing.assert_allclose(eigenvalues, expected, atol=2e-3 * (1 + np.abs(rows).max()))


def test_maxima_do_not_tell_the_size_of_a_blob():
    net = Filters3d(1, *FINE).eval()
    small, large = (net.features(blob(sigma))[0, :4] for sigma in (3.0, 7.0))
    assert (small > 0.05).all()
    torch.testing.assert_close(small, large, rtol=0.12, atol=0)
    assert (net.features(blob(5.0, height=-1.0))[0, 0] < 0.1 * small[0]).all()


@pytest.mark.parametrize("channels", [1, 2])
def test_features_ignore_a_factor_and_read_each_channel(channels):
    rng = np.random.default_rng(0)
    cubes = torch.from_numpy(rng.uniform(100, 3000, (3, channels, *SHAPE)).astype(np.float32))
    net = Filters3d(channels, SHAPE, SIZE)
    features = net.features(cubes)
    assert features.shape == (3, (9, 27)[channels - 1])
    torch.testing.assert_close(net.features(7 * cubes), features, atol=2e-4, rtol=1e-4)
    if channels == 2:
        assert not torch.equal(features[:, :9], features[:, 9:18])
        swapped = net.features(cubes.flip(1))
        # The order is by number, the maps apart: signal, background, difference.
        expected = torch.cat([features[:, 9:18], features[:, :9]], 1)
        torch.testing.assert_close(swapped[:, :18], expected)
        assert not torch.allclose(swapped[:, 18:], features[:, 18:])


def test_black_and_constant_cubes_have_finite_features_and_gradients():
    cubes = torch.zeros(2, 1, *SHAPE)
    cubes[1] = 1000
    cubes.requires_grad_()
    net = Filters3d(1, SHAPE, SIZE).eval()
    logits = net(cubes)
    assert torch.isfinite(logits).all()
    logits[:, 1].sum().backward()
    assert torch.isfinite(cubes.grad).all()


def test_a_head_learns_on_drawn_volumes_what_holds_on_another(tmp_path):
    recipe = dataclasses.replace(recipe_for("filters3d"), epochs=3, steps=30)
    volumes = write_synthetic(tmp_path, seeds=(20, 22, 27, 23), shape=(40, 120, 120))
    *trained, other = (load(volume, recipe.card()) for volume in volumes)
    network, _ = train(recipe, trained, seed=0)
    auc = roc_auc_score(other.labels, predict_margins(network, recipe, other))
    assert auc > 0.85  # that of the local contrast is 0.78
    assert (network.head.spread > 0.01).all() and (network.head.spread < 1).all()


def test_exports_without_maps_and_says_why_it_has_none():
    card = recipe_for("filters3d").card()
    network = build(card).eval()
    artifact = export_artifact(network, card, explained_layer=MODELS["filters3d"].explained_layer)
    assert artifact.maps == () and artifact.n_features == 9
    assert len(artifact.model) < 100_000
    cubes = np.full((1, 1, *card.cube_shape), 500, np.float32)
    with pytest.raises(InputError, match="filters look at the candidate alone"):
        find_reasons(network, card, cubes)


@pytest.mark.parametrize("channels", [1, 2])
def test_profile_is_the_brightness_that_the_filters_leave_out(channels):
    torch.manual_seed(0)
    filters = BlobFilters(channels, SHAPE, SIZE)
    x = 200 + 1000 * torch.rand(3, channels, *SHAPE)
    blobs, profile = filters.measure(x)
    torch.testing.assert_close(blobs, filters(x))
    maps, scales = (1 if channels == 1 else 3), len(SIGMAS_UM)
    assert profile.shape == (3, filters.profile_width) == (3, maps * (scales + 2))
    # A factor over the cube moves its mean alone.
    brighter = filters.measure(4 * x)[1]
    torch.testing.assert_close(
        brighter[:, : maps * (scales + 1)], profile[:, : maps * (scales + 1)]
    )
    rise = torch.log(torch.tensor([4.0, 4.0, 1.0]))[:maps]
    torch.testing.assert_close(brighter[:, -maps:] - profile[:, -maps:], rise.expand(3, -1))
    # The scales, smoothed by hand.
    logarithm = torch.log(x[:, 0] / x[:, 0].mean(dim=(1, 2, 3), keepdim=True))
    deviation = logarithm - logarithm.mean(dim=(1, 2, 3), keepdim=True)
    for scale, sigma in enumerate(SIGMAS_UM):
        weights = [
            torch.exp(-0.5 * (u / max(sigma, 0.6 * size)) ** 2)
            for u, size in zip(axis_offsets(SHAPE, SIZE), SIZE, strict=True)
        ]
        window = weights[0] * weights[1] * weights[2]
        mean = (deviation * window / window.sum()).sum(dim=(1, 2, 3))
        torch.testing.assert_close(profile[:, scale], mean, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(
        profile[:, maps * scales], deviation.flatten(1).std(dim=1, correction=0)
    )
