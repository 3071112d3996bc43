"""Sealed models that harm the library that loads them, refused before it sees a byte."""

import re
import time
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from cfzoo.cli import main
from cfzoo.runtime.artifact import bundled, read_artifact, seal, verify
from cfzoo.runtime.artifact.artifact import SEAL
from cfzoo.runtime.artifact.graph.budget import MAX_MEMORY, MAX_TENSOR, MAX_WORK
from cfzoo.runtime.artifact.json_text import MAX_CARD
from cfzoo.runtime.artifact.protobuf import PACKED, VARINT, Reader
from cfzoo.runtime.errors import ArtifactError

CASES = Path(__file__).resolve().parents[4] / "shared" / "cases" / "hostile"


@pytest.fixture(scope="module")
def data(make_artifact):
    return make_artifact(cube_shape=(2, 3, 4)).read_bytes()


def reseal(data, change):
    """Change a sealed model and seal it again."""
    model = onnx.ModelProto.FromString(data[: -64 - len(SEAL)])
    change(model)
    return seal(model.SerializeToString(deterministic=True))


def extend(*steps, weights=()):
    """A change that inserts nodes between the cubes and the rest of the linear network.

    A step is an operator, its further inputs by name, and its attributes; weights are pairs of a
    name and an array.
    """

    def change(model):
        last = "cubes"
        for number, (operator, others, attributes) in enumerate(steps):
            inputs = [last if name == "*" else name for name in (last, *others)]
            last = f"step{number}"
            model.graph.node.insert(
                number, helper.make_node(operator, inputs, [last], **attributes)
            )
        model.graph.node[len(steps)].input[0] = last
        for name, value in weights:
            model.graph.initializer.append(numpy_helper.from_array(np.asarray(value), name))

    return change


@pytest.mark.skipif(not CASES.exists(), reason="needs ../shared/cases")
@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("bomb_shape_fold_doubling", "operator 'Shape'"),
        ("max_missing_input", r"Max 'q' leaves out its inputs \[1\]"),
        ("pad_negative", r"Pad 'q' adds a margin of \[-5, 5\]"),
    ],
)
def test_refuses_the_known_cases_with_their_reason(name, reason, capsys):
    path = CASES / f"{name}.onnx"
    start = time.monotonic()
    with pytest.raises(ArtifactError, match=reason):
        read_artifact(path)
    assert time.monotonic() - start < 0.5
    with pytest.raises(SystemExit, match="3"):
        main(["inspect", str(path)])
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.skipif(not CASES.exists(), reason="needs ../shared/cases")
def test_accepts_their_harmless_base():
    assert read_artifact(CASES / "00_good.onnx").outline.operators["ReduceMean"] == 1


def test_nodes_that_fit_are_accepted(data):
    """So that the refusals below are not those of a broken base."""
    change = extend(
        ("Mul", ["*"], {}), ("Max", ["one"], {}), weights=[("one", np.ones(1, np.float32))]
    )
    assert verify(reseal(data, change)).outline.operators["Max"] == 1


WIDE = np.array([0, 0, 0, 0, 0, 0, 0, 250, 250, 250])
DOUBLE = [("Concat", ["*"], {"axis": 1})]
BOMBS = {
    "a tensor of gigabytes": (
        extend(*DOUBLE * 25, ("Mul", ["*"], {})),
        re.escape(
            f"bytes for its largest tensor for one cube; cfzoo accepts up to {MAX_TENSOR:.3g}"
        ),
    ),
    "an axis beyond all bounds": (extend(*DOUBLE * 60), "empty or huge"),
    "broadcast to gigabytes": (
        extend(
            *[("Unsqueeze", ["last"], {}), ("Add", ["row"], {})] * 2,
            ("ReduceSum", ["end"], {"keepdims": 0}),
            weights=[
                ("last", np.array([-1])),
                ("end", np.array([-1])),
                ("row", np.ones(8192, np.float32)),
            ],
        ),
        "bytes for its largest tensor",
    ),
    "much work on few bytes": (
        extend(*DOUBLE * 20, *[("Softmax", [], {"axis": 1})] * 900),
        re.escape(f"multiply-adds for one cube; cfzoo accepts up to {MAX_WORK:.3g}"),
    ),
    "padded again and again": (
        extend(*[("Pad", ["wide"], {})] * 3, weights=[("wide", WIDE)]),
        "bytes for its largest tensor",
    ),
    "more nodes than any network": (extend(*[("Relu", [], {})] * 5_001), "more than 5000 times"),
    "more links than any network": (extend(*[("Sum", ["*"] * 60, {})] * 400), "20000 inputs"),
    "a long run": (extend(*[("Relu", [], {})] * 17), "more than 16 steps"),
}


