"""Networks of other people, such as AIND's for SmartSPIM: their answers from volumes."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

from cfzoo.export.import_network import import_network
from cfzoo.runtime import Options, classify
from cfzoo.runtime.artifact import Card, read_model
from cfzoo.runtime.errors import InputError

CARD = Card(
    name="smartspim",
    version="1.0.0",
    cube_shape=(26, 14, 14),
    voxel_size=(4, 3.6, 3.6),
    channels=("signal", "background"),
    normalisation="percentile",
    percentiles=(1, 99),
    padding="zero",
)
SHAPE = (60, 50, 44)


class GroupNormNet(nn.Module):
    """Convolutions, group normalisation and a gate over axes x y z c, to probabilities."""

    def __init__(self):
        super().__init__()
        self.first = nn.Conv3d(2, 16, 3, padding=1, bias=False)
        self.second = nn.Conv3d(16, 32, 3, stride=2, padding=1, bias=False)
        self.norms = nn.ModuleList([nn.GroupNorm(8, 16), nn.GroupNorm(8, 32)])
        self.gate, self.head = nn.Linear(32, 32), nn.Linear(32, 2)

    def forward(self, cubes):
        cubes = cubes.permute(0, 4, 1, 2, 3)
        maps = torch.relu(self.norms[0](self.first(cubes)))
        maps = torch.relu(self.norms[1](self.second(maps)))
        features = maps.mean((2, 3, 4))
        return self.head(features * torch.sigmoid(self.gate(features))).softmax(1)


@pytest.fixture(scope="module")
def network():
    """Random weights, with a last layer that spreads the answers."""
    torch.manual_seed(0)
    network = GroupNormNet().eval()
    with torch.no_grad():
        network.head.weight.mul_(60)
        logits = network(torch.rand(50, 14, 14, 26, 2)).log()
        network.head.bias[1] += (logits[:, 0] - logits[:, 1]).mean()
    return network


@pytest.fixture(scope="module")
def brain():
    """Two channels and 300 points; corners, and a region in which all cubes are even."""
    rng = np.random.default_rng(1)
    volumes = rng.gamma(2, 400, (2, *SHAPE)).astype(np.uint16)
    volumes[0, :40, :28, :28], volumes[1, :40, :28, :28] = 700, 300
    points = rng.integers(0, SHAPE, (300, 3))
    points[:8] = [[z, y, x] for z in (0, 59) for y in (0, 49) for x in (0, 43)]
    points[8] = (20, 14, 14)
    return volumes, points.astype(float)


def cut_as_aind(volumes, points):
    """Cubes (n, x, y, z, c) around each point, zeros outside, percentiles of each channel."""
    half = np.array(CARD.cube_shape) // 2
    padded = np.pad(volumes, [(0, 0), *((n, n) for n in half)])
    cubes = []
    for z, y, x in points.astype(int):
        cube = padded[:, z : z + 26, y : y + 14, x : x + 14].astype(np.float64)
        for channel in cube:
            low, high = np.percentile(channel, (1, 99))
            even = np.full(channel.shape, 0.5)
            channel[:] = np.clip((channel - low) / (high - low), 0, 1) if high > low else even
        cubes.append(cube.transpose(3, 2, 1, 0))
    return np.stack(cubes)


def answer_as_aind(network, volumes, points):
    """Probabilities of a cell in float64."""
    cubes = torch.from_numpy(cut_as_aind(volumes, points))
    with torch.inference_mode():
        return copy.deepcopy(network).double()(cubes)[:, 1].numpy()


@pytest.mark.parametrize(
    ("backend", "share"),
    # Without AVX-512, OpenVINO is off by 1.7e-5 at the whole spread, in cubes that are nearly even.
    [("onnxruntime", 1), ("openvino", 8 / 60)],
)
def test_answers_from_volumes_are_the_networks_own(network, brain, tmp_path, backend, share):
    volumes, points = brain
    network = copy.deepcopy(network)
    with torch.no_grad():
        for parameter in network.head.parameters():
            parameter.mul_(share)
    expected = answer_as_aind(network, volumes, points)
    assert expected.std() > 0.05  # the network tells cubes apart
    artifact = import_network(network, CARD, axes="xyzc", answer="probabilities")
    path = tmp_path / CARD.file_name
    path.write_bytes(artifact.model)
    results = classify(
        points, *volumes, model=read_model(path), voxel_size=CARD.voxel_size,
        options=Options(backend=backend),
    )  # fmt: skip
    error = np.abs(results.probability - expected).max()
    print(f"{backend}: largest difference {error:.2g}")
    assert error <= 1e-5


@pytest.fixture
def keras_network():
    """The layers of AIND's own classifier, fewer of them: residual blocks with group normalisation
    and spatial attention, axes x y z c, to the probability of a cell."""
    import cellfinder.core.classify.resnet  # noqa: F401  sets keras' backend
    import keras
    from keras import layers, ops

    class GroupNorm(layers.Layer):
        def build(self, shape):
            self.gamma = self.add_weight(name="gamma", shape=shape[-1:], initializer="ones")
            self.beta = self.add_weight(name="beta", shape=shape[-1:], initializer="zeros")

        def call(self, x):
            shape = ops.shape(x)
            groups = ops.reshape(x, (*shape[:4], 4, x.shape[-1] // 4))
            mean = ops.mean(groups, axis=[1, 2, 3, 5], keepdims=True)
            variance = ops.var(groups, axis=[1, 2, 3, 5], keepdims=True)
            groups = (groups - mean) / ops.sqrt(variance + 1e-5)
            return ops.reshape(groups, shape) * self.gamma + self.beta

    class Pooled(layers.Layer):
        def call(self, x):
            mean, most = (f(x, axis=-1, keepdims=True) for f in (ops.mean, ops.max))
            return ops.concatenate([mean, most], axis=-1)

    keras.utils.set_random_seed(0)
    cubes = layers.Input((14, 14, 26, 2))
    x = layers.Conv3D(8, 5, padding="same", use_bias=False)(cubes)
    x = layers.MaxPooling3D(2, padding="same")(layers.ReLU()(GroupNorm()(x)))
    for width, stride in ((8, 1), (16, 2)):
        y = layers.Conv3D(width, 3, strides=stride, padding="same", use_bias=False)(x)
        y = layers.Conv3D(width, 3, padding="same")(layers.ReLU()(GroupNorm()(y)))
        x = layers.Conv3D(width, 1, strides=stride, use_bias=False)(x)
        y = layers.ReLU()(layers.Add()([GroupNorm()(y), GroupNorm()(x)]))
        gate = layers.Conv3D(1, 5, padding="same", activation="sigmoid")(Pooled()(y))
        x = layers.Multiply()([y, gate])
    features = layers.GlobalAveragePooling3D()(x)
    return keras.Model(cubes, layers.Dense(1, activation="sigmoid")(features))


@pytest.mark.slow
def test_answers_are_those_that_keras_gives_in_single_precision(keras_network, brain, tmp_path):
    volumes, points = brain
    cubes = torch.from_numpy(cut_as_aind(volumes, points[:100]).astype(np.float32))
    *_, head = keras_network.layers
    with torch.inference_mode():
        before = keras_network(cubes, training=False).log() - (1 - keras_network(cubes)).log()
        kernel, bias = head.get_weights()
        scale = 0.6 / before.std().item()  # or all answers would be nearly the same
        head.set_weights([kernel * scale, (bias - before.mean().item()) * scale])
        expected = keras_network(cubes, training=False)[:, 0].numpy()
    assert expected.std() > 0.05
    artifact = import_network(keras_network, CARD, axes="xyzc", answer="probability")
    path = tmp_path / CARD.file_name
    path.write_bytes(artifact.model)
    results = classify(
        points[:100], *volumes, model=read_model(path), voxel_size=CARD.voxel_size,
        options=Options(backend="onnxruntime"),
    )  # fmt: skip
    error = np.abs(results.probability - expected).max()
    print(f"largest difference from keras {error:.2g}")
    assert error <= 1e-5


def test_a_probability_or_logits_are_answers_too(network):
    class Probability(nn.Module):
        def __init__(self):
            super().__init__()
            self.network = network

        def forward(self, cubes):
            return self.network(cubes.permute(0, 4, 3, 2, 1))[:, 1]

    first = import_network(network, CARD, axes="xyzc", answer="probabilities")
    other = import_network(Probability(), CARD, answer="probability")
    np.testing.assert_allclose(other.test_output, first.test_output, atol=1e-6)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"axes": "zyx"}, "expected the letters c, z, y and x"),
        ({"answer": "label"}, "expected one of logits"),
        ({"axes": "czyx"}, r"does not take cubes of \(2, 26, 14, 14\)"),
    ],
)
def test_refuses_what_does_not_fit(network, options, message):
    with pytest.raises(InputError, match=message):
        import_network(network, CARD, **{"axes": "xyzc", "answer": "probabilities", **options})
    with pytest.raises(InputError, match="expected \\(2, 2\\)"):
        import_network(nn.Flatten(), CARD)
