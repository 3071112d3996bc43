"""cellfinder's 2D networks: release 1.11 builds them from layers of the installed one's names."""

import numpy as np
import pytest
import torch

from cfzoo.export.import_cellfinder import import_cellfinder
from cfzoo.runtime import Options, classify
from cfzoo.runtime.artifact import read_model
from cfzoo.runtime.errors import InputError
from cfzoo.zoo.models import ResNet3D
from cfzoo.zoo.weights import load_keras_weights


def spread(model, cubes):
    """Give the margin mean 0 and deviation 1 over cubes (n, y, x, c), twice for rounding."""
    layer = model.get_layer("fully_connected")
    for _ in range(2):
        with torch.no_grad():
            logits = model(cubes, training=False).log()
        margin = logits[:, 1] - logits[:, 0]
        kernel, bias = layer.get_weights()
        bias[1] -= margin.mean().item()
        layer.set_weights([kernel / margin.std().item(), bias / margin.std().item()])


@pytest.fixture(scope="module")
def flat_resnet(raw_cubes):
    """cellfinder's ResNet-18 on (y, x, c), as its release 1.11 makes it."""
    from cellfinder.core.classify import resnet
    from keras import layers

    def in_plane(layer):
        def make(*args, **options):
            cut = [a[:2] if isinstance(a, tuple) else a for a in args]
            named = {k: v[:2] if isinstance(v, tuple) else v for k, v in options.items()}
            return layer(*cut, **named)

        return make

    with pytest.MonkeyPatch.context() as patched:
        for name in ("Conv", "MaxPooling", "GlobalAveragePooling", "ZeroPadding"):
            patched.setattr(resnet, f"{name}3D", in_plane(getattr(layers, f"{name}2D")))
        torch.manual_seed(0)
        model = resnet.build_model((50, 50, 2), network_depth="18-layer", axis=2)
    cubes = torch.from_numpy(raw_cubes(24, 2)[:, :, 10]).permute(0, 2, 3, 1)
    norms = [layer for layer in model.layers if type(layer).__name__ == "BatchNormalization"]
    with torch.no_grad():
        for layer in norms:
            layer.momentum = 0.5
        for _ in range(8):
            model(cubes, training=True)
    spread(model, cubes)
    return model


@pytest.mark.parametrize("fmt", ["weights", "keras", "whole"])
def test_answers_are_keras(flat_resnet, save_keras, raw_cubes, tmp_path, fmt):
    path = save_keras(flat_resnet, fmt, tmp_path / "flat")
    weights = load_keras_weights(path)
    assert (weights.depth, weights.channels, weights.planes) == (18, 2, 1)
    network = ResNet3D(18, 2, 1).eval()
    network.load_state_dict(weights.state)
    cubes = torch.from_numpy(raw_cubes(20, 2, seed=1)[:, :, 10:11])
    with torch.no_grad():
        actual = network(cubes).softmax(1).numpy()
        expected = flat_resnet(cubes[:, :, 0].permute(0, 2, 3, 1), training=False).numpy()
    assert expected[:, 1].std() > 0.1
    np.testing.assert_allclose(actual, expected, atol=1e-5)
    if fmt == "weights":
        with pytest.raises(InputError, match="conv1_bn"):
            load_keras_weights(path, columns=64)


def test_training_normalises_columns_too(flat_resnet):
    network = ResNet3D(18, 1, 1, 40).train()
    norm = network.conv1_bn
    assert norm.running_mean.shape == (20,)
    x = torch.randn(6, 64, 1, 20, 20) + torch.arange(20)
    assert norm(x).mean((0, 1, 2, 3)).abs().max() < 1e-5


@pytest.mark.slow
def test_labels_of_points_are_cellfinders(flat_resnet, save_keras, tmp_path):
    """One plane of each point, its y and x resampled, on 300 points away from the faces."""
    from scipy.ndimage import gaussian_filter

    rng = np.random.default_rng(0)
    noise = rng.normal(0, 1, (2, 8, 200, 220))
    volumes = (gaussian_filter(noise, (0, 0, 2, 2)) * 6000 + 1500).clip(0).astype(np.uint16)
    points = rng.integers((0, 25, 25), (8, 175, 195), (300, 3))
    planes = np.stack([volumes[:, z, y - 20 : y + 20, x - 20 : x + 20] for z, y, x in points])
    cubes = torch.nn.functional.interpolate(
        torch.from_numpy(planes.astype(np.float32)), size=(50, 50), mode="bilinear"
    )
    spread(flat_resnet, cubes.permute(0, 2, 3, 1))
    path = save_keras(flat_resnet, "weights", tmp_path / "flat")
    artifact = import_cellfinder(path, output=tmp_path)
    assert read_model(artifact).only_artifact.card.cube_shape == (1, 50, 50)
    with torch.no_grad():
        expected = flat_resnet(cubes.permute(0, 2, 3, 1), training=False).numpy()[:, 1]
    results = classify(
        points.astype(float),
        *volumes,
        model=read_model(artifact),
        voxel_size=(7, 1.25, 1.25),
        options=Options(backend="onnxruntime"),
    )
    error = np.abs(results.probability - expected).max()
    print(f"largest difference {error:.2g}")
    assert error <= 1e-5 and expected.std() > 0.1
    sure = np.abs(expected - 0.5) > 1e-4
    assert ((results.probability >= 0.5) == (expected >= 0.5))[sure].all()
