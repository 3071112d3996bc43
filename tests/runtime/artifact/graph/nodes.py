"""Random nodes, most of which fit, for hypothesis."""

import numpy as np
from hypothesis import strategies as st

from cfzoo.runtime.artifact.graph.operators import OPERATORS

INTEGERS = st.one_of(st.integers(-3, 8), st.sampled_from([2**31, 2**62, 2**63 - 1, -(2**63), 257]))
SIDES = st.integers(1, 6)
GENERAL = sorted(
    set(OPERATORS)
    - {
        "Cast",
        "Clip",
        "Not",
        "And",
        "Or",
        "Where",
        "PRelu",
        "Concat",
        "Split",
        "Pad",
        "Slice",
        "TopK",
    }
    - {"Conv", "ConvTranspose", "MaxPool", "AveragePool", "Gemm", "MatMul", "Gather", "Reshape"}
    - {"BatchNormalization", "LayerNormalization", "Transpose", "Flatten", "Squeeze", "Unsqueeze"}
    - {name for name in OPERATORS if name.startswith("Reduce")}
)


def _floats(shape):
    return np.random.default_rng(len(shape)).normal(0, 1, shape).astype(np.float32)


def _ints(draw, *choices, least=1):
    """A constant of integers, now and then with one that is out of place."""
    numbers = list(draw(st.sampled_from(choices)))
    if len(numbers) > 0 and draw(st.integers(0, 4)) == 0:
        numbers[draw(st.integers(0, len(numbers) - 1))] = draw(INTEGERS)
    return np.array(numbers, np.int64)


@st.composite
def nodes(draw):
    """A node as `conftest.infer` takes it."""
    shape = tuple(draw(st.lists(SIDES, min_size=1, max_size=4)))
    rank = len(shape) + 1
    axis = draw(st.integers(1, rank - 1))
    side = shape[axis - 1]
    maker = draw(st.sampled_from([_general, _general, _windows, _products, _cuts, _layouts, _axes]))
    return maker(draw, shape, rank, axis, side)


def _general(draw, shape, rank, axis, side):
    name = draw(st.sampled_from(GENERAL))
    operator = OPERATORS[name]
    count = draw(st.integers(operator.least, min(operator.most, 4)))
    others = st.sampled_from(
        [shape, (*shape[:-1], 1), (1,) * len(shape), _floats(shape[-1:]), _floats(()), (side, 3)]
    )
    attributes = {"axis": draw(st.integers(-rank, rank))} if "axis" in operator.attributes else {}
    return name, [shape, *(draw(others) for _ in range(count - 1))], attributes


