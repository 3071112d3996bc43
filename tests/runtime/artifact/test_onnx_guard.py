"""Hostile models with a valid seal: the digest does not stop them, the guard must."""

import json
import tracemalloc

import numpy as np
import onnx
import pytest
from onnx import helper

from cfzoo.runtime.artifact import SCHEMA, seal, verify
from cfzoo.runtime.artifact.artifact import SEAL
from cfzoo.runtime.errors import ArtifactError


@pytest.fixture(scope="module")
def data(make_artifact):
    return make_artifact(cube_shape=(2, 3, 4)).read_bytes()


def reseal(data: bytes, change) -> bytes:
    """Remove the seal, change the model and seal it again, as an attacker would."""
    model = onnx.ModelProto.FromString(data[: -64 - len(SEAL)])
    change(model)
    return seal(model.SerializeToString(deterministic=True))


def test_resealing_is_the_identity(data):
    assert reseal(data, lambda model: None) == data


def _external(model):
    tensor = model.graph.initializer[1]
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../../etc/passwd")


def _custom_domain(model):
    model.graph.node[1].domain = "com.microsoft"


def _second_opset(model):
    model.opset_import.append(helper.make_opsetid("com.microsoft", 1))


def _function(model):
    model.functions.add(name="f", domain="x")


def _loop(model):
    body = helper.make_graph([], "body", [], [])
    model.graph.node.append(helper.make_node("Loop", ["", ""], ["x"], body=body))


def _if(model):
    model.graph.node[0].op_type = "If"


def _hungry(model):
    model.graph.node[0].op_type = "ConstantOfShape"


def _constant_tensor(model):
    value = onnx.numpy_helper.from_array(np.zeros(3, np.float32))
    model.graph.node.append(helper.make_node("Identity", ["flat"], ["x"], value=value))


def _huge_kernel(model):
    node = helper.make_node("MaxPool", ["cubes"], ["y"], kernel_shape=[10**9] * 3)
    model.graph.node.append(node)


def _newer_opset(model):
    model.opset_import[0].version = 99


def _newer_ir(model):
    model.ir_version = 99


def _float_data(model):
    tensor = model.graph.initializer[1]
    values = onnx.numpy_helper.to_array(tensor).ravel()
    tensor.ClearField("raw_data")
    tensor.float_data.extend(values)


def _short_weights(model):
    model.graph.initializer[1].dims[0] = 10**6


def _string_weights(model):
    model.graph.initializer[1].data_type = onnx.TensorProto.STRING


def _training(model):
    model.training_info.add()


def _sparse(model):
    model.graph.sparse_initializer.add()


def _doc(model):
    model.doc_string = "hello"


def _two_inputs(model):
    model.graph.input.append(model.graph.input[0])
    model.graph.input[1].name = "more"


def _other_shape(model):
    model.graph.input[0].type.tensor_type.shape.dim[2].dim_value = 7


def _fixed_batch(model):
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1


def _double_input(model):
    model.graph.input[0].type.tensor_type.elem_type = onnx.TensorProto.DOUBLE


def _no_output(model):
    model.graph.output[0].name = "logits"


def _same_initializer(model):
    model.graph.initializer.append(model.graph.initializer[1])


def _cycle(model):
    model.graph.node[1].input[0] = "probability"


def _undefined(model):
    model.graph.node[1].input[0] = "nowhere"


def _computed_at_load(model):
    model.graph.node.insert(0, helper.make_node("MatMul", ["weights", "weights"], ["folded"]))


def _two_outputs(model):
    model.graph.output.append(model.graph.output[0])


def _fixed_output(model):
    model.graph.output[0].type.tensor_type.shape.dim[0].dim_value = 7


def _older_opset(model):
    model.opset_import[0].version = 11


def _many_nodes(model):
    for _ in range(5_001):
        model.graph.node.add()


