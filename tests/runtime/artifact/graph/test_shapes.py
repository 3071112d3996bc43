"""Shapes of whole networks and of random nodes: the guard, onnx and onnxruntime agree."""

import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st
from onnx import TensorProto

sys.path.insert(0, str(Path(__file__).parent))
from nodes import nodes

from cfzoo.runtime.artifact import bundled
from cfzoo.runtime.artifact import onnx_guard as module
from cfzoo.runtime.artifact.graph import BATCH, Graph
from cfzoo.runtime.artifact.graph.graph import MAX_PATH, MAX_RUN
from cfzoo.runtime.errors import ArtifactError

KINDS = {TensorProto.FLOAT: "float32", TensorProto.INT64: "int64", TensorProto.BOOL: "bool"}


@pytest.mark.parametrize("name", bundled())
def test_every_shape_of_a_network_is_that_of_onnx(name, monkeypatch):
    graphs = []

    class Spy(Graph):
        def __init__(self):
            super().__init__()
            graphs.append(self)

    monkeypatch.setattr(module, "Graph", Spy)
    data = bundled()[name].read_bytes()
    module.inspect_model(data)
    (graph,) = graphs
    model = onnx.ModelProto.FromString(data)
    batch = 5
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_value = batch
    model = onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)
    constants = {tensor.name for tensor in model.graph.initializer}
    expected = {
        value.name: (
            KINDS[value.type.tensor_type.elem_type],
            tuple(dim.dim_value for dim in value.type.tensor_type.shape.dim),
        )
        for value in (*model.graph.input, *model.graph.value_info, *model.graph.output)
    }
    actual = {
        key: (tensor.kind, (tensor.shape[0] // BATCH * batch, *tensor.shape[1:]))
        for key, tensor in graph.tensors.items()
        if key not in constants
    }
    assert actual == expected and len(actual) > 50


@given(nodes(), st.sampled_from([1, 2, 5]))
@settings(
    max_examples=600, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_what_is_accepted_runs_and_has_the_shape_that_was_worked_out(node_tools, node, batch):
    """Whatever the guard accepts, onnxruntime loads and runs."""
    try:
        outputs = node_tools["infer"](*node)
    except ArtifactError:
        event("refused")
        return
    event(f"accepted {node[0]}")
    assert node_tools["run"](*node, batch=batch) == node_tools["at_batch"](outputs, batch)


def test_most_random_nodes_are_accepted(node_tools):
    """Or the test above would say little."""
    accepted, total = set(), set()

    @given(nodes())
    @settings(max_examples=600, deadline=None, database=None, derandomize=True)
    def count(node):
        total.add(node[0])
        try:
            node_tools["infer"](*node)
            accepted.add(node[0])
        except ArtifactError:
            pass

    count()
    assert len(accepted) >= 0.8 * len(total) and len(total) > 40


def test_the_cost_counts_each_tensor_until_its_last_use():
    graph = Graph()
    side, size = 10, 4 * 10**3  # bytes of a tensor
    graph.define("x", module.Tensor("float32", (BATCH, 1, side, side, side)))
    graph.add("Relu", ["x"], ["a"], {})
    graph.add("Neg", ["a"], ["b"], {})  # a and b
    graph.add("Add", ["a", "b"], ["c"], {})  # a, b and c
    graph.add("Exp", ["c"], ["d"], {})  # c and d
    cost = graph.close(["d"])
    assert (cost.memory, cost.largest) == (3 * size, size)
    assert cost.work == (10 + 10 + 10 + 100) * side**3


def test_the_cost_counts_multiply_adds_and_scratch():
    graph = Graph()
    graph.define("x", module.Tensor("float32", (BATCH, 2, 10, 10, 10)))
    weights = np.ones((4, 2, 3, 3, 3), np.float32)
    for name, array in (("w", weights), ("u", weights)):
        graph.define(name, module.read_weight(1, array.shape, memoryview(array.tobytes()), name))
    graph.add("Conv", ["x", "w"], ["y"], {})  # 4 x 8 x 8 x 8
    graph.add("ConvTranspose", ["y", "u"], ["z"], {})  # 2 x 10 x 10 x 10
    cost = graph.close(["z"])
    assert cost.work == 2 * (4 * 8**3 * 2 * 27) + 10 * 2 * 10**3
    assert cost.memory == 4 * (4 * 8**3 + 2 * 10**3 + 8**3 * 2 * 27)


def _run_of(graph, length, start):
    for number in range(length):
        graph.add(
            "Relu", [start if number == 0 else f"{start}.{number}"], [f"{start}.{number + 1}"], {}
        )
    return f"{start}.{length}"


def test_runs_of_steps_on_single_elements_are_bounded():
    """OpenVINO cannot merge more than 32 with the step before them."""
    for extra in (0, 1):
        graph = Graph()
        graph.define("x", module.Tensor("float32", (BATCH, 4)))
        end = _run_of(graph, MAX_RUN, "x")
        graph.add("Softmax", [end], ["s"], {})
        end = _run_of(graph, MAX_RUN + extra, "s")
        if extra:
            with pytest.raises(ArtifactError, match="more than 16 steps on single elements"):
                graph.close([end])
        else:
            assert graph.close([end])


def test_a_step_that_others_use_too_ends_a_run():
    """As the sums of a residual network do."""
    graph = Graph()
    graph.define("x0", module.Tensor("float32", (BATCH, 4)))
    for number in range(100):
        graph.add("Softmax", [f"x{number}"], [f"s{number}"], {})
        graph.add("Add", [f"x{number}", f"s{number}"], [f"x{number + 1}"], {})
    assert graph.close(["x100"])


def test_paths_of_steps_on_single_elements_are_bounded():
    for length in (MAX_PATH // 2, MAX_PATH // 2 + 1):
        graph = Graph()
        graph.define("x0", module.Tensor("float32", (BATCH, 4)))
        for number in range(length):
            graph.add("Tanh", [f"x{number}"], [f"t{number}"], {})
            graph.add("Add", [f"x{number}", f"t{number}"], [f"x{number + 1}"], {})
        if 2 * length > MAX_PATH:
            with pytest.raises(ArtifactError, match="250 with branches"):
                graph.close([f"x{length}"])
        else:
            assert graph.close([f"x{length}"])


def test_links_between_nodes_are_bounded():
    graph = Graph()
    graph.define("x", module.Tensor("float32", (BATCH, 4)))
    with pytest.raises(ArtifactError, match="20000 inputs of nodes"):
        for number in range(400):
            graph.add("Sum", ["x"] * 64, [f"s{number}"], {})