def _windows(draw, shape, rank, axis, side):
    shape = (*shape, 5, 6)[: draw(st.integers(2, 4))]
    axes = len(shape) - 1
    per_axis = st.lists(st.integers(1, 3), min_size=axes, max_size=axes).map(tuple)
    kernel = draw(per_axis)
    attributes = {
        "kernel_shape": kernel,
        "strides": draw(per_axis),
        "pads": tuple(draw(st.lists(st.integers(0, 2), min_size=2 * axes, max_size=2 * axes))),
    }
    name = draw(st.sampled_from(["Conv", "ConvTranspose", "MaxPool", "AveragePool"]))
    if name.endswith("Pool"):
        return name, [shape], attributes
    group = draw(st.sampled_from([1, 1, shape[0], 2]))
    attributes |= {"group": group, "dilations": draw(per_axis)}
    if name == "Conv":
        weights = (group * draw(st.integers(1, 2)), max(1, shape[0] // group), *kernel)
        channels = weights[0]
    else:
        weights = (shape[0], draw(st.integers(1, 2)), *kernel)
        channels = weights[1] * group
        attributes["output_padding"] = draw(
            st.lists(st.integers(0, 2), min_size=axes, max_size=axes).map(tuple)
        )
    bias = [_floats((channels,))] if draw(st.booleans()) else []
    return name, [shape, _floats(weights), *bias], attributes


def _products(draw, shape, rank, axis, side):
    last, columns = shape[-1], draw(SIDES)
    return draw(
        st.sampled_from(
            [
                ("MatMul", [shape, _floats((last, columns))], {}),
                ("MatMul", [shape, (*shape[:-2], last, columns)], {}),
                ("MatMul", [shape, (last, columns)], {}),
                ("MatMul", [_floats((columns, shape[-2] if rank > 2 else 3)), shape], {}),
                ("Gemm", [shape[-1:], _floats((last, columns))], {}),
                (
                    "Gemm",
                    [shape[-1:], _floats((columns, last)), _floats((columns,))],
                    {"transB": 1},
                ),
                ("BatchNormalization", [shape, *[np.ones(shape[0], np.float32)] * 4], {}),
                ("LayerNormalization", [shape, _floats(shape[axis - 1 :])], {"axis": axis}),
                ("PRelu", [shape, _floats((shape[0], *(1,) * (rank - 2)))], {}),
                ("Clip", [shape, *[_floats(())] * draw(st.integers(0, 2))], {}),
                ("Clip", [shape, None, _floats(())], {}),
                ("Where", [("bool", shape), _floats(()), shape], {}),
                ("And", [("bool", shape), ("bool", shape[-1:] if rank == 2 else shape)], {}),
                ("Not", [("bool", shape)], {}),
                ("Cast", [("bool", shape)], {"to": draw(st.sampled_from([1, 7, 9, 10]))}),
            ]
        )
    )


def _cuts(draw, shape, rank, axis, side):
    start = draw(st.integers(-side, side))
    end = draw(st.sampled_from([side, 2**63 - 1, start + 1, -1]))
    first = draw(st.integers(1, 4))
    margins = [0, *draw(st.lists(st.integers(0, 3), min_size=rank - 1, max_size=rank - 1))]
    places = st.lists(st.integers(-side, side), min_size=1, max_size=4)
    return draw(
        st.sampled_from(
            [
                (
                    "Slice",
                    [shape, *(_ints(draw, [n]) for n in (start, end, axis)), _ints(draw, [1], [2])],
                    {},
                ),
                ("Split", [shape, _ints(draw, [first, side - first])], {"axis": axis}, 2),
                ("Split", [shape], {"axis": axis, "num_outputs": first}, first),
                ("Gather", [shape, np.array(draw(places), np.int64)], {"axis": axis}),
                (
                    "Pad",
                    [shape, _ints(draw, margins * 2)],
                    {"mode": draw(st.sampled_from(["constant", "reflect", "edge"]))},
                ),
                ("Pad", [shape, _ints(draw, [1, 2]), None, _ints(draw, [axis])], {}),
            ]
        )
    )


def _layouts(draw, shape, rank, axis, side):
    order = draw(st.permutations(range(1, rank)))
    total = int(np.prod(shape))
    return draw(
        st.sampled_from(
            [
                ("Transpose", [shape], {"perm": (0, *order)}),
                ("Flatten", [shape], {"axis": draw(st.integers(-rank, rank))}),
                ("Reshape", [shape, _ints(draw, [-1, total], [-1], [0, -1], [-1, side])], {}),
                ("Reshape", [shape, _ints(draw, [-1, total])], {"allowzero": 1}),
                ("Unsqueeze", [shape, _ints(draw, [axis], [axis, -1], [1, 2])], {}),
                ("Squeeze", [(*shape[: axis - 1], 1, *shape[axis:]), _ints(draw, [axis])], {}),
                (
                    "Concat",
                    [shape, (*shape[: axis - 1], draw(SIDES), *shape[axis:])],
                    {"axis": draw(st.sampled_from([axis, axis - rank]))},
                ),
            ]
        )
    )


def _axes(draw, shape, rank, axis, side):
    name = draw(st.sampled_from([n for n in OPERATORS if n.startswith("Reduce")]))
    axes = _ints(draw, [axis], [-1], list(range(1, rank)))
    return name, [shape, axes], {"keepdims": draw(st.integers(0, 1))}
