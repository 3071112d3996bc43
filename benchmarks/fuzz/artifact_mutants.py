"""Mutants of small artifacts: trees of protobuf fields, changed in one place and sealed again."""

import random
from collections.abc import Mapping
from typing import Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from cfzoo.runtime.artifact import CARD_KEY, INPUT, OUTPUT, TEST_KEY, Card, encode_test, seal

Tree = list[list[Any]]  # of [field number, wire type, value]; messages are trees
MESSAGES = {  # path of field numbers -> what it is; all else is a number, text or bytes
    (7,), (8,), (14,), (7, 1), (7, 1, 5), (7, 5), (7, 11), (7, 12),
    (7, 11, 2), (7, 11, 2, 1), (7, 11, 2, 1, 2), (7, 11, 2, 1, 2, 1),
    (7, 12, 2), (7, 12, 2, 1), (7, 12, 2, 1, 2), (7, 12, 2, 1, 2, 1),
}  # fmt: skip
INTEGERS = (
    *range(-9, 17), 63, 64, 255, 256, 257, 1000, 4096, 65536, 2**20, 2**24, 2**26, 2**31 - 1, 2**31,
    2**32, 2**40, 2**61 - 1, 2**62, 2**63 - 1, -(2**31), -(2**63), -256, -257,
)  # fmt: skip
SHAPE = (1, 4, 6, 8)
UNARY = """
    Abs Neg Exp Log Sqrt Erf Relu Sigmoid Tanh Reciprocal Sign Softplus HardSwish Elu Selu
    LeakyRelu HardSigmoid Identity Softmax LogSoftmax GlobalAveragePool GlobalMaxPool Clip Not
    Sum Max Min Mean Flatten
""".split()  # noqa: SIM905
BINARY = """
    Add Sub Mul Div Pow Max Min Sum Mean Greater GreaterOrEqual Less LessOrEqual Equal MatMul
    And Or PRelu Concat Gemm Reshape Squeeze Unsqueeze Gather Split Pad ReduceMax ReduceMean
    ReduceMin ReduceSum ReduceSumSquare ReduceL2 LayerNormalization Clip Conv
""".split()  # noqa: SIM905

ATTRIBUTES = """
    axis axis axis keepdims noop_with_empty_axes perm kernel_shape strides dilations pads group
    auto_pad ceil_mode count_include_pad storage_order alpha beta gamma transA transB epsilon
    momentum training_mode to mode allowzero num_outputs output_padding output_shape stash_type p
""".split()  # noqa: SIM905


def read_seeds() -> list[bytes]:
    """Return two sealed artifacts: one of three nodes, one of most operators."""
    return [_artifact(*_linear()), _artifact(*_network())]


def _artifact(nodes: list, weights: dict) -> bytes:
    card = Card("fuzz", "1.0.0", SHAPE[1:], (5, 2, 2), ("signal",), "none")
    graph = helper.make_graph(
        nodes,
        "cfzoo",
        [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, ["batch", *SHAPE])],
        [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, ["batch", 2])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    test = encode_test(np.zeros((1, *SHAPE), np.uint16), np.array([[0.5, 0.5]], np.float32))
    helper.set_model_props(model, {CARD_KEY: card.to_json(), TEST_KEY: test})
    return seal(model.SerializeToString(deterministic=True))


def _linear() -> tuple[list, dict]:
    nodes = [
        helper.make_node("Reshape", [INPUT, "s"], ["flat"]),
        helper.make_node("MatMul", ["flat", "w"], ["logits"]),
        helper.make_node("Softmax", ["logits"], [OUTPUT], axis=1),
    ]
    return nodes, {"s": np.array([-1, 192]), "w": np.full((192, 2), 1e-4, np.float32)}


