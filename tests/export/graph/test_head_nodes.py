"""Networks with a standardised head: the names, numbers and maps of their artifacts."""

import dataclasses

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper
from torch import nn

from cfzoo.export.graph import export_artifact, fuse, recalibrate
from cfzoo.export.graph.modules import ExplainedGraph, ProbabilityGraph
from cfzoo.export.graph.parity import check_map_parity, probabilities, probe_cubes
from cfzoo.runtime.artifact import (
    FEATURES,
    HEAD_NAMES,
    TEST_KEY,
    Card,
    Ensemble,
    Head,
    apply_temperature,
    encode_test,
    replace_head,
    verify,
)
from cfzoo.runtime.artifact import seal as seal_model
from cfzoo.runtime.errors import ArtifactError, InputError
from cfzoo.runtime.feature_statistics import FeatureStatistics, measure_features
from cfzoo.runtime.session import Session
from cfzoo.zoo.models import NO_OFFSET, ExplainedLayer, StandardisedHead

CARD = Card(
    name="tiny",
    version="1.0.0",
    cube_shape=(4, 6, 8),
    voxel_size=(5, 2, 2),
    channels=("signal",),
    normalisation="none",
    temperature=1.5,
    offset=0.2,
    standardisation="volume",
)
LAYER = ExplainedLayer("act", NO_OFFSET, (2, 2, 2))


class Tiny(nn.Module):
    def __init__(self, n_features=5):
        super().__init__()
        self.conv = nn.Conv3d(1, 8, 3, stride=2, padding=1)
        self.norm = nn.BatchNorm3d(8)
        self.act = nn.ReLU()
        self.embed = nn.Linear(8, n_features)
        self.head = StandardisedHead(n_features)

    def features(self, x):
        x = self.act(self.norm(self.conv(x.clamp(min=1).log())))
        return self.embed(x.mean(dim=(2, 3, 4)))

    def forward(self, x):
        return self.head(self.features(x))


def make_network(n_features=5, seed=0):
    torch.manual_seed(seed)
    network = Tiny(n_features).eval()
    cubes = torch.from_numpy(probe_cubes(CARD, 60, seed=1).astype(np.float32))
    with torch.no_grad():
        features = network.features(cubes).numpy()
        prior = FeatureStatistics(np.zeros(n_features, np.float32), np.ones(n_features, np.float32))
        network.head.set_statistics(measure_features(features, prior))
        network.head.weight.normal_()
        network.head.bias.fill_(0.3)
    return network


@pytest.fixture(scope="module")
def network():
    return make_network()


@pytest.fixture(scope="module")
def plain(network):
    return export_artifact(network, CARD)


@pytest.fixture(scope="module")
def explained(network):
    return export_artifact(network, CARD, explained_layer=LAYER)


@pytest.fixture(params=["plain", "explained"])
def artifact(request):
    return request.getfixturevalue(request.param)


def test_the_bytes_hold_the_head_under_fixed_names(network, artifact):
    model = onnx.ModelProto.FromString(artifact.model)
    arrays = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}
    head = network.head
    for name in HEAD_NAMES:
        expected = getattr(head, name.removeprefix("head.")).detach().numpy()
        assert np.array_equal(arrays[name], expected) and arrays[name].shape == expected.shape
    assert [o.name for o in model.graph.output][:2] == ["probability", FEATURES]
    copies = [
        n for n, a in arrays.items() if a.size == 5 and np.array_equal(a, arrays[HEAD_NAMES[3]])
    ]
    assert copies == ["head.spread"]  # no gradient has its own


@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
def test_torch_both_backends_and_numpy_agree(network, artifact, backend):
    cubes = probe_cubes(CARD, 40, seed=2).astype(np.float32)
    session = Session(artifact, "cpu", batch_size=16, backend=backend, is_own=True)
    features = session.compute_features(cubes)
    expected = probabilities(ProbabilityGraph(network, CARD).eval(), cubes)
    with torch.inference_mode():
        own = network.features(torch.from_numpy(cubes)).numpy()
    np.testing.assert_allclose(features, own, atol=1e-5)
    np.testing.assert_allclose(session.run(cubes), expected, atol=1e-5)
    np.testing.assert_allclose(artifact.head.answer(features, 1.5, 0.2), expected, atol=1e-5)
    assert expected[:, 1].std() > 0.02


