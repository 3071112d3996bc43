"""Maps against captum's, and against values computed by hand."""

import dataclasses

import pytest
import torch
from captum.attr import GuidedBackprop, LayerGradCam, LayerGradientXActivation
from torch import nn
from torch.nn import functional as F

from cfzoo.runtime.artifact import Card
from cfzoo.runtime.errors import InputError
from cfzoo.zoo.explain import Maps
from cfzoo.zoo.explain.gradcam import Upsample, guided_backprop
from cfzoo.zoo.models import ExplainedLayer, middle_half
from cfzoo.zoo.registry import MODELS, build

SHAPE = (8, 16, 16)


def card(architecture, channels=1):
    return Card(
        name=architecture,
        version="1.0.0",
        cube_shape=(20, 50, 50) if architecture.startswith("resnet") else SHAPE,
        voxel_size=(5, 1, 1) if architecture.startswith("resnet") else (6, 3, 3),
        channels=("signal", "background")[:channels],
        normalisation="none",
        architecture=architecture,
    )


def network(architecture, channels=1):
    """Return a network with random weights and statistics of random cubes."""
    torch.manual_seed(1)
    net = build(card(architecture, channels)).train()
    if architecture == "pipnet3d":  # so that prototypes have a presence
        net.features[3].weight.data *= 20
    if architecture == "pyramid3d":  # whose head begins at 0, where nothing passes
        nn.init.normal_(net.head.weight)
    with torch.no_grad():
        for _ in range(5):
            net(cubes(architecture, channels, 4))
    return net.eval()


def cubes(architecture, channels=1, n=3):
    shape = card(architecture).cube_shape
    return torch.rand(n, channels, *shape, generator=torch.Generator().manual_seed(n)) * 1000


class Margin(nn.Module):
    """The margin, one number per cube, as captum expects it."""

    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, x):
        logits = self.net(x)
        return logits[:, 1] - logits[:, 0]


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize(
    "architecture", ["attention3d", "pyramid3d", "wavemix3d", "pipnet3d", "resnet18"]
)
def test_grad_cam_equals_captum(architecture, channels):
    net, x = network(architecture, channels), cubes(architecture, channels)
    explained_layer = dataclasses.replace(MODELS[architecture].explained_layer, by_voxel=False)
    maps = Maps(net, explained_layer, channels, x.shape[2:])
    logits, grad_cam, *_ = maps(x)
    captum_map = LayerGradCam(Margin(net), net.get_submodule(explained_layer.layer)).attribute(x)
    torch.testing.assert_close(grad_cam, maps.upsample(captum_map[:, 0]), rtol=1e-4, atol=1e-7)
    assert grad_cam.std() > 0
    torch.testing.assert_close(logits, net(x).detach())
    # The map of no cell is that of a cell with the opposite sign.
    class_map = LayerGradCam(net, net.get_submodule(explained_layer.layer))
    both = [class_map.attribute(x, target=k)[:, 0] for k in (0, 1)]
    torch.testing.assert_close(grad_cam, maps.upsample(both[1] - both[0]), rtol=1e-4, atol=1e-6)


def test_hires_cam_equals_captum():
    """The sum over the channels of gradient times activation, see Draelos and Carin (2020)."""
    net, x = network("wavemix3d"), cubes("wavemix3d")
    explained_layer = MODELS["wavemix3d"].explained_layer
    maps = Maps(net, explained_layer, 1, x.shape[2:])
    _, hires_cam, _ = maps(x)
    products = LayerGradientXActivation(Margin(net), net.get_submodule(explained_layer.layer))
    expected = maps.upsample(products.attribute(x).sum(1))
    torch.testing.assert_close(hires_cam, expected, rtol=1e-4, atol=1e-7)
    averaged = Maps(net, dataclasses.replace(explained_layer, by_voxel=False), 1, x.shape[2:])(x)[1]
    assert (hires_cam - averaged).abs().max() > 0.1 * hires_cam.abs().max()


