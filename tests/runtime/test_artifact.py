import hashlib
import json
import tracemalloc

import numpy as np
import onnx
import pytest
from onnx import helper

from cfzoo.runtime.artifact import SEAL, bundled, find, read_artifact, seal, verify
from cfzoo.runtime.card import SCHEMA
from cfzoo.runtime.errors import ArtifactError, InputError


@pytest.fixture(scope="module")
def path(make_artifact):
    return make_artifact(cube_shape=(2, 3, 4))


@pytest.fixture(scope="module")
def data(path):
    return path.read_bytes()


def resealed(data: bytes, change) -> bytes:
    """Take the seal off, change the model, seal it again: what an attacker would do."""
    model = onnx.ModelProto.FromString(data[: -64 - len(SEAL)])
    change(model)
    return seal(model.SerializeToString(deterministic=True))


def test_reads_its_card(path, data):
    artifact = read_artifact(path)
    assert artifact.card.name == "linear"
    assert artifact.card.digest == hashlib.sha256(data[:-64]).hexdigest()
    assert artifact.model == data
    assert artifact.outline.operators == {"Reshape": 1, "MatMul": 1, "Softmax": 1}
    assert artifact.outline.parameters == 48
    assert artifact.test_cube.shape == (1, 1, 2, 3, 4)


def test_stays_an_ordinary_onnx_model(path):
    onnx.checker.check_model(onnx.load(path), full_check=True)


def test_resealing_is_the_identity(data):
    assert resealed(data, lambda model: None) == data


def test_every_bit_flip_is_refused(data):
    refused = 0
    for position in range(len(data)):
        for bit in range(8):
            changed = bytearray(data)
            changed[position] ^= 1 << bit
            with pytest.raises(ArtifactError):
                verify(bytes(changed))
            refused += 1
    assert refused == 8 * len(data)


def test_every_truncation_is_refused(data):
    for size in range(len(data)):
        with pytest.raises(ArtifactError):
            verify(data[:size])


def test_appended_fields_are_refused(data):
    entry = helper.make_model(helper.make_graph([], "g", [], []))
    helper.set_model_props(entry, {"cfzoo.card": "{}"})
    rng = np.random.default_rng(0)
    for tail in [entry.SerializeToString(), data, b"\0", *(rng.bytes(n) for n in range(1, 100))]:
        with pytest.raises(ArtifactError):
            verify(data + tail)


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
    model.graph.node.append(helper.make_node("MaxPool", ["x"], ["y"], kernel_shape=[10**9]))


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
    for _ in range(20_001):
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
        (_huge_kernel, "attribute of 1000000000"),
        (_newer_opset, "opset 99"),
        (_newer_ir, "IR version 99"),
        (_float_data, "field 4"),
        (_short_weights, "declares 2000000 numbers"),
        (_string_weights, "ONNX type 8"),
        (_training, "field 20"),
        (_sparse, "field 15"),
        (_doc, "field 6"),
        (_two_inputs, "inputs are"),
        (_other_shape, "inputs are"),
        (_fixed_batch, "inputs are"),
        (_double_input, "no float32 tensor"),
        (_no_output, "outputs are"),
        (_same_initializer, "defines 'weights' twice"),
        (_cycle, "before it gives"),
        (_undefined, "before it gives"),
        (_computed_at_load, "constant inputs alone"),
        (_two_outputs, "two outputs"),
        (_fixed_output, "outputs are"),
        (_older_opset, "opset 11"),
        (_many_nodes, "more than 20000 times"),
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
def test_hostile_models_are_refused_with_the_right_seal(data, change, message):
    with pytest.raises(ArtifactError, match=message):
        verify(resealed(data, change))


def test_plain_onnx_is_told_apart_from_a_damaged_artifact(data):
    with pytest.raises(ArtifactError, match="no cfzoo card"):
        model = onnx.ModelProto.FromString(data)
        del model.metadata_props[:]
        verify(model.SerializeToString())
    with pytest.raises(ArtifactError, match="damaged"):
        verify(data[:500] + bytes([data[500] ^ 1]) + data[501:])


@pytest.mark.parametrize("content", [b"", b"hello, I am a text file", b"\x89PNG\r\n", bytes(1000)])
def test_other_files_are_refused(tmp_path, content):
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    with pytest.raises(ArtifactError, match=r"model\.onnx"):
        read_artifact(path)


def test_names(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, path in bundled().items():
        assert find(name) == find(f"{name}.onnx") == find(path.stem) == path
    with pytest.raises(InputError, match="neither a file nor one of the bundled"):
        find("resnet9000")
    for name in ("", "../model_cards/plain3d", "a/b"):
        with pytest.raises((InputError, ArtifactError)):
            read_artifact(name)


def test_a_folder_is_no_artifact(tmp_path):
    with pytest.raises(InputError, match="neither a file nor"):
        read_artifact(tmp_path)


def test_the_guard_takes_little_memory_and_time(data):
    """A bomb of ten megabytes of empty nodes is refused before they become Python objects."""
    bomb = resealed(data, lambda model: None)[: -64 - len(SEAL)] + b"\x3a" + _varint(2 * 5_000_000)
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


def test_a_file_that_is_changed_in_use_is_noticed(make_artifact, tmp_path):
    path = make_artifact(tmp_path)
    artifact = read_artifact(path)
    other = make_artifact(tmp_path / ".", seed=1).read_bytes()  # whole and verified, but another
    assert path.read_bytes() == other and read_artifact(path).card.digest != artifact.card.digest
    with pytest.raises(ArtifactError, match="was changed while it was in use"):
        artifact.giving()
    path.unlink()
    with pytest.raises(InputError, match="cannot be read"):
        artifact.giving()