@pytest.mark.parametrize("name", BOMBS)
def test_refuses_bombs_within_a_second(data, name):
    change, reason = BOMBS[name]
    bomb = reseal(data, change)
    start = time.process_time()
    with pytest.raises(ArtifactError, match=reason):
        verify(bomb)
    assert time.process_time() - start < 1


def test_refuses_tensors_that_are_kept_until_the_end(data):
    """Each is within the bound, but all are needed at the same time."""

    def change(model):
        nodes = [helper.make_node("Concat", ["cubes"] * 64, ["a"], axis=1)]
        nodes.append(helper.make_node("Concat", ["a"] * 64, ["b"], axis=1))
        nodes.append(helper.make_node("Concat", ["b"] * 60, ["s0"], axis=1))  # 23.6 MB
        nodes += [helper.make_node("Softmax", [f"s{i}"], [f"s{i + 1}"]) for i in range(50)]
        nodes.append(helper.make_node("Sum", [f"s{i}" for i in range(51)], ["last"]))
        for node in reversed(nodes):
            model.graph.node.insert(0, node)

    with pytest.raises(ArtifactError, match="bytes of memory for one cube"):
        verify(reseal(data, change))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("place", [0, 20, -1])
def test_refuses_weights_that_are_not_finite(data, value, place):
    def change(model):
        weights = numpy_helper.to_array(model.graph.initializer[1]).copy()
        weights.flat[place] = value
        model.graph.initializer[1].raw_data = weights.tobytes()

    with pytest.raises(ArtifactError, match="'weights', holds NaN or infinite"):
        verify(reseal(data, change))


def test_accepts_weights_whose_sum_overflows_and_a_single_infinity(data):
    """Minus infinity is the fill value of a mask or of the padding of a maximum."""

    def change(model):
        weights = np.full(48, 3e38, np.float32)
        model.graph.initializer[1].raw_data = weights.tobytes()

    assert verify(reseal(data, change))
    fill = extend(("Max", ["low"], {}), weights=[("low", np.float32(-np.inf))])
    assert verify(reseal(data, fill))


def _with_card(text):
    def change(model):
        card = model.metadata_props[0]
        card.value = card.value.replace('"metrics": {}', f'"metrics": {text}')

    return change


def _entry(key, value):
    def change(model):
        model.metadata_props.add(key=key, value=value)

    return change


def _long_test(model):
    test = model.metadata_props[1]
    test.value = test.value.replace('"cube": "', '"cube": "' + "AAAA" * 1000)


def _double_test(model):
    test = model.metadata_props[1]
    test.value = test.value.replace("{", '{"output": [0.5, 0.5], ', 1)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (_with_card('{"note": "' + "x" * MAX_CARD + '"}'), "expected at most 1000000"),
        (_with_card('{"auc": 0.5, "auc": 0.9}'), "has 'auc' twice"),
        (_with_card('{}, "threshold": 0.9'), "has 'threshold' twice"),
        (_with_card("[" + "0," * 60_000 + "0]"), "more than 50000 values"),
        (_with_card('{"a": ' + "[" * 500_000), "values|JSON"),
        (_with_card('{"n": ' + "1" * 5000 + "}"), "not valid JSON|finite"),
        (_long_test, "test has .* bytes; expected at most"),
        (_double_test, "has 'output' twice"),
        (_entry("x" * 600, ""), "metadata key has 600 bytes"),
        (lambda model: [_entry(str(i), "")(model) for i in range(20)], "more than 16 times"),
    ],
)
def test_refuses_cards_and_metadata_beyond_their_bounds(data, change, reason):
    start = time.process_time()
    with pytest.raises(ArtifactError, match=reason):
        verify(reseal(data, change))
    assert time.process_time() - start < 1


def test_all_messages_of_a_file_share_one_budget():
    message = memoryview(b"\x08\x01" * 40)  # field 1, a number
    numbers = memoryview(b"\x0a\x05\x01\x01\x01\x01\x01")  # field 1, five numbers in a block
    reader = Reader(budget=100)
    for _ in range(2):
        reader.read_message(message, {1: (VARINT, 40)}, "test")
    block = reader.read_message(numbers, {1: (PACKED, 1)}, "test")
    for _ in range(3):
        assert reader.read_integers(block, 1) == [1] * 5
    with pytest.raises(ArtifactError, match="fields; refused"):
        reader.read_integers(block, 1)


@pytest.mark.parametrize("name", bundled())
def test_states_what_a_bundled_model_needs_for_one_cube(name):
    artifact = read_artifact(name)
    cost = artifact.outline.cost
    assert artifact.test_cube.nbytes <= cost.largest < cost.memory < MAX_MEMORY / 20
    # A pyramid and filters reduce the cube at once; the others have larger tensors inside.
    reduces = name in ("filters3d", "pyramid3d")
    assert (artifact.test_cube.nbytes == cost.largest) == reduces
    assert cost.largest < MAX_TENSOR / 20 and 1e6 < cost.work < MAX_WORK / 20
