import copy
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from cfzoo.export.graph import export_artifact
from cfzoo.export.graph import trace as module
from cfzoo.export.graph.modules import ProbabilityGraph
from cfzoo.export.graph.parity import PARITY, probabilities, probe_cubes
from cfzoo.runtime.artifact import INPUT, OUTPUT, Card, read_artifact
from cfzoo.runtime.errors import ArtifactError
from cfzoo.runtime.session import Session, load_onnxruntime
from cfzoo.zoo.registry import build

ROOT = Path(__file__).resolve().parents[3]
CARD = Card(
    name="plain3d",
    version="0.0.1",
    cube_shape=(8, 24, 24),
    voxel_size=(5, 2, 2),
    channels=("signal",),
    normalisation="cube",
    temperature=1.7,
    architecture="plain3d",
)


def test_export_loads_neither_plots_nor_statistics():
    """They would double the time of `cfzoo export` before its work, and take 170 MB."""
    modules = ["matplotlib", "pandas", "scipy", "sklearn", "lightning"]
    code = "import sys, cfzoo.export.release, cfzoo.export.import_cellfinder;"
    code += f"print([m for m in {modules} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    network = build(CARD)
    network.train()
    with torch.no_grad():  # statistics other than the initial ones
        cubes = torch.from_numpy(probe_cubes(CARD, 16, seed=1).astype(np.float32))
        for _ in range(5):
            network(ProbabilityGraph(network, CARD).normalise(cubes))
    return network.eval()


@pytest.fixture(scope="module")
def artifact(network):
    return export_artifact(network, CARD)


def test_onnxruntime_gives_torchs_probabilities(network, artifact):
    cubes = probe_cubes(CARD, 40, seed=2).astype(np.float32)
    with torch.inference_mode():
        logits = network(ProbabilityGraph(network, CARD).normalise(torch.from_numpy(cubes)))
        expected = torch.softmax(logits / 1.7, 1).numpy()
    assert expected[:, 1].std() > 0.001  # the network tells cubes apart
    probability = Session(artifact, "cpu", batch_size=40).run(cubes)
    np.testing.assert_allclose(probability, expected, atol=1e-5)


def test_any_onnx_host_computes_the_same_from_raw_cubes(artifact, tmp_path):
    """No code of cfzoo runs between the file and the numbers."""
    path = tmp_path / "m.onnx"
    path.write_bytes(artifact.model)
    session = load_onnxruntime().InferenceSession(path, providers=["CPUExecutionProvider"])
    output = session.run([OUTPUT], {INPUT: artifact.test_cube})[0]
    np.testing.assert_allclose(output, artifact.test_output, atol=1e-5)


def test_per_cube_normalisation_is_in_the_graph(artifact):
    session = Session(artifact, "cpu", batch_size=8)
    cubes = probe_cubes(CARD, 8, seed=3).astype(np.float32)
    expected = session.run(cubes)
    np.testing.assert_allclose(session.run(cubes * 0.25), expected, atol=1e-4)
    np.testing.assert_allclose(session.run(cubes + 500), expected, atol=1e-4)


def test_test_vector_passes(artifact):
    assert Session(artifact, "cpu").check(artifact) < 1e-5


def test_artifact_names_nothing_of_this_computer(artifact):
    for text in (str(ROOT), str(Path.home()), "site-packages", ".py"):
        assert text.encode() not in artifact.model


def test_same_bytes_from_different_folders(tmp_path):
    """Two copies of the package, two processes, two working folders: one file."""
    code = (
        "import sys, torch; from cfzoo.export.graph import export_artifact;"
        "from cfzoo.runtime.artifact import Card; from cfzoo.zoo.registry import build;"
        "import cfzoo; assert cfzoo.__file__.startswith(sys.argv[1]);"
        "card = Card(name='plain3d', version='0.0.1', cube_shape=(8, 24, 24), voxel_size=(5, 2, 2),"
        " channels=('signal',), normalisation='cube', architecture='plain3d');"
        "torch.manual_seed(0); a = export_artifact(build(card), card);"
        "open(sys.argv[2], 'wb').write(a.model)"
    )
    contents = []
    for place in ("one", "a/much/deeper/place"):
        package = tmp_path / place / "cfzoo"
        ignore = shutil.ignore_patterns(".*", "tests", "docs", "model_cards", "__pycache__")
        shutil.copytree(ROOT, package, ignore=ignore)
        target = tmp_path / place / "out.onnx"
        env = os.environ | {"PYTHONPATH": str(package.parent), "PYTHONHASHSEED": str(len(place))}
        script = [sys.executable, "-c", code, str(package), str(target)]
        subprocess.run(script, env=env, cwd=package.parent, check=True, capture_output=True)
        contents.append(target.read_bytes())
    assert contents[0] == contents[1]
    read_artifact(tmp_path / "one" / "out.onnx")


