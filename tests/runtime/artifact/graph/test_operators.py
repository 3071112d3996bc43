"""Each operator of the table: its shapes are onnxruntime's, its bounds are kept."""

import sys
from pathlib import Path

import numpy as np
import onnx
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from examples import EXAMPLES, REFUSED

from cfzoo.runtime.artifact.graph.attributes import Integer, Integers, Number, Word
from cfzoo.runtime.artifact.graph.operators import OPERATORS
from cfzoo.runtime.errors import ArtifactError

TYPES = {Integer: "INT", Integers: "INTS", Number: "FLOAT", Word: "STRING"}
OTHERS = """
    Shape Size Constant ConstantOfShape Expand Tile Range OneHot Resize Upsample NonZero Loop If
    Scan Gelu LSTM GRU Einsum ScatterND GatherND CumSum Unique Compress RandomNormal
    QLinearConv DequantizeLinear MaxUnpool NonMaxSuppression RoiAlign Trilu EyeLike Mod Dropout
    StringNormalizer SequenceAt Optional
""".split()  # noqa: SIM905


def name_of(example):
    operator, _, attributes, *_ = example
    return f"{operator} {attributes}"


@pytest.mark.parametrize("example", EXAMPLES, ids=name_of)
@pytest.mark.parametrize("batch", [1, 3])
def test_shapes_are_those_of_onnxruntime(node_tools, example, batch):
    outputs = node_tools["infer"](*example)
    assert node_tools["at_batch"](outputs, batch) == node_tools["run"](*example, batch=batch)


def test_every_operator_has_examples_of_all_its_forms():
    """So that a row of the table that becomes stricter is noticed."""
    for name, operator in OPERATORS.items():
        examples = [example for example in EXAMPLES if example[0] == name]
        sizes = {len(inputs) for _, inputs, *_ in examples}
        assert {operator.least, min(operator.most, operator.least + 1)} <= sizes, name
        gaps = {i for _, inputs, *_ in examples for i, v in enumerate(inputs) if v is None}
        assert gaps == set(operator.optional), name
        used = {key for _, _, attributes, *_ in examples for key in attributes}
        assert used == operator.attributes.keys(), name


def test_arity_and_attributes_are_within_those_of_onnx():
    for name, operator in OPERATORS.items():
        schema = onnx.defs.get_schema(name, 18)
        assert schema.min_input <= operator.least <= operator.most <= schema.max_input, name
        assert schema.min_output <= operator.outputs <= schema.max_output, name
        for key, attribute in operator.attributes.items():
            assert schema.attributes[key].type.name == TYPES[type(attribute)], f"{name} {key}"
        required = {key for key, value in schema.attributes.items() if value.required}
        assert required <= set(operator.mandatory) <= operator.attributes.keys(), name
        for position in operator.optional:
            option = schema.inputs[position].option
            assert option == onnx.defs.OpSchema.FormalParameterOption.Optional, name


@pytest.mark.parametrize("name", OPERATORS)
def test_refuses_too_few_and_too_many_inputs(node_tools, name):
    operator = OPERATORS[name]
    example = next(example for example in EXAMPLES if example[0] == name)
    inputs = example[1]
    for count in (operator.least - 1, operator.most + 1):
        changed = (inputs * 65)[:count] if count else [None]
        with pytest.raises(ArtifactError, match=r"inputs; expected|constant inputs alone"):
            node_tools["infer"](name, changed, example[2])


@pytest.mark.parametrize("name", OPERATORS)
def test_refuses_inputs_that_are_left_out(node_tools, name):
    for _, inputs, attributes, *rest in (e for e in EXAMPLES if e[0] == name):
        for position in range(len(inputs)):
            if position in OPERATORS[name].optional:
                continue
            changed = [*inputs[:position], None, *inputs[position + 1 :]]
            with pytest.raises(ArtifactError, match=r"leaves out|constant inputs alone"):
                node_tools["infer"](name, changed, attributes, *rest)


@pytest.mark.parametrize("name", OPERATORS)
def test_refuses_other_attributes_and_values(node_tools, name):
    _, inputs, attributes, *rest = next(example for example in EXAMPLES if example[0] == name)
    for key, value in (("body", 1), ("then_branch", "x"), ("axes", (1,)), ("value", 1.0)):
        with pytest.raises(ArtifactError, match=f"an attribute {key!r}"):
            node_tools["infer"](name, inputs, {**attributes, key: value}, *rest)
    for key, kind in OPERATORS[name].attributes.items():
        for value in _outside(kind):
            with pytest.raises(ArtifactError, match=f"has an attribute {key} of"):
                node_tools["infer"](name, inputs, {**attributes, key: value}, *rest)


def _outside(kind):
    """Values of another type than an attribute's, or just beyond its bounds."""
    if isinstance(kind, Word):
        return [1, 1.0, (1,), "", kind.words[0].lower() + "x"]
    if isinstance(kind, Integer):
        return ["", 1.0, (1,), kind.low - 1, kind.high + 1, 2**63 - 1, -(2**63)]
    if isinstance(kind, Number):
        big = np.nextafter(kind.high, np.inf)
        return ["", 1, (1,), float(big), -float(big), np.inf, -np.inf, np.nan]
    low, high = (kind.low,) * kind.shortest, (kind.high,) * kind.longest
    return [
        "",
        1,
        1.0,
        (),
        (*high, kind.high),
        (kind.low - 1, *low[1:]),
        (kind.high + 1, *high[1:]),
    ]


@pytest.mark.parametrize("name", OPERATORS)
def test_refuses_lack_of_a_mandatory_attribute(node_tools, name):
    for _, inputs, attributes, *rest in (e for e in EXAMPLES if e[0] == name):
        for key in OPERATORS[name].mandatory:
            less = {k: v for k, v in attributes.items() if k != key}
            with pytest.raises(ArtifactError, match=f"lacks its attribute {key}"):
                node_tools["infer"](name, inputs, less, *rest)


@pytest.mark.parametrize("case", REFUSED, ids=lambda case: f"{case[1]}: {case[0]}")
def test_refuses_operands_that_do_not_fit(node_tools, case):
    message, *node = case
    with pytest.raises(ArtifactError, match=message):
        node_tools["infer"](*node)


@pytest.mark.parametrize("name", OTHERS)
def test_refuses_other_operators(node_tools, name):
    with pytest.raises(ArtifactError, match=f"uses the operator '{name}'"):
        node_tools["infer"](name, [(3, 4)])
