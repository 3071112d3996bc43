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


@pytest.fixture(scope="module")
def flat_resnet(cellfinder_resnet):
    return cellfinder_resnet(18, 2, 0, 1)


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
def test_labels_of_points_are_cellfinders(cellfinder_resnet, spread_logits, save_keras, tmp_path):
    """One plane of each point, its y and x resampled, on 300 points away from the faces."""
    from scipy.ndimage import gaussian_filter

    flat_resnet = cellfinder_resnet(18, 2, 1, 1)
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 1, (2, 8, 200, 220))
    volumes = (gaussian_filter(noise, (0, 0, 2, 2)) * 6000 + 1500).clip(0).astype(np.uint16)
    points = rng.integers((0, 25, 25), (8, 175, 195), (300, 3))
    planes = np.stack([volumes[:, z, y - 20 : y + 20, x - 20 : x + 20] for z, y, x in points])
    cubes = torch.nn.functional.interpolate(
        torch.from_numpy(planes.astype(np.float32)), size=(50, 50), mode="bilinear"
    )
    spread_logits(flat_resnet, cubes[:100, :, None].numpy())
    layer = flat_resnet.get_layer("fully_connected")
    layer.set_weights([weight / 2 for weight in layer.get_weights()])  # to a margin of about 1
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