def _network() -> tuple[list, dict]:
    node = helper.make_node
    rng = np.random.default_rng(0)

    def draw(*shape):
        return rng.normal(0, 0.1, shape).astype(np.float32)

    weights = {
        "axes": np.array([2, 3, 4]),
        "tiny": np.float32(1e-3),
        "one": np.float32(1),
        "conv.w": draw(3, 1, 2, 3, 3),
        "conv.b": draw(3),
        "bn.s": np.ones(3, np.float32),
        "bn.b": draw(3),
        "bn.v": np.ones(3, np.float32),
        "up.w": draw(3, 2, 2, 2, 2),
        "pads": np.array([0, 0, 0, 1, 0, 0, 0, 1, 0, 1]),
        "from": np.array([1]),
        "to": np.array([5]),
        "axis": np.array([3]),
        "parts": np.array([1, 1]),
        "rows": np.array([-1, 8]),
        "mix": draw(8, 4),
        "flat": np.array([-1, 60]),
        "places": np.array([0, 2, 5, -1]),
        "fc.w": draw(4, 2),
        "fc.b": draw(2),
    }
    nodes = [
        node("ReduceMean", [INPUT, "axes"], ["mean"], keepdims=1),
        node("Sub", [INPUT, "mean"], ["centred"]),
        node("Conv", ["centred", "conv.w", "conv.b"], ["conv"], kernel_shape=[2, 3, 3],
             pads=[1, 1, 1, 0, 1, 1], strides=[1, 1, 1], dilations=[1, 1, 1], group=1),
        node("BatchNormalization", ["conv", "bn.s", "bn.b", "bn.b", "bn.v"], ["norm"]),
        node("Relu", ["norm"], ["relu"]),
        node("MaxPool", ["relu"], ["pool"], kernel_shape=[2, 2, 2], strides=[2, 2, 2]),
        node("ConvTranspose", ["pool", "up.w"], ["up"], strides=[2, 2, 2], kernel_shape=[2, 2, 2]),
        node("AveragePool", ["up"], ["smooth"], kernel_shape=[2, 2, 1], strides=[2, 1, 1]),
        node("Pad", ["smooth", "pads", "tiny"], ["padded"], mode="constant"),
        node("Slice", ["padded", "from", "to", "axis"], ["cut"]),
        node("Transpose", ["cut"], ["turned"], perm=[0, 1, 4, 2, 3]),
        node("Split", ["turned", "parts"], ["left", "right"], axis=1),
        node("Concat", ["left", "right"], ["joined"], axis=2),
        node("LessOrEqual", ["joined", "tiny"], ["small"]),
        node("Where", ["small", "one", "joined"], ["chosen"]),
        node("Reshape", ["chosen", "rows"], ["rows8"]),
        node("MatMul", ["rows8", "mix"], ["mixed"]),
        node("Clip", ["mixed", "tiny", "one"], ["clipped"]),
        node("Pow", ["clipped", "one"], ["power"]),
        node("Cast", ["small"], ["numbers"], to=1),
        node("ReduceMax", ["numbers", "axes"], ["most"], keepdims=0),
        node("Unsqueeze", ["most", "from"], ["wide"]),
        node("GlobalAveragePool", ["up"], ["global"]),
        node("Flatten", ["global"], ["two"], axis=1),
        node("Flatten", ["centred"], ["long"], axis=1),
        node("Gather", ["long", "places"], ["four"], axis=1),
        node("Gemm", ["four", "fc.w", "fc.b"], ["fc"], transB=0),
        node("Add", ["fc", "two"], ["logits"]),
        node("Softmax", ["logits"], [OUTPUT], axis=1),
    ]  # fmt: skip
    return nodes, weights


