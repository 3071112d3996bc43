"""Mutants of small artifacts: trees of protobuf fields, changed in one place and sealed again."""

import random
from typing import Any

import numpy as np
from field_tree import Tree, cache_fields, constant, parse, varint, write

from cfzoo.runtime.artifact import seal

INTEGERS = (
    *range(-9, 17), 63, 64, 255, 256, 257, 1000, 4096, 65536, 2**20, 2**24, 2**26, 2**31 - 1, 2**31,
    2**32, 2**40, 2**61 - 1, 2**62, 2**63 - 1, -(2**31), -(2**63), -256, -257,
)  # fmt: skip
UNARY = """
    Abs Acos Cos Neg Exp Log Sqrt Erf Relu Sigmoid Tanh Reciprocal Sign Softplus HardSwish Elu Selu
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
