"""Constants are worked out at export, so that the guard need not accept work at load."""

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from cfzoo.export.graph import export_artifact
from cfzoo.export.graph.constants import fold_constants
from cfzoo.runtime.artifact import CHANNELS, Card
from cfzoo.runtime.artifact.onnx_guard import inspect_model
from cfzoo.runtime.errors import ArtifactError
from cfzoo.zoo.registry import MODELS, build

CUBE = {"cube_shape": (20, 50, 50), "voxel_size": (5, 1, 1)}  # cellfinder's own
FAST = [("plain3d", 2)]
CHANNEL_COUNTS = {  # (1, 2) but for
    **dict.fromkeys(("resnet18", "resnet50"), (1,)),
    **dict.fromkeys(("resnet34", "resnet101", "resnet152"), (2,)),  # the same blocks, more often
    **dict.fromkeys(("attention3d-small", "attention3d-tiny"), (2,)),  # attention3d, narrower
}


def make_model():
    """Return a model of x @ (-weights).T, and of one constant that nothing takes."""
    weights = np.arange(12, dtype=np.float32).reshape(4, 3)
    nodes = [
        helper.make_node("Neg", ["weights"], ["negative"]),
        helper.make_node("Transpose", ["negative"], ["turned"], perm=[1, 0]),
        helper.make_node("Split", ["unused", "sizes"], ["first", "second"], axis=0),
        helper.make_node("MatMul", ["x", "turned"], ["y"]),
    ]
    constants = {"weights": weights, "unused": weights, "sizes": np.array([1, 3])}
    graph = helper.make_graph(
        nodes,
        "cfzoo",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 3])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 4])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


def test_constants_take_the_place_of_the_nodes_that_give_them():
    model = make_model()
    with pytest.raises(ArtifactError, match="constant inputs alone"):
        inspect_model(model.SerializeToString())
    fold_constants(model.graph)
    assert [node.op_type for node in model.graph.node] == ["MatMul"]
    (turned,) = model.graph.initializer
    assert turned.name == "turned"
    expected = -np.arange(12, dtype=np.float32).reshape(4, 3).T
    np.testing.assert_array_equal(numpy_helper.to_array(turned), expected)
    onnx.checker.check_model(model, full_check=True)
    assert inspect_model(model.SerializeToString()).operators == {"MatMul": 1}
    folded = model.SerializeToString(deterministic=True)
    fold_constants(model.graph)
    assert model.SerializeToString(deterministic=True) == folded


@pytest.mark.parametrize(
    ("architecture", "channels"),
    [
        pytest.param(name, n, marks=[] if (name, n) in FAST else pytest.mark.slow)
        for name in MODELS
        for n in CHANNEL_COUNTS.get(name, (1, 2))
    ],
)
def test_every_architecture_exports_at_the_cube_of_cellfinder(architecture, channels):
    card = Card(
        architecture, "1.0.0", channels=CHANNELS[channels - 1], normalisation="none",
        architecture=architecture, **CUBE,
    )  # fmt: skip
    torch.manual_seed(0)
    network = build(card).eval()
    # With two channels, the maps as well: `cfzoo export` makes the released artifacts of one again,
    # with theirs, but for filters3d. The maps of a ResNet are tested with its import, which takes
    # minutes for the deepest.
    with_maps = not architecture.startswith("resnet") and (
        channels == 2 or architecture == "filters3d"
    )
    layer = MODELS[architecture].explained_layer if with_maps else None
    artifact = export_artifact(network, card, explained_layer=layer)
    assert artifact.test_cube.shape == (1, channels, 20, 50, 50)
    assert bool(artifact.maps) == (layer is not None)
