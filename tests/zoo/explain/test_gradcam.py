"""Maps against captum's, and against what can be computed by hand."""

import dataclasses

import pytest
import torch
from captum.attr import GuidedBackprop, LayerGradCam
from torch import nn
from torch.nn import functional as F

from cfzoo.runtime.artifact import Card
from cfzoo.runtime.errors import InputError
from cfzoo.zoo.explain import Maps
from cfzoo.zoo.explain.gradcam import Upsample, guided_backprop
from cfzoo.zoo.models import ExplainedLayer
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
    """With random weights, and statistics of cubes that it has seen."""
    torch.manual_seed(1)
    net = build(card(architecture, channels)).train()
    if architecture == "pipnet3d":  # prototypes that are found somewhere
        net.features[3].weight.data *= 20
    with torch.no_grad():
        for _ in range(5):
            net(cubes(architecture, channels, 4))
    return net.eval()


def cubes(architecture, channels=1, n=3):
    shape = card(architecture).cube_shape
    return torch.rand(n, channels, *shape, generator=torch.Generator().manual_seed(n)) * 1000


class Margin(nn.Module):
    """One number a cube, as captum wants it."""

    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, x):
        logits = self.net(x)
        return logits[:, 1] - logits[:, 0]


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("architecture", ["attention3d", "wavemix3d", "pipnet3d", "resnet18"])
def test_grad_cam_is_captums(architecture, channels):
    net, x = network(architecture, channels), cubes(architecture, channels)
    look = MODELS[architecture].look
    maps = Maps(net, look, channels, x.shape[2:])
    logits, found, *_ = maps(x)
    theirs = LayerGradCam(Margin(net), net.get_submodule(look.layer)).attribute(x)
    torch.testing.assert_close(found, maps.spread(theirs[:, 0]), rtol=1e-4, atol=1e-7)
    assert found.std() > 0
    torch.testing.assert_close(logits, net(x).detach())
    # For the other class the map is the same with the other sign.
    class_map = LayerGradCam(net, net.get_submodule(look.layer))
    both = [class_map.attribute(x, target=k)[:, 0] for k in (0, 1)]
    torch.testing.assert_close(found, maps.spread(both[1] - both[0]), rtol=1e-4, atol=1e-6)


def test_guided_backprop_is_captums_where_all_is_relu():
    net, x = network("plain3d"), cubes("plain3d")
    for cell, sign in ((True, 1), (False, -1)):

        class Signed(Margin):
            def forward(self, x, sign=sign):
                return sign * super().forward(x)

        theirs = GuidedBackprop(Signed(net)).attribute(x)
        found = guided_backprop(net, x, cell)
        torch.testing.assert_close(found, theirs, rtol=1e-4, atol=1e-9)
        assert found.std() > 0


class Two(nn.Module):
    """Two layers with an activation between, given as a function or a module."""

    def __init__(self, act):
        super().__init__()
        torch.manual_seed(0)
        self.first = nn.Conv3d(1, 4, 3, padding=1)
        self.act = act
        self.head = nn.Linear(4, 2)

    def forward(self, x):
        return self.head(self.act(self.first(x)).mean(dim=(2, 3, 4)))


@pytest.mark.parametrize("act", [F.relu, torch.relu, torch.Tensor.relu, nn.ReLU()], ids=range(4))
def test_guided_backprop_sees_functions_too(act):
    x = torch.randn(2, 1, 4, 5, 5)
    wanted = GuidedBackprop(Margin(Two(nn.ReLU()))).attribute(x)
    torch.testing.assert_close(guided_backprop(Two(act), x), wanted)


@pytest.mark.parametrize(("act", "derivative"), [(F.gelu, None), (nn.GELU(), None), (F.silu, None)])
def test_guided_gelu_and_silu_gate_the_true_gradient(act, derivative):
    """grad = 1[g > 0] 1[a(y) > 0] a'(y) g: the convention that the docstring states."""
    net, x = Two(act), torch.randn(2, 1, 4, 5, 5)
    y = net.first(x).detach().requires_grad_()
    out = act(y)
    (slope,) = torch.autograd.grad(out.sum(), y)
    weight = (net.head.weight[1] - net.head.weight[0]).detach()
    upwards = (weight / y[0, 0].numel())[None, :, None, None, None].expand_as(y)
    gated = upwards.clamp(min=0) * (out > 0) * slope
    wanted = F.conv_transpose3d(gated, net.first.weight, padding=1).detach()
    found = guided_backprop(net, x)
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-8)
    leaf = x.clone().requires_grad_()
    (plain,) = torch.autograd.grad(Margin(net)(leaf).sum(), leaf)
    assert not torch.allclose(found, plain)