def test_names_say_which_map_a_layer_gives():
    assert MODELS["wavemix3d"].explained_layer.map_names == ("hires_cam", "relevance")
    assert MODELS["attention3d"].explained_layer.map_names == ("grad_cam", "relevance")
    assert ExplainedLayer("last", by_voxel=True).map_names == ("hires_cam",)
    # One layer has one map.
    assert ExplainedLayer("maps", relevance_layer="maps").map_names == ("grad_cam",)


def test_guided_backprop_of_relus_equals_captum():
    net, x = network("plain3d"), cubes("plain3d")
    for cell, sign in ((True, 1), (False, -1)):

        class Signed(Margin):
            def forward(self, x, sign=sign):
                return sign * super().forward(x)

        captum_map = GuidedBackprop(Signed(net)).attribute(x)
        result = guided_backprop(net, x, cell)
        torch.testing.assert_close(result, captum_map, rtol=1e-4, atol=1e-9)
        assert result.std() > 0


class TwoLayers(nn.Module):
    """Two layers with an activation between them, a function or a module."""

    def __init__(self, activation):
        super().__init__()
        torch.manual_seed(0)
        self.first = nn.Conv3d(1, 4, 3, padding=1)
        self.activation = activation
        self.head = nn.Linear(4, 2)

    def forward(self, x):
        return self.head(self.activation(self.first(x)).mean(dim=(2, 3, 4)))


@pytest.mark.parametrize(
    "activation", [F.relu, torch.relu, torch.Tensor.relu, nn.ReLU()], ids=range(4)
)
def test_guided_backprop_covers_functions_and_modules(activation):
    x = torch.randn(2, 1, 4, 5, 5)
    expected = GuidedBackprop(Margin(TwoLayers(nn.ReLU()))).attribute(x)
    torch.testing.assert_close(guided_backprop(TwoLayers(activation), x), expected)


@pytest.mark.parametrize(
    ("activation", "derivative"), [(F.gelu, None), (nn.GELU(), None), (F.silu, None)]
)
def test_guided_gelu_and_silu_gate_true_gradient(activation, derivative):
    """The docstring's convention: grad = 1[g > 0] 1[a(y) > 0] a'(y) g."""
    net, x = TwoLayers(activation), torch.randn(2, 1, 4, 5, 5)
    y = net.first(x).detach().requires_grad_()
    out = activation(y)
    (slope,) = torch.autograd.grad(out.sum(), y)
    weight = (net.head.weight[1] - net.head.weight[0]).detach()
    upwards = (weight / y[0, 0].numel())[None, :, None, None, None].expand_as(y)
    gated = upwards.clamp(min=0) * (out > 0) * slope
    expected = F.conv_transpose3d(gated, net.first.weight, padding=1).detach()
    result = guided_backprop(net, x)
    torch.testing.assert_close(result, expected, rtol=1e-4, atol=1e-8)
    leaf = x.clone().requires_grad_()
    (plain,) = torch.autograd.grad(Margin(net)(leaf).sum(), leaf)
    assert not torch.allclose(result, plain)


def test_mean_and_linear_layer_give_class_activation_map():
    """Zhou et al. 2016, divided by the number of voxels."""
    net, x = TwoLayers(nn.ReLU()), torch.randn(2, 1, 4, 6, 6)
    result = Maps(net, ExplainedLayer("activation"), 1, (4, 6, 6))(x)[1]
    weight = net.head.weight[1] - net.head.weight[0]
    expected = torch.einsum("k,nkzyx->nzyx", weight, net.activation(net.first(x))) / (4 * 6 * 6)
    torch.testing.assert_close(result, expected.detach())


