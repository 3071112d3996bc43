import numpy as np
import onnx
import pytest

from cfzoo.runtime.artifact import OUTPUT, bundled, read_artifact
from cfzoo.runtime.artifact.onnx_prune import keep_outputs
from cfzoo.runtime.artifact.protobuf import Reader, write_message
from cfzoo.runtime.session import Session


@pytest.mark.parametrize("name", bundled())
def test_the_pruned_model_is_valid_and_gives_the_same_answers(name):
    artifact = read_artifact(name)
    model = onnx.ModelProto.FromString(keep_outputs(artifact.model, (OUTPUT,)))
    onnx.checker.check_model(model, full_check=True)
    assert [o.name for o in model.graph.output] == [OUTPUT]
    inputs = {name for node in model.graph.node for name in node.input}
    assert {tensor.name for tensor in model.graph.initializer} <= inputs
    whole = onnx.ModelProto.FromString(artifact.model)
    if artifact.maps:  # whose gradients are most of what can go
        assert len(model.graph.node) < 0.8 * len(whole.graph.node)
    cubes = np.random.default_rng(0).integers(0, 4000, (5, *artifact.test_cube.shape[1:]))
    cubes = cubes.astype(np.float32)
    plain = Session(artifact, "cpu", batch_size=5)
    full = Session(artifact, "cpu", batch_size=5, maps=artifact.maps)
    np.testing.assert_allclose(plain.run(cubes), full.run(cubes), atol=1e-6)


def test_each_map_is_the_same_without_the_rest():
    artifact = read_artifact("pipnet3d")
    cubes = np.repeat(artifact.test_cube, 3, axis=0)
    _, all_maps = Session(artifact, "cpu", batch_size=3, maps=artifact.maps).explain(cubes)
    for name in artifact.maps:
        _, maps = Session(artifact, "cpu", batch_size=3, maps=(name,)).explain(cubes)
        assert list(maps) == [name]
        np.testing.assert_allclose(maps[name], all_maps[name], atol=1e-6)


def test_writes_messages_as_it_reads_them():
    kinds = {1: (0, 4), 2: (2, 2), 300: (2, 1)}
    fields = {1: [0, 127, 128, 2**63], 2: [b"", b"x" * 200], 300: [b"end"]}
    message = Reader().read_message(memoryview(write_message(fields)), kinds, "test")
    assert {
        k: [v if isinstance(v, int) else bytes(v) for v in vs] for k, vs in message.items()
    } == fields