class Mutator:
    """Mutants of seeds, in an order that the random generator decides."""

    def __init__(self, seeds: list[bytes], rng: random.Random):
        self.rng = rng
        self.seeds = seeds
        self.bodies = [seed[: -64 - len(b"\x72\x50\x0a\x0ccfzoo.digest\x12\x40")] for seed in seeds]
        self.trees = [parse(body) for body in self.bodies]
        self.cache: dict[int, bytes] = {}
        for tree in self.trees:
            cache_fields(tree, self.cache)

    def mutant(self) -> tuple[bytes, bool]:
        """Return a mutant, and whether its digest is right."""
        rng = self.rng
        if rng.random() < 0.7:
            return self.structural_mutant(), True
        number = rng.random() < 0.1
        if rng.random() < 0.9:
            return seal(self._damage(self.bodies[number])), True
        return self._damage(self.seeds[number]), False

    def _damage(self, data: bytes) -> bytes:
        """Change, insert or remove some bytes."""
        rng, changed = self.rng, bytearray(data)
        for _ in range(rng.choice((1, 1, 2, 4))):
            place = rng.randrange(len(changed) or 1)
            action = rng.randrange(4) if changed else 3
            if action == 0:
                changed[place] ^= 1 << rng.randrange(8)
            elif action == 1:
                changed[place] = rng.randrange(256)
            elif action == 2:
                del changed[place : place + rng.randrange(1, 20)]
            else:
                changed[place:place] = rng.randbytes(rng.randrange(1, 9))
        return bytes(changed)

    def structural_mutant(self, rounds: int = 1, large: float = 0.1) -> bytes:
        """Return a sealed mutant whose tree of fields was changed ``rounds`` times.

        The share ``large`` are mutants of the second, larger seed.
        """
        tree = self.trees[self.rng.random() < large]
        for _ in range(rounds):
            tree = self.mutate(tree)
        return seal(write(tree, self.cache))

    def mutate(self, tree: Tree) -> Tree:
        """Return a tree with one change; what did not change is shared with the old one."""
        rng = self.rng
        action = rng.random()
        tree = list(tree)
        place = next((i for i, field in enumerate(tree) if field[0] == 7), None)
        changes = (self._insert_node,) * 7 + (self._change_operand,) * 3 + (self._change_node,) * 4
        if place is None or action > 0.7:
            return self._change_field(tree)
        try:
            tree[place] = [7, 2, rng.choice(changes)(tree[place][2])]
        except (TypeError, ValueError, IndexError):  # an earlier change left no graph
            return self._change_field(tree)
        return tree

    def _change_field(self, tree: Tree) -> Tree:
        """Return a tree in which a field anywhere was changed, left out, repeated or moved."""
        rng, tree = self.rng, list(tree)
        if not tree:
            return [[rng.randrange(1, 21), 0, 1]]
        place = rng.randrange(len(tree))
        number, wire, value = tree[place]
        if isinstance(value, list) and rng.random() < 0.85:
            tree[place] = [number, wire, self._change_field(value)]
            return tree
        action = rng.randrange(8)
        if action == 0:
            del tree[place]
        elif action == 1:
            tree.insert(rng.randrange(len(tree) + 1), tree[place])
        elif action == 2:
            tree.insert(rng.randrange(len(tree)), tree.pop(place))
        elif action == 3:
            tree[place] = [rng.randrange(0, 26), wire, value]
        else:
            tree[place] = [number, wire, self._change_value(value)]
        return tree

    def _change_value(self, value: Any) -> Any:
        rng = self.rng
        if isinstance(value, int):
            return rng.choice(INTEGERS) % 2**64
        if isinstance(value, list):
            return []
        if len(value) and len(value) % 8 == 0 and rng.random() < 0.5:
            numbers = np.frombuffer(value, "<i8").copy()
            numbers[rng.randrange(len(numbers))] = rng.choice(INTEGERS)
            return numbers.tobytes()
        return self._damage(value) if len(value) else rng.randbytes(3)

    def _change_operand(self, graph: Tree) -> Tree:
        """Return a graph in which an integer constant has other numbers, or another length."""
        rng, graph = self.rng, list(graph)
        places = [i for i, (n, _, t) in enumerate(graph) if n == 5 and [2, 0, 7] in t]
        if not places:
            return graph
        place = rng.choice(places)
        fields = {number: value for number, _, value in graph[place][2]}
        name, raw = fields.get(8, b""), fields.get(9, b"")
        if not isinstance(name, bytes) or not isinstance(raw, bytes) or len(raw) % 8:
            return graph
        numbers = list(np.frombuffer(raw, "<i8"))
        action = rng.randrange(4)
        if action == 0 or not numbers:
            numbers.insert(rng.randrange(len(numbers) + 1), rng.choice(INTEGERS))
        elif action == 1:
            del numbers[rng.randrange(len(numbers))]
        else:
            numbers[rng.randrange(len(numbers))] = rng.choice(
                INTEGERS[:20] if action == 2 else INTEGERS
            )
        graph[place] = [
            5,
            2,
            constant(name.decode(errors="replace"), np.array(numbers, "<i8")),
        ]
        return graph

    def _change_node(self, graph: Tree) -> Tree:
        """Return a graph in which a node has another operator, input or attribute."""
        rng, graph = self.rng, list(graph)
        places = [i for i, (n, *_) in enumerate(graph) if n == 1]
        place = rng.choice(places)
        node = list(graph[place][2])
        inputs = [i for i, (n, *_) in enumerate(node) if n == 1]
        action = rng.randrange(5)
        if action == 0:
            node = [
                [4, 2, rng.choice(UNARY + BINARY).encode()] if n == 4 else [n, w, v]
                for n, w, v in node
            ]
        elif action == 1 and inputs:
            node[rng.choice(inputs)] = [1, 2, rng.choice([*self._names(graph, place), b""])]
        elif action == 2 and inputs:
            node.insert(rng.choice(inputs), [1, 2, rng.choice([*self._names(graph, place), b""])])
        elif action == 3 and inputs:
            del node[rng.choice(inputs)]
        else:
            node.append([5, 2, self._attribute()])
        graph[place] = [1, 2, node]
        return graph

    def _attribute(self) -> Tree:
        rng = self.rng
        name = rng.choice(ATTRIBUTES).encode()
        kind = rng.choice((1, 2, 2, 2, 3, 7, 7))
        if kind == 2:
            value = [3, 0, rng.choice(INTEGERS[:26] if rng.random() < 0.8 else INTEGERS) % 2**64]
        elif kind == 1:
            value = [
                2,
                5,
                np.float32(rng.choice((0.0, 1.0, -1.0, 1e-5, 1e30, np.nan, np.inf))).tobytes(),
            ]
        elif kind == 3:
            value = [
                4,
                2,
                rng.choice(
                    (b"NOTSET", b"SAME_UPPER", b"VALID", b"reflect", b"edge", b"constant", b"wrap")
                ),
            ]
        else:
            numbers = [rng.choice(INTEGERS[8:14]) for _ in range(rng.randrange(1, 7))]
            value = [8, 2, b"".join(varint(n % 2**64) for n in numbers)]
        return [[1, 2, name], [20, 0, kind], value]

    def _names(self, graph: Tree, place: int) -> list[bytes]:
        """Return the names that a node at a place may use."""
        names = [
            v for n, _, t in graph if n in (5, 11) for m, _, v in t if m == (8 if n == 5 else 1)
        ]
        for number, _, node in graph[:place]:
            names += [v for m, _, v in node if m == 2] if number == 1 else []
        return names

    def _insert_node(self, graph: Tree) -> Tree:
        """Return a graph with one more node, and perhaps a constant, whose output is used."""
        rng, graph = self.rng, list(graph)
        places = [i for i, (n, *_) in enumerate(graph) if n == 1]
        place = rng.choice(places)
        names = self._names(graph, place)
        user = list(graph[place][2])
        inputs = [i for i, (n, *_) in enumerate(user) if n == 1]
        if not inputs:
            return graph
        used = rng.choice(inputs)
        value = user[used][2] if rng.random() < 0.8 else rng.choice(names)
        fresh = b"fresh%d" % rng.randrange(10**6)
        if rng.random() < 0.5:
            operator, arguments, extra = rng.choice(UNARY), [value], []
        else:
            operator, second = rng.choice(BINARY), fresh + b".c"
            arguments = [value, rng.choice(names) if rng.random() < 0.3 else second]
            extra = (
                []
                if arguments[1] != second
                else [[5, 2, self._constant(second.decode(), operator)]]
            )
            if rng.random() < 0.2:
                arguments.reverse()
            if rng.random() < 0.1:
                arguments.append(rng.choice([*names, b""]))
        node = [[1, 2, name] for name in arguments] + [[2, 2, fresh], [4, 2, operator.encode()]]
        if rng.random() < 0.5 or operator in ("Concat", "Gather", "Softmax"):
            axis = rng.choice((1, 1, 2, 3, 4, -1))
            node.append([5, 2, [[1, 2, b"axis"], [3, 0, axis % 2**64], [20, 0, 2]]])
        if rng.random() < 0.15:
            node.append([5, 2, self._attribute()])
        if used is not None and rng.random() < 0.8:
            user[used] = [1, 2, fresh]
            graph[place] = [1, 2, user]
        graph[place:place] = [*extra, [1, 2, node]]
        return graph

    def _constant(self, name: str, operator: str) -> Tree:
        rng = self.rng
        if operator in (
            "Reshape",
            "Squeeze",
            "Unsqueeze",
            "Gather",
            "Split",
            "Pad",
        ) or operator.startswith("Reduce"):
            choices = INTEGERS[:20] if rng.random() < 0.9 else INTEGERS
            length = 10 if operator == "Pad" else rng.randrange(0, 5)
            numbers = np.array([rng.choice(choices) for _ in range(length)], "<i8")
            if operator == "Reshape" and length:
                numbers[0] = -1
            if operator == "Pad":
                numbers *= rng.random() < 0.5
                numbers[rng.choice((2, 3, 4, 7, 8, 9))] = rng.choice(choices)
            return constant(name, numbers if rng.random() < 0.95 or not length else numbers[0])
        shape = [rng.choice((1, 1, 2, 3, 4, 6, 8)) for _ in range(rng.randrange(0, 6))]
        values = np.random.default_rng(rng.randrange(99)).normal(0, 1, shape).astype("<f4")
        return constant(name, values)