def test_relevance_of_linear_network_sums_to_margin():
    class Linear(nn.Module):
        def __init__(self):
            super().__init__()
            self.maps, self.last = nn.Identity(), nn.Identity()
            self.head = nn.Linear(4 * 6 * 6, 2, bias=False)

        def forward(self, x):
            return self.head(self.last(self.maps(x)).flatten(1))

    net, x = Linear(), torch.randn(3, 1, 4, 6, 6)
    layer = ExplainedLayer("last", relevance_layer="maps")
    logits, _, relevance = Maps(net, layer, 1, (4, 6, 6))(x)
    torch.testing.assert_close(relevance.sum(dim=(1, 2, 3)), logits[:, 1] - logits[:, 0])


def test_network_is_unchanged():
    net, x = network("attention3d"), cubes("attention3d")
    before = net(x)
    for _ in range(2):
        Maps(net, MODELS["attention3d"].explained_layer, 1, SHAPE)(x)
        guided_backprop(net, x)
    assert torch.equal(net(x), before)
    assert not any(m._forward_hooks for m in net.modules())
    assert all(p.grad is None for p in net.parameters())


def test_refuses_layer_that_cannot_be_mapped():
    net = network("attention3d")
    with pytest.raises(InputError, match=r"no layer 'stage9'; it has stage1, stage2, "):
        Maps(net, ExplainedLayer("stage9"), 1, SHAPE)
    with pytest.raises(InputError, match="does not give"):
        Maps(net, ExplainedLayer("head"), 1, SHAPE)
    twice = TwoLayers(nn.ReLU())
    twice.head = nn.Sequential(twice.activation, twice.head)
    with pytest.raises(InputError, match=r"does not give .* once"):
        Maps(twice, ExplainedLayer("activation"), 1, (4, 6, 6))


def test_even_spread_is_trilinear_interpolation():
    maps = torch.randn(2, 3, 4, 5)
    expected = F.interpolate(maps[:, None], (9, 8, 11), mode="trilinear", align_corners=False)[:, 0]
    torch.testing.assert_close(Upsample((3, 4, 5), (9, 8, 11))(maps), expected)


@pytest.mark.parametrize(
    "architecture", ["attention3d", "pyramid3d", "wavemix3d", "pipnet3d", "resnet18"]
)
def test_layer_positions_match_registry(architecture):
    """The gradient locates the part of the cube that a voxel of the layer depends on.

    The mean over two neighbours is tested, since a wavelet's voxels lie half a voxel off in turn.
    """
    layer = MODELS[architecture].explained_layer
    # Noise, since a flat cube has no gradient; many cubes, since ReLUs hide parts.
    if architecture == "resnet18":  # the faces must not cut the receptive field
        large = dataclasses.replace(card(architecture), cube_shape=(48, 80, 80))
        net, x = build(large).eval(), torch.rand(2, 1, *large.cube_shape)
    elif layer.middle:  # the same, of the middle half
        large = dataclasses.replace(card(architecture), cube_shape=(32, 64, 64))
        net, x = build(large).eval(), 100 + 1000 * torch.rand(16, 1, *large.cube_shape)
    else:
        net, x = network(architecture), cubes(architecture, n=64)
    outputs = []
    net.get_submodule(layer.layer).register_forward_hook(lambda m, i, o: outputs.append(o))
    net(x.requires_grad_())
    (output,) = outputs
    voxel = torch.tensor(output.shape[2:]) // 2 - 1
    for axis, (offset, stride) in enumerate(zip(layer.offset, layer.stride, strict=True)):
        centres = []
        for step in (0, 1):
            position = voxel.clone()
            position[axis] += step
            (gradient,) = torch.autograd.grad(
                output[(..., *position.tolist())].sum(), x, retain_graph=True
            )
            profile = (gradient**2).sum(dim=[a for a in range(5) if a != axis + 2])
            centres.append((profile * torch.arange(len(profile))).sum() / profile.sum())
        start = middle_half(x.shape[2:])[axis].start if layer.middle else 0
        expected = start + offset + stride * (voxel[axis] + 0.5)
        assert abs(sum(centres) / 2 - expected) < 0.15 * stride + 0.3, (axis, centres, expected)