@pytest.mark.parametrize(("n_features", "weight", "layer"), [(1, 1.0, LAYER), (8, 0.0, None)])
def test_a_head_that_changes_nothing_is_exported_whole(n_features, weight, layer):
    """Centre 0 and spread 1: steps that an exporter might leave out, or share with a layer."""
    torch.manual_seed(0)
    network = Tiny(n_features).eval()
    nn.init.zeros_(network.embed.bias)  # as the centre
    nn.init.constant_(network.head.weight, weight)
    card = dataclasses.replace(CARD, temperature=1.0, offset=0.0)
    head = export_artifact(network, card, explained_layer=layer).head
    assert not head.centre.any() and (head.spread == 1).all() and (head.weight == weight).all()


def test_maps_follow_a_head_that_is_replaced(network, explained):
    other = make_network(seed=5)
    other.load_state_dict(
        {k: v for k, v in network.state_dict().items() if not k.startswith("head.")}, strict=False
    )
    target = other.head
    tensors = (target.weight, target.bias, target.centre, target.spread)
    head = Head(*(tensor.detach().numpy() for tensor in tensors))
    graph = ProbabilityGraph(other, CARD).eval()
    test = encode_test(explained.test_cube, probabilities(graph, explained.test_cube))
    replaced = verify(seal_model(replace_head(explained.model, head, {TEST_KEY: test})))
    maps = ExplainedGraph(graph, CARD, LAYER).eval()
    cubes = probe_cubes(CARD, 20, seed=3).astype(np.float32)
    check_map_parity(replaced, cubes, maps)
    with pytest.raises(ArtifactError, match="grad_cam differs"):
        check_map_parity(explained, cubes, maps)


def test_the_same_network_gives_the_same_bytes(network, explained):
    assert export_artifact(network, CARD, explained_layer=LAYER).model == explained.model


def test_a_network_whose_end_is_not_its_head_is_refused(network):
    class Raised(Tiny):
        def forward(self, x):
            return super().forward(x).abs()

    raised = Raised().eval()
    with pytest.raises(ArtifactError, match=r"Its forward must be head\(features\(x\)\)"):
        export_artifact(raised, CARD)


def test_a_card_that_promises_features_needs_a_head():
    plain = nn.Sequential(nn.Flatten(), nn.Linear(192, 2))
    with pytest.raises(ArtifactError, match="no output 'features'"):
        export_artifact(plain, CARD)


def test_recalibration_keeps_the_head(plain):
    artifact = plain
    card = dataclasses.replace(
        artifact.card, temperature=1.5 * 2, offset=0.2 / 2 - 1, version="1.1.0", digest=""
    )
    new = recalibrate(artifact, 2, -1, card)
    session = Session(new, "cpu", backend="onnxruntime", is_own=True)
    session.check(new)
    before = Session(artifact, "cpu", backend="onnxruntime", is_own=True).run(new.test_cube)
    cell = apply_temperature(before, 2, -1)
    features = session.compute_features(new.test_cube)
    np.testing.assert_allclose(new.head.answer(features, 3, -0.9)[:, 1], cell, atol=1e-6)


def test_an_ensemble_that_standardises_by_the_volume_is_not_fused(plain):
    ensemble = dataclasses.replace(Ensemble.of([plain]), name="pair", source="pair.json")
    with pytest.raises(InputError, match="standardises its features by the volume"):
        fuse(ensemble)


def test_bioimageio_lists_the_features(explained):
    pytest.importorskip("bioimageio.core")
    from cfzoo.export.hub.bioimageio import _compute_test_tensors, _describe_tensors

    tensors = _compute_test_tensors(explained)
    sources = {f"test_{name}.npy": {} for name in tensors}
    _, outputs = _describe_tensors(explained, sources)
    assert [o["id"] for o in outputs] == ["probability", FEATURES, "grad_cam"]
    assert len(outputs[1]["axes"][1]["channel_names"]) == tensors[FEATURES].shape[1] == 5