def test_a_mean_and_a_linear_layer_give_the_class_activation_map():
    """Zhou et al. 2016, divided by the number of voxels."""
    net, x = Two(nn.ReLU()), torch.randn(2, 1, 4, 6, 6)
    found = Maps(net, ExplainedLayer("act"), 1, (4, 6, 6))(x)[1]
    weight = net.head.weight[1] - net.head.weight[0]
    wanted = torch.einsum("k,nkzyx->nzyx", weight, net.act(net.first(x))) / (4 * 6 * 6)
    torch.testing.assert_close(found, wanted.detach())


def test_relevance_of_a_linear_network_is_its_sum():
    class Linear(nn.Module):
        def __init__(self):
            super().__init__()
            self.maps, self.last = nn.Identity(), nn.Identity()
            self.head = nn.Linear(4 * 6 * 6, 2, bias=False)

        def forward(self, x):
            return self.head(self.last(self.maps(x)).flatten(1))

    net, x = Linear(), torch.randn(3, 1, 4, 6, 6)
    logits, _, relevance = Maps(net, ExplainedLayer("last", fine="maps"), 1, (4, 6, 6))(x)
    torch.testing.assert_close(relevance.sum(dim=(1, 2, 3)), logits[:, 1] - logits[:, 0])


def test_nothing_is_left_in_the_network():
    net, x = network("attention3d"), cubes("attention3d")
    before = net(x)
    for _ in range(2):
        Maps(net, MODELS["attention3d"].look, 1, SHAPE)(x)
        guided_backprop(net, x)
    assert torch.equal(net(x), before)
    assert not any(m._forward_hooks for m in net.modules())
    assert all(p.grad is None for p in net.parameters())


def test_a_layer_that_cannot_be_mapped():
    net = network("attention3d")
    with pytest.raises(InputError, match=r"no layer 'stage9'; it has maps, stage1, "):
        Maps(net, ExplainedLayer("stage9"), 1, SHAPE)
    with pytest.raises(InputError, match="does not give"):
        Maps(net, ExplainedLayer("head"), 1, SHAPE)
    twice = Two(nn.ReLU())
    twice.head = nn.Sequential(twice.act, twice.head)
    with pytest.raises(InputError, match=r"does not give .* once"):
        Maps(twice, ExplainedLayer("act"), 1, (4, 6, 6))


def test_spread_evenly_is_trilinear_interpolation():
    maps = torch.randn(2, 3, 4, 5)
    wanted = F.interpolate(maps[:, None], (9, 8, 11), mode="trilinear", align_corners=False)[:, 0]
    torch.testing.assert_close(Upsample((3, 4, 5), (9, 8, 11))(maps), wanted)


@pytest.mark.parametrize("architecture", ["attention3d", "wavemix3d", "pipnet3d", "resnet18"])
def test_a_layers_voxels_look_where_the_table_says(architecture):
    """The middle of what a voxel of the layer depends on, by the gradient.

    Of two neighbours, since a wavelet's voxels look half a voxel to one side in turn.
    """
    look = MODELS[architecture].look
    # Noise, since a flat cube has no gradient; many, since ReLUs hide parts.
    if architecture == "resnet18":  # larger than what a voxel sees: faces would shift its middle
        large = dataclasses.replace(card(architecture), cube_shape=(48, 80, 80))
        net, x = build(large).eval(), torch.rand(2, 1, *large.cube_shape)
    else:
        net, x = network(architecture), cubes(architecture, n=64)
    kept = {}
    net.get_submodule(look.layer).register_forward_hook(lambda m, i, o: kept.update(a=o))
    net(x.requires_grad_())
    output = kept["a"]
    at = torch.tensor(output.shape[2:]) // 2 - 1
    for axis, (first, step) in enumerate(zip(look.first, look.step, strict=True)):
        found = []
        for more in (0, 1):
            place = at.clone()
            place[axis] += more
            (gradient,) = torch.autograd.grad(
                output[(..., *place.tolist())].sum(), x, retain_graph=True
            )
            line = (gradient**2).sum(dim=[a for a in range(5) if a != axis + 2])
            found.append((line * torch.arange(len(line))).sum() / line.sum())
        wanted = first + step * (at[axis] + 0.5)
        assert abs(sum(found) / 2 - wanted) < 0.15 * step + 0.3, (axis, found, wanted)