def constant(name: str, value: np.ndarray) -> Tree:
    """Return the fields of a constant."""
    value = np.asarray(value)
    dims = [[1, 0, n] for n in value.shape]
    kind = 7 if value.dtype == np.int64 else 1
    return [*dims, [2, 0, kind], [8, 2, name.encode()], [9, 2, value.tobytes()]]


def parse(raw: bytes, path: tuple[int, ...] = ()) -> Tree:
    """Parse bytes into a tree of fields."""
    tree, place = [], 0

    def read_varint():
        nonlocal place
        value = shift = 0
        while True:
            byte = raw[place]
            place += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    while place < len(raw):
        key = read_varint()
        number, wire = key >> 3, key & 7
        if wire == 0:
            tree.append([number, 0, read_varint()])
            continue
        size = 4 if wire == 5 else read_varint()
        value: Any = raw[place : place + size]
        place += size
        inner = (*path, number)
        tree.append([number, wire, parse(value, inner) if inner in MESSAGES else value])
    return tree


def varint(value: int) -> bytes:
    """Encode an unsigned integer."""
    parts = bytearray()
    while value > 127:
        parts.append(value & 127 | 128)
        value >>= 7
    return bytes([*parts, value])


def write(tree: Tree, cache: Mapping[int, bytes]) -> bytes:
    """Return the bytes of a tree of fields; ``cache`` has those of fields that did not change."""
    parts = []
    for field in tree:
        raw = cache.get(id(field))
        parts.append(write_field(field, cache) if raw is None else raw)
    return b"".join(parts)


def write_field(field: list[Any], cache: Mapping[int, bytes]) -> bytes:
    """Return the bytes of one field."""
    number, wire, value = field
    key = varint(number << 3 | wire)
    if wire == 0:
        return key + varint(value)
    raw = write(value, cache) if isinstance(value, list) else value
    return key + (varint(len(raw)) if wire == 2 else b"") + raw


def cache_fields(tree: Tree, cache: dict[int, bytes]) -> dict[int, bytes]:
    """Return the bytes of each field of a tree by its identity; the tree must outlive them."""
    for field in tree:
        if isinstance(field[2], list):
            cache_fields(field[2], cache)
        cache[id(field)] = write_field(field, cache)
    return cache