def _card(old, new):
    def change(model):
        card = model.metadata_props[0]
        assert old in card.value
        card.value = card.value.replace(old, new)

    return change


def _nan_test(model):
    model.metadata_props[1].value = model.metadata_props[1].value.replace(
        '"output": [', '"output": [NaN, '
    )


def _logits_as_test(model):
    cube = json.loads(model.metadata_props[1].value)["cube"]
    model.metadata_props[1].value = json.dumps({"cube": cube, "output": [1.5, -0.5]})


def _no_card(model):
    del model.metadata_props[:]


def _two_cards(model):
    model.metadata_props.append(model.metadata_props[0])


def _no_test(model):
    del model.metadata_props[1]


def _short_test(model):
    model.metadata_props[1].value = '{"cube": "AAA=", "output": [0.5, 0.5]}'


def _major(model):
    card = model.metadata_props[0].value.replace(f'"{SCHEMA}"', '"3.0"')
    model.metadata_props[0].value = card


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_external, "weight tensor has field 1[34]"),
        (_custom_domain, "custom domain"),
        (_second_opset, "field 8 twice"),
        (_function, "field 25"),
        (_loop, "'Loop'"),
        (_if, "'If'"),
        (_hungry, "'ConstantOfShape'"),
        (_constant_tensor, "attribute has field 5"),
        (_huge_kernel, "kernel_shape of .1000000000"),
        (_newer_opset, "opset 99"),
        (_newer_ir, "IR version 99"),
        (_float_data, "field 4"),
        (_short_weights, "declares 2000000 numbers"),
        (_string_weights, "ONNX type 8"),
        (_training, "field 20"),
        (_sparse, "field 15"),
        (_doc, "field 6"),
        (_two_inputs, "field 11 twice"),
        (_other_shape, "Reshape .* another number of elements"),
        (_fixed_batch, "inputs are"),
        (_double_input, "not a float32 tensor"),
        (_no_output, "outputs are"),
        (_same_initializer, "defines 'weights' twice"),
        (_cycle, "before it defines"),
        (_undefined, "before it defines"),
        (_computed_at_load, "constant inputs alone"),
        (_two_outputs, "two outputs"),
        (_fixed_output, "outputs are"),
        (_older_opset, "opset 11"),
        (_many_nodes, "more than 5000 times"),
        (_card('"threshold": 0.5', '"threshold": NaN'), "finite"),
        (_card('"metrics": {}', '"metrics": {"auc": Infinity}'), "finite"),
        (_card('"metrics": {}', '"metrics": {"auc": 1e400}'), "finite"),
        (_card('"metrics": {}', f'"metrics": {{"n": {10**400}}}'), "finite"),
        (_card('"metrics": {}', '"metrics": ' + '{"a":' * 9 + "1" + "}" * 9), "deep"),
        (_card('"description": ""', '"description": "\\ud800"'), "cannot be printed"),
        (_card('"description": ""', '"description": "\\u001b[2J"'), "cannot be printed"),
        (_nan_test, "finite"),
        (_logits_as_test, "expected probabilities"),
        (_no_card, "no cfzoo card"),
        (_two_cards, "twice"),
        (_no_test, "test vector"),
        (_short_test, "test vector"),
        (_major, "schema 3.0"),
    ],
)
def test_refuses_hostile_models_with_a_valid_seal(data, change, message):
    with pytest.raises(ArtifactError, match=message):
        verify(reseal(data, change))


def test_the_guard_needs_little_memory(data):
    """A bomb of ten megabytes of empty nodes is refused before they become Python objects."""
    bomb = reseal(data, lambda model: None)[: -64 - len(SEAL)] + b"\x3a" + _varint(2 * 5_000_000)
    bomb = seal(bomb + b"\x0a\x00" * 5_000_000)
    tracemalloc.start()
    with pytest.raises(ArtifactError):
        verify(bomb)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 30e6


def _varint(number):
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    return bytes([*out, number])
