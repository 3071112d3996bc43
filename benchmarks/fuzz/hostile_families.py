"""Families of hostile models: small networks with one thing in them that harms a library.

Each network takes cubes of `SHAPE` and ends in a tail that makes two probabilities of 0.5 from
whatever the hostile part gives, so that a wrong answer does not give it away.
"""

import json
from collections.abc import Iterator

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from cfzoo.runtime.artifact import CARD_KEY, TEST_KEY, Card, encode_test, seal

SHAPE = (1, 4, 4, 4)
CARD = Card("hostile", "1.0.0", SHAPE[1:], (5, 2, 2), ("signal",), "none")
HUGE = (2**31 - 1, 2**31, 2**40, 2**62, 2**63 - 1)
LOW = (-1, -2, -5, -(2**31), -(2**62), -(2**63))
Node = tuple[str, list[str], str, dict]


def ints(*values: int) -> np.ndarray:
    """Return a constant of integers."""
    return np.array(values, np.int64)


def network(*nodes: Node, output: str = "last", metadata: dict | None = None, **weights) -> bytes:
    """Build and seal a network of hostile nodes and the tail."""
    arrays = {
        "half": np.full((1, 2), 0.5, np.float32),
        "zero": np.zeros(1, np.float32),
        "minus": ints(-1, 1),
        "one": ints(1),
        **{name: np.asarray(value) for name, value in weights.items()},
    }
    tail = [
        ("ReduceMean", ["cubes", "rest"], "flat", {"keepdims": 0}),
        ("Unsqueeze", ["flat", "one"], "column", {}),
        # The guard accepts this tail, so that it is the hostile node that is refused.
        ("Flatten", [output], "row", {}),
        ("ReduceMax", ["row", "one"], "top", {}),
        ("Mul", ["top", "zero"], "none", {}),
        ("Mul", ["column", "zero"], "nothing", {}),
        ("Add", ["nothing", "none"], "sum", {}),
        ("Add", ["sum", "half"], "probability", {}),
    ]
    arrays["rest"] = ints(1, 2, 3, 4)
    steps = [helper.make_node(o, i, n.split("|"), **a) for o, i, n, a in (*nodes, *tail)]
    tensor = helper.make_tensor_value_info
    graph = helper.make_graph(
        steps,
        "g",
        [tensor("cubes", TensorProto.FLOAT, ["b", *SHAPE])],
        [tensor("probability", TensorProto.FLOAT, ["b", 2])],
        [numpy_helper.from_array(value, name) for name, value in arrays.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    return sealed(model, metadata)


def sealed(model, metadata: dict | None = None) -> bytes:
    """Add a card and a test vector to a model, and seal it."""
    test = encode_test(np.zeros((1, *SHAPE), np.uint16), np.array([[0.5, 0.5]], np.float32))
    props = {CARD_KEY: CARD.to_json(), TEST_KEY: test, **(metadata or {})}
    helper.set_model_props(model, props)
    return seal(model.SerializeToString(deterministic=True))


def one(operator: str, *inputs: str, attributes: dict | None = None, **weights) -> bytes:
    """Build a network whose only hostile node is of this operator."""
    return network((operator, list(inputs), "last", attributes or {}), **weights)


def list_models() -> Iterator[tuple[str, str, bytes]]:
    """Yield the family, name and bytes of each model."""
    for family in (operands, attributes, arity, types, folds, deep, activations, numbers, names):
        for name, model in family():
            yield family.__name__, name, model


def operands() -> Iterator[tuple[str, bytes]]:
    """Yield operators whose operands are far beyond their tensor."""
    for value in (*HUGE, *LOW):
        for place in (0, 4, 9):
            pads = [0] * 10
            pads[place] = value
            yield f"Pad {place} {value}", one("Pad", "cubes", "p", p=ints(*pads))
        yield f"Reshape {value}", one("Reshape", "cubes", "s", s=ints(value, 3))
        yield f"Reshape two {value}", one("Reshape", "cubes", "s", s=ints(-1, value))
        yield f"Tile {value}", one("Tile", "cubes", "r", r=ints(1, 1, 1, 1, value))
        yield f"Expand {value}", one("Expand", "cubes", "s", s=ints(1, 1, 4, 4, value))
        yield f"Gather {value}", one("Gather", "cubes", "i", attributes={"axis": 2}, i=ints(value))
        yield f"Unsqueeze {value}", one("Unsqueeze", "cubes", "a", a=ints(value))
        yield f"Squeeze {value}", one("Squeeze", "cubes", "a", a=ints(value))
        yield f"ReduceSum {value}", one("ReduceSum", "cubes", "a", a=ints(value))
        split = network(("Split", ["cubes", "s"], "last|b", {"axis": 2}), s=ints(value, 2))
        yield f"Split {value}", split
        step = ints(value)
        yield f"Slice step {value}", one("Slice", "cubes", "z", "e", "x", "t", z=ints(0), e=ints(4),
                                         x=ints(2), t=step)  # fmt: skip
        yield (
            f"Slice axis {value}",
            one("Slice", "cubes", "z", "e", "x", z=ints(0), e=ints(4), x=step),
        )
        sizes = np.array([1, 1, 4, 4, float(value)], np.float32)
        yield f"Resize {value}", one("Resize", "cubes", "", "s", s=sizes)
        yield f"ConstantOfShape {value}", one("ConstantOfShape", "s", s=ints(4, value))
        yield f"Range {value}", one("Range", "a", "b", "c", a=ints(0), b=ints(value), c=ints(1))
    yield "Pad short", one("Pad", "cubes", "p", p=ints(0, 0))
    yield "Pad empty", one("Pad", "cubes", "p", p=ints())
    yield "Slice step 0", one("Slice", "cubes", "z", "e", "x", "z", z=ints(0), e=ints(4), x=ints(2))


def attributes() -> Iterator[tuple[str, bytes]]:
    """Yield windows, groups and axes that do not fit."""
    kernel = np.ones((1, 1, 3, 3, 3), np.float32)
    for value in (0, 7, 4096, *HUGE, *LOW):
        three = [value] * 3
        for name in ("kernel_shape", "strides", "dilations"):
            fields = {"kernel_shape": [2, 2, 2], name: three}
            yield f"MaxPool {name} {value}", one("MaxPool", "cubes", attributes=fields)
            if name != "dilations":
                yield f"AveragePool {name} {value}", one("AveragePool", "cubes", attributes=fields)
            if name != "kernel_shape":
                for kind in ("Conv", "ConvTranspose"):
                    fields = {"pads": [1] * 6, name: three}
                    yield (
                        f"{kind} {name} {value}",
                        one(kind, "cubes", "w", attributes=fields, w=kernel),
                    )
        fields = {"pads": [value] * 6}
        yield f"Conv pads {value}", one("Conv", "cubes", "w", attributes=fields, w=kernel)
        yield (
            f"Conv group {value}",
            one("Conv", "cubes", "w", attributes={"group": value}, w=kernel),
        )
        for kind in ("Softmax", "Flatten", "LogSoftmax"):
            yield f"{kind} axis {value}", one(kind, "cubes", attributes={"axis": value or 9})
        yield f"Transpose {value}", one("Transpose", "cubes", attributes={"perm": [value] * 5})
        yield f"Cast {value}", one("Cast", "cubes", attributes={"to": value % 2**31})


def arity() -> Iterator[tuple[str, bytes]]:
    """Yield nodes with inputs that are missing, left out or too many."""
    kinds = "Max Min Sum Mean Concat Add Mul Pow Where MatMul Conv Gemm PRelu Clip "
    for kind in (kinds + "BatchNormalization LayerNormalization").split():
        fields = {"axis": 1} if kind == "Concat" else {}
        yield f"{kind} left out", one(kind, "cubes", "", attributes=fields)
        yield f"{kind} first left out", one(kind, "", "cubes", attributes=fields)
        yield f"{kind} nothing", one(kind, attributes=fields)
        yield f"{kind} many", one(kind, *["cubes"] * 40, attributes=fields)


def types() -> Iterator[tuple[str, bytes]]:
    """Yield nodes whose inputs have other types, ranks or shapes than they need."""
    whole = ints(*range(4))
    for kind in (
        "Add",
        "MatMul",
        "Pow",
        "Max",
        "Where",
        "Conv",
        "Gather",
        "Concat",
        "Pad",
        "Slice",
    ):
        fields = {"axis": 1} if kind == "Concat" else {}
        yield f"{kind} of integers", one(kind, "cubes", "w", attributes=fields, w=whole)
        empty = np.zeros((0, 4), np.float32)
        yield f"{kind} of nothing", one(kind, "cubes", "w", attributes=fields, w=empty)
        truth = np.array([True, False])
        yield f"{kind} of truths", one(kind, "cubes", "w", attributes=fields, w=truth)
    index = [("Cast", ["cubes"], "i", {"to": TensorProto.INT64})]
    table = np.zeros((5, 3), np.float32)
    for axis in (0, 1):
        fields = {"axis": axis}
        yield (
            f"Gather by the data {axis}",
            network(*index, ("Gather", ["w", "i"], "last", fields), w=table),
        )


def folds() -> Iterator[tuple[str, bytes]]:
    """Yield constants that grow while they are folded, behind Shape and without it."""
    start = [("Shape", ["cubes"], "s", {}), ("Cast", ["s"], "d0", {"to": TensorProto.FLOAT})]
    for count in (24, 28, 30, 31, 32, 34, 40, 60):
        for copies in (2, 3, 8):
            rows = [("Concat", [f"d{n}"] * copies, f"d{n + 1}", {"axis": 0}) for n in range(count)]
            yield f"Concat {copies}^{count}", network(*start, *rows, output=f"d{count}")
    for count in (3, 8, 16):
        rows = [("Tile", [f"d{n}", "r"], f"d{n + 1}", {}) for n in range(count)]
        yield f"Tile {count}", network(*start, *rows, output=f"d{count}", r=ints(64))
    for side in (10**4, 10**5, 10**6):
        expand = [("Expand", ["half", "e"], "a", {}), ("MatMul", ["a", "b"], "last", {})]
        flip = ("Transpose", ["a"], "b", {})
        nodes = (expand[0], flip, expand[1])
        yield f"MatMul of constants {side}", network(*nodes, e=ints(side, 2))
    for count in (200, 2000):
        rows = [("MatMul", ["d0", "d0"], "d1", {})]
        rows += [("MatMul", [f"d{n}", "d0"], f"d{n + 1}", {}) for n in range(1, count)]
        big = np.ones((700, 700), np.float16)
        cast = ("Cast", ["w"], "d0", {"to": TensorProto.FLOAT})
        yield f"MatMul chain {count}", network(cast, *rows, output=f"d{count}", w=big)


def deep() -> Iterator[tuple[str, bytes]]:
    """Yield long chains, circles and definitions that clash."""
    for count in (3000, 8000, 15000):
        for kind in ("Relu", "Exp", "Identity", "Transpose"):
            rows = [(kind, ["cubes"], "v0", {})]
            rows += [(kind, [f"v{n}"], f"v{n + 1}", {}) for n in range(count)]
            yield f"{kind} chain {count}", network(*rows, output=f"v{count}")
    for count in (40, 400):
        rows = [("Add", ["cubes", "cubes"], "v0", {})]
        rows += [("Concat", [f"v{n}"] * 2, f"v{n + 1}", {"axis": 1}) for n in range(count)]
        yield f"channels 2^{count}", network(*rows, output=f"v{count}")
    yield "circle", network(("Add", ["cubes", "b"], "a", {}), ("Relu", ["a"], "b", {}), output="b")
    yield "itself", network(("Add", ["cubes", "last"], "last", {}))
    yield "undefined", network(("Relu", ["nowhere"], "last", {}))
    twice = [("Relu", ["cubes"], "last", {}), ("Exp", ["cubes"], "last", {})]
    yield "twice", network(*twice)
    yield "the input again", network(("Relu", ["cubes"], "cubes", {}), output="cubes")
    yield "a weight again", network(("Relu", ["cubes"], "half", {}), output="half")


def activations() -> Iterator[tuple[str, bytes]]:
    """Yield little files whose activations fill the memory, or take hours."""
    for times in (10, 14, 18, 22, 30):
        rows = [("Concat", ["cubes", "cubes"], "v0", {"axis": 1})]
        rows += [("Concat", [f"v{n}"] * 2, f"v{n + 1}", {"axis": 1}) for n in range(times)]
        for kind in ("Exp", "Softmax", "Erf"):
            last = (kind, [f"v{times}"], "last", {})
            yield f"{kind} of 2^{times} channels", network(*rows, last)
    for side in (256, 2048, 16384, 65536):
        flat = ("Reshape", ["cubes", "f"], "r", {})
        wide = ("MatMul", ["r", "w"], "m", {})
        outer = [("Transpose", ["m"], "t", {}), ("MatMul", ["t", "m"], "o0", {})]
        for count in (1, 50, 1000):
            more = [("MatMul", ["o0" if n == 0 else f"o{n}", f"o{n}"], f"o{n + 1}", {})
                    for n in range(count)]  # fmt: skip
            weights = {"f": ints(-1, 64), "w": np.ones((64, min(side, 2048)), np.float32)}
            if side > 2048:
                wide = ("Tile", ["r", "k"], "m", {})
                weights = {"f": ints(-1, 64), "k": ints(1, side // 64)}
            yield (
                f"outer product {side} x{count}",
                network(flat, wide, *outer, *more, output=f"o{count}", **weights),
            )
    for kernel in (64, 255):
        fields = {"strides": [kernel] * 3}
        w = np.ones((1, 1, 1, 1, 1), np.float32)
        rows = [("ConvTranspose", ["cubes", "w"], "v", fields)]
        yield f"ConvTranspose stride {kernel}", network(*rows, output="v", w=w)
        rows.append(("ConvTranspose", ["v", "w"], "u", fields))
        yield f"ConvTranspose stride {kernel} twice", network(*rows, output="u", w=w)
    for margin in (100, 300, 1000):
        rows = [("Pad", ["cubes", "p"], "last", {"mode": "edge"})]
        yield f"Pad {margin}", network(*rows, p=ints(*[0, 0, *[margin] * 3] * 2))


def numbers() -> Iterator[tuple[str, bytes]]:
    """Yield weights and functions that give NaN or infinity, and so no probabilities."""
    for value in (np.nan, np.inf, -np.inf):
        for kind in ("Add", "Mul", "Max", "Sub", "Div", "Pow"):
            yield f"{kind} {value}", one(kind, "cubes", "w", w=np.full(1, value, np.float32))
    for kind in ("Exp", "Log", "Reciprocal", "Sqrt"):
        rows = [("Sub", ["cubes", "w"], "v", {}), (kind, ["v"], "u", {}), ("Exp", ["u"], "t", {}),
                ("Exp", ["t"], "r", {}), ("Exp", ["r"], "last", {})]  # fmt: skip
        yield f"{kind} of a negative number", network(*rows, w=np.full(1, 1e30, np.float32))
        yield (
            f"Exp of Exp of {kind}",
            network(("Add", ["cubes", "w"], "v", {}), *rows[1:], w=np.full(1, 1e4, np.float32)),
        )


def names() -> Iterator[tuple[str, bytes]]:
    """Yield names and texts that are long, odd or huge."""
    for label, text in {
        "empty": "", "long": "x" * 10**6, "control": "\x1b[2J\x07", "path": "../../x",
    }.items():  # fmt: skip
        yield f"value {label}", network(("Relu", ["cubes"], text, {}), output=text)
        yield f"operator {label}", network((text or " ", ["cubes"], "last", {}))
        yield (
            f"metadata {label}",
            network(("Relu", ["cubes"], "last", {}), metadata={text or " ": text * 8}),
        )
    card = json.loads(CARD.to_json())
    for label, change in {
        "giant": {"description": "x" * 2 * 10**6},
        "deep": {"metrics": json.loads("[" * 50 + "]" * 50)},
        "wide": {"metrics": {str(n): n for n in range(10**5)}},
        "number": {"threshold": 1e308},
    }.items():
        text = json.dumps({**card, **change})
        yield f"card {label}", network(("Relu", ["cubes"], "last", {}), metadata={CARD_KEY: text})
