"""Gradients as operators: the same maps from onnxruntime as from torch."""

import numpy as np
import pytest
import torch
from torch import nn

from cfzoo.export.graph import export_artifact
from cfzoo.export.graph import trace as module
from cfzoo.export.graph.gradient import fold_batch_norms, gradients_as_operators
from cfzoo.export.graph.modules import ExplainedGraph, ProbabilityGraph
from cfzoo.export.graph.parity import MAP_PARITY, check_map_parity, probe_cubes
from cfzoo.runtime.artifact import CHANNELS, Card
from cfzoo.runtime.errors import ArtifactError
from cfzoo.zoo.models import ExplainedLayer
from cfzoo.zoo.registry import MODELS, build


def network_and_card(architecture, channels=1, shape=(8, 16, 16), normalisation="none"):
    card = Card(
        name=architecture,
        version="1.0.0",
        cube_shape=shape,
        voxel_size=(6, 3, 3),
        channels=CHANNELS[channels - 1],
        normalisation=normalisation,
        temperature=1.3,
        architecture=architecture,
    )
    torch.manual_seed(2)
    network = build(card).train()
    graph = ProbabilityGraph(network, card)
    with torch.no_grad():  # statistics of its data, and prototypes that occur in it
        if architecture == "pipnet3d":
            network.features[3].weight.data *= 20
        if architecture == "pyramid3d":  # whose head begins at 0, where nothing passes
            nn.init.normal_(network.head.weight)
        for seed in range(5):
            cubes = probe_cubes(card, 8, seed).astype(np.float32)
            network(graph.normalise(torch.from_numpy(cubes)))
    return network.eval(), card


@pytest.mark.parametrize(
    ("architecture", "channels", "shape", "normalisation"),
    [
        ("attention3d", 2, (7, 15, 13), "none"),
        ("pyramid3d", 2, (9, 15, 14), "none"),
        ("wavemix3d", 2, (7, 15, 13), "none"),
        ("pipnet3d", 2, (7, 15, 13), "none"),
        ("plain3d", 1, (8, 16, 16), "cube"),
        ("resnet18", 2, (20, 50, 50), "none"),
        pytest.param("resnet50", 1, (20, 50, 50), "none", marks=pytest.mark.slow),
    ],
)
def test_any_card_exports_with_maps(architecture, channels, shape, normalisation):
    network, card = network_and_card(architecture, channels, shape, normalisation)
    explained_layer = MODELS[architecture].explained_layer
    artifact = export_artifact(network, card, explained_layer=explained_layer)
    first = "hires_cam" if architecture == "wavemix3d" else "grad_cam"
    assert artifact.maps == ((first, "relevance") if explained_layer.relevance_layer else (first,))
    explained = ExplainedGraph(ProbabilityGraph(network, card), card, explained_layer).eval()
    cubes = probe_cubes(card, 20, seed=9).astype(np.float32)
    errors = check_map_parity(artifact, cubes, explained)
    assert np.mean(errors <= MAP_PARITY) > 0.8
    # The gradient shares the network's weights.
    weights = 4 * sum(p.numel() for p in fold_batch_norms(network).parameters())
    assert len(artifact.model) < 1.1 * weights + 50_000


def test_folding_batch_norms_keeps_the_function():
    for architecture in ("attention3d", "pyramid3d", "wavemix3d", "pipnet3d"):
        network, card = network_and_card(architecture)
        cubes = torch.from_numpy(probe_cubes(card, 5).astype(np.float32))
        before = {k: v.clone() for k, v in network.state_dict().items()}
        with torch.no_grad():
            same = fold_batch_norms(network)(cubes)
            torch.testing.assert_close(same, network(cubes), rtol=1e-4, atol=1e-4)
        assert all(torch.equal(v, before[k]) for k, v in network.state_dict().items())
        assert not [m for m in fold_batch_norms(network).modules() if type(m) is nn.BatchNorm3d]


@pytest.mark.parametrize("batch", [1, 2, 5])
def test_gradients_as_operators_take_any_number_of_cubes(batch):
    network, card = network_and_card("wavemix3d")
    graph = ExplainedGraph(
        ProbabilityGraph(fold_batch_norms(network), card), card, MODELS["wavemix3d"].explained_layer
    )
    example = torch.from_numpy(probe_cubes(card, 2).astype(np.float32))
    plain = gradients_as_operators(graph.eval(), example)
    cubes = torch.from_numpy(probe_cubes(card, batch, seed=3).astype(np.float32))
    for values, expected in zip(plain(cubes), graph(cubes), strict=True):
        torch.testing.assert_close(values, expected.detach(), rtol=1e-4, atol=1e-6)


class Smooth(nn.Module):
    """A network of SiLU, GELU, sigmoid, a strided convolution that skips rows, and a mean."""

    def __init__(self):
        super().__init__()
        self.first = nn.Conv3d(1, 4, 3, stride=2)
        self.middle = nn.Sequential(nn.SiLU(), nn.Conv3d(4, 6, 3, stride=2, padding=1), nn.GELU())
        self.head = nn.Linear(6, 2)

    def forward(self, x):
        y = self.middle(self.first(x / 1000))
        return self.head((y * torch.sigmoid(y)).mean(dim=(2, 3, 4)))


def test_smooth_activations_and_uneven_strides():
    torch.manual_seed(0)
    _, card = network_and_card("plain3d")
    network, explained_layer = Smooth().eval(), ExplainedLayer("first")
    artifact = export_artifact(network, card, explained_layer=explained_layer)
    explained = ExplainedGraph(ProbabilityGraph(network, card), card, explained_layer).eval()
    cubes = probe_cubes(card, 10, seed=4).astype(np.float32)
    assert check_map_parity(artifact, cubes, explained).max() < MAP_PARITY


def test_refuses_maps_that_differ_from_torchs(monkeypatch):
    network, card = network_and_card("plain3d")
    original = module.gradients_as_operators

    def wrong(graph, cubes):
        graph.maps.upsample.resize.matrix2.mul_(1.01)
        return original(graph, cubes)

    monkeypatch.setattr(module, "gradients_as_operators", wrong)
    with pytest.raises(ArtifactError, match="grad_cam differs from torch's"):
        export_artifact(network, card, explained_layer=MODELS["plain3d"].explained_layer)
