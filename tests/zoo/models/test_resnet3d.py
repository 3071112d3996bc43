"""ResNet3D against cellfinder's own network, with random weights and statistics."""

import numpy as np
import pytest
import torch

from cfzoo.runtime.errors import InputError
from cfzoo.zoo.models import ResNet3D
from cfzoo.zoo.models.resnet3d import PlaneNorm
from cfzoo.zoo.weights import load_keras_weights


@pytest.mark.parametrize(
    ("depth", "channels"),
    [
        (18, 1),
        (18, 2),
        *(
            pytest.param(depth, channels, marks=pytest.mark.slow)
            for depth in (34, 50, 101, 152)
            for channels in (1, 2)
        ),
    ],
)
def test_same_probabilities_as_cellfinder(
    depth, channels, cellfinder_resnet, save_keras, raw_cubes, tmp_path
):
    model = cellfinder_resnet(depth, channels)
    cubes = torch.from_numpy(raw_cubes(12, channels, seed=1))
    with torch.no_grad():
        expected = model(cubes.permute(0, 3, 4, 2, 1), training=False).cpu().numpy()
    # Constant probabilities would make the comparison meaningless.
    assert np.ptp(expected[:, 1]) > 0.3
    assert np.std(expected[:, 1]) > 0.1

    weights = load_keras_weights(save_keras(model, "legacy", tmp_path / "w"), depth)
    net = ResNet3D(depth, channels)
    net.load_state_dict(weights.state)
    with torch.inference_mode():
        result = net.eval()(cubes).softmax(dim=1).numpy()

    np.testing.assert_allclose(result, expected, rtol=0, atol=1e-5)
    stored = sum(v.numel() for k, v in net.state_dict().items() if "num_batches" not in k)
    assert stored == model.count_params()


# Counts of keras' ``count_params()`` for cellfinder 1.10.1 with (50, 50, 20, 2).
@pytest.mark.parametrize(("depth", "parameters"), [(18, 33_152_674), (50, 46_103_550)])
def test_number_of_parameters(depth, parameters):
    with torch.device("meta"):
        net = ResNet3D(depth, 2)
    tensors = {k: v for k, v in net.state_dict().items() if not k.endswith("num_batches_tracked")}
    assert sum(v.numel() for v in tensors.values()) == parameters


def test_norm_equals_torch_over_planes():
    torch.manual_seed(0)
    norm = PlaneNorm(4).eval()
    for tensor in (norm.weight, norm.bias, norm.running_mean, norm.running_var):
        torch.nn.init.uniform_(tensor, 0.5, 2)
    x = torch.randn(2, 3, 4, 5, 6)
    expected = torch.nn.BatchNorm3d.forward(norm, x.transpose(1, 2)).transpose(1, 2)
    torch.testing.assert_close(norm(x), expected)


def test_norm_trains_per_plane():
    torch.manual_seed(0)
    norm = PlaneNorm(4)
    x = torch.randn(8, 3, 4, 5, 6) * torch.tensor([1.0, 2, 3, 4])[:, None, None] + 5
    y = norm(x)
    torch.testing.assert_close(y.mean((0, 1, 3, 4)), torch.zeros(4), atol=1e-5, rtol=0)
    torch.testing.assert_close(y.var((0, 1, 3, 4)), torch.ones(4), atol=1e-2, rtol=0)
    # Keras' momentum 0.99 from zero.
    torch.testing.assert_close(norm.running_mean, 0.01 * x.mean((0, 1, 3, 4)))


def test_new_network_learns():
    torch.manual_seed(0)
    net = ResNet3D(18, 1)
    loss = torch.nn.functional.cross_entropy(
        net(torch.rand(2, 1, 20, 32, 32)), torch.tensor([0, 1])
    )
    loss.backward()
    gradients = [p.grad for p in net.parameters()]
    assert torch.isfinite(loss)
    assert all(g is not None and g.isfinite().all() and g.abs().sum() > 0 for g in gradients)


@pytest.mark.parametrize(("depth", "channels"), [(20, 2), ("50", 2), (50, 3), (50, 0)])
def test_refuses_unknown_depth_or_channels(depth, channels):
    with pytest.raises(InputError, match="expected"):
        ResNet3D(depth, channels)


def test_a_head_over_the_features_answers_as_the_last_layer():
    torch.manual_seed(0)
    network = ResNet3D(18, 2).eval()
    network.fully_connected.bias.data = torch.tensor([0.3, -0.2])
    cubes = torch.rand(2, 2, 20, 50, 50) * 1000
    names = set(network.state_dict())
    with torch.inference_mode():
        expected = network(cubes).softmax(1)
        network.use_head()
        result = network(cubes)
        assert network.head is not None
        assert torch.equal(network.head(network.features(cubes)), result)
    assert (result[:, 0] == 0).all()
    np.testing.assert_allclose(result.softmax(1), expected, atol=1e-5)
    assert names < set(network.state_dict())