def test_refuses_a_graph_that_differs_from_torch(network, monkeypatch):
    original = module._trace

    def wrong(graph, *args):
        graph.temperature = 3.0  # another network is traced than was measured
        return original(graph, *args)

    monkeypatch.setattr(module, "_trace", wrong)
    with pytest.raises(ArtifactError, match="differ from torch's"):
        export_artifact(network, CARD)


class Sensitive(nn.Module):
    """A network whose answers hang on the last digits of another's."""

    def __init__(self, network, factor):
        super().__init__()
        self.network, self.factor = copy.deepcopy(network), factor

    def forward(self, cubes):
        return torch.cos(self.factor * self.network(cubes))


CUBES = probe_cubes(CARD, 40, seed=2).astype(np.float32)


def measure_noise(network):
    graph = ProbabilityGraph(network, CARD)
    exact = probabilities(copy.deepcopy(graph).double(), CUBES.astype(np.float64))
    return np.abs(probabilities(graph, CUBES) - exact).max()


def test_rounding_that_float64_explains_passes_and_is_stated(network):
    sensitive = Sensitive(network, 700)
    noise = measure_noise(sensitive)
    assert PARITY < noise < 1e-4  # else the test shows nothing
    artifact = export_artifact(sensitive, CARD, CUBES)
    parity = artifact.card.metrics["parity"]
    assert parity["float32_noise"] >= 0.9 * noise
    assert PARITY < parity["largest_difference"] <= parity["tolerance"] <= 1e-4
    assert artifact.tolerance == 1e-4 and artifact.card.digest
    Session(artifact, "cpu").check(artifact)
    assert export_artifact(sensitive, CARD, CUBES).model == artifact.model


def test_only_a_stated_tolerance_accepts_more(network):
    chaotic = Sensitive(network, 5000)
    with pytest.raises(ArtifactError, match=r"give --tolerance"):
        export_artifact(chaotic, CARD, CUBES)
    artifact = export_artifact(chaotic, CARD, CUBES, tolerance=0.01)
    parity = artifact.card.metrics["parity"]
    assert 1e-4 < parity["largest_difference"] <= parity["tolerance"] == artifact.tolerance == 0.01
    with pytest.raises(ArtifactError, match="differ from torch's"):
        export_artifact(chaotic, CARD, CUBES, tolerance=1e-5)


def test_rounding_does_not_excuse_another_graph(network, monkeypatch):
    sensitive, original = Sensitive(network, 100), module._trace
    noise = measure_noise(sensitive)
    assert 5 * noise < 9e-5

    def wrong(graph, *args):
        with torch.no_grad():  # changes answers by at most 9e-5
            graph.network.network.head.bias[1] += 9e-5 * 1.7 * 4 / 100
        return original(graph, *args)

    monkeypatch.setattr(module, "_trace", wrong)
    with pytest.raises(ArtifactError, match="only by rounding"):
        export_artifact(sensitive, CARD, CUBES)


def test_refuses_a_graph_with_a_refused_operator():
    class Resizing(nn.Module):
        def forward(self, cubes):
            resized = nn.functional.interpolate(cubes, scale_factor=2.0, mode="trilinear")
            return resized.mean(dim=(2, 3, 4)).expand(-1, 2)

    with pytest.raises(ArtifactError, match="does not run"):
        export_artifact(Resizing(), CARD)


def test_probe_cubes_are_the_same_everywhere():
    cubes = probe_cubes(CARD, 3)
    assert cubes.shape == (3, 1, 8, 24, 24)
    assert cubes.dtype == np.uint16
    # A golden number: the test vectors of released artifacts are remade from these.
    assert int(cubes.astype(np.int64).sum()) == pytest.approx(GOLDEN, rel=1e-6)


GOLDEN = 13344884
