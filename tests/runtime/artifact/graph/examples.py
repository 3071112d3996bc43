"""Nodes that the guard accepts, with each form of each operator, and nodes that it refuses.

A row is an operator, its inputs (see `conftest.infer`), its attributes and perhaps its number of
outputs.
"""

import numpy as np

F = np.float32
VOXELS = (2, 5, 6, 7)


def ints(*numbers):
    """A constant of int64."""
    return np.array(numbers, np.int64)


def ones(*shape):
    """A constant of float32."""
    return np.ones(shape, F)


def _unary(names, attributes=None):
    return [(name, [VOXELS], attributes or {}) for name in names.split()]


WINDOW = {"kernel_shape": (3, 2, 2), "strides": (2, 1, 1), "pads": (1, 1, 0, 0, 1, 1)}
EXAMPLES = [
    *_unary("Abs Acos Cos Erf Exp HardSwish Identity Log Neg Reciprocal Relu Sigmoid Sign"),
    *_unary("Softplus Sqrt Tanh GlobalAveragePool GlobalMaxPool Elu Selu LeakyRelu HardSigmoid"),
    *_unary("Elu LeakyRelu", {"alpha": 0.5}),
    *_unary("Selu", {"alpha": 0.5, "gamma": 2.0}),
    *_unary("HardSigmoid", {"alpha": 0.5, "beta": 2.0}),
    *_unary("Softmax LogSoftmax"),
    *_unary("Softmax LogSoftmax", {"axis": -2}),
    *[(name, [("bool", (4,))], {}) for name in ("Not", "Identity")],
    *[(name, [VOXELS, VOXELS], {}) for name in ("Add", "Sub", "Mul", "Div", "Pow")],
    ("Add", [VOXELS, ones(7)], {}),
    ("Mul", [ones(), VOXELS], {}),
    ("Sub", [(3, 1), (1, 4)], {}),
    ("Div", [VOXELS, ones(1, 2, 1, 1, 1)], {}),
    *[(n, [VOXELS] * k, {}) for n in ("Max", "Min", "Sum", "Mean") for k in (1, 2, 3)],
    ("Max", [VOXELS, ones()], {}),
    *[
        (name, [VOXELS, ones(7)], {})
        for name in ("Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual")
    ],
    ("Equal", [("int64", (3,)), ints(2)], {}),
    *[(name, [("bool", (4,)), ("bool", (1,))], {}) for name in ("And", "Or")],
    ("Where", [("bool", (4,)), ones(), (4,)], {}),
    ("Where", [("bool", (4,)), (4,), ones(4)], {}),
    ("Where", [("bool", (4,)), ("int64", (4,)), ints(3)], {}),
    *[("Cast", [(kind, (4,))], {"to": to}) for kind in ("float32", "bool") for to in (1, 7, 9)],
    ("Clip", [VOXELS], {}),
    ("Clip", [VOXELS, ones()], {}),
    ("Clip", [VOXELS, ones(), ones()], {}),
    ("Clip", [VOXELS, None, ones()], {}),
    ("PRelu", [VOXELS, ones(1)], {}),
    ("PRelu", [VOXELS, ones(2, 1, 1, 1)], {}),
    ("PRelu", [VOXELS, ones(1, 1, 1, 1)], {}),
    ("Conv", [VOXELS, ones(4, 2, 3, 2, 2)], WINDOW | {"auto_pad": "NOTSET"}),
    ("Conv", [VOXELS, ones(4, 1, 3, 2, 2), ones(4)], WINDOW | {"group": 2, "dilations": (1, 2, 3)}),
    ("Conv", [(2, 9), ones(4, 2, 3)], {"pads": (3, 0), "strides": (2,)}),
    ("Conv", [(2, 9, 9), ones(4, 2, 1, 1)], {"pads": (1, 1, 1, 1)}),
    ("ConvTranspose", [VOXELS, ones(2, 4, 3, 2, 2)], WINDOW | {"auto_pad": "NOTSET"}),
    (
        "ConvTranspose",
        [VOXELS, ones(2, 2, 3, 2, 2), ones(4)],
        WINDOW | {"group": 2, "dilations": (1, 2, 3), "output_padding": (1, 0, 0)},
    ),
    ("ConvTranspose", [(2, 9), ones(2, 4, 3)], {"strides": (2,)}),
    ("MaxPool", [VOXELS], {"kernel_shape": (2, 3, 3)}),
    (
        "MaxPool",
        [VOXELS],
        WINDOW | {"ceil_mode": 0, "storage_order": 0, "dilations": (1, 1, 1), "auto_pad": "NOTSET"},
    ),
    ("AveragePool", [VOXELS], {"kernel_shape": (2, 3, 3)}),
    *[
        (
            "AveragePool",
            [VOXELS],
            WINDOW | {"ceil_mode": 0, "count_include_pad": n, "auto_pad": "NOTSET"},
        )
        for n in (0, 1)
    ],
    ("BatchNormalization", [VOXELS, *[ones(2)] * 4], {}),
    (
        "BatchNormalization",
        [(5,), *[ones(5)] * 4],
        {"epsilon": 1e-3, "momentum": 0.5, "training_mode": 0},
    ),
    ("LayerNormalization", [VOXELS, ones(7)], {}),
    (
        "LayerNormalization",
        [VOXELS, ones(6, 7), ones(6, 7)],
        {"axis": -2, "epsilon": 1e-3, "stash_type": 1},
    ),
    *[("Concat", [VOXELS] * k, {"axis": axis}) for k, axis in ((1, 1), (2, -1), (3, 2))],
    ("Concat", [(3, 4), (5, 4)], {"axis": 1}),
    ("Flatten", [VOXELS], {}),
    *[("Flatten", [VOXELS], {"axis": axis}) for axis in (1, 3, -1, 5)],
    ("Transpose", [VOXELS], {"perm": (0, 4, 1, 3, 2)}),
    *[
        ("Reshape", [VOXELS, ints(*sides)], {})
        for sides in ((-1, 420), (0, -1), (0, 0, 30, 7), (-1, 2), (-1,), (0, 2, 5, 6, 7))
    ],
    ("Reshape", [VOXELS, ints(-1, 420)], {"allowzero": 1}),
    *[("Unsqueeze", [(3, 4), ints(*axes)], {}) for axes in ((1,), (2, -1), (3, 1))],
    *[("Squeeze", [(1, 4, 1), ints(*axes)], {}) for axes in ((1,), (-1,), (3, 1))],
    *[
        ("Slice", [VOXELS, ints(*a), ints(*b), ints(*axes)], {})
        for a, b, axes in (
            ((1,), (3,), (2,)),
            ((-3,), (-1,), (-1,)),
            ((0, 2), (2**63 - 1, 6), (1, 3)),
            ((0,), (5,), (2,)),
        )
    ],
    ("Slice", [VOXELS, ints(1), ints(7), ints(4), ints(4)], {}),
    ("Split", [VOXELS], {"axis": 3, "num_outputs": 3}, 3),
    ("Split", [VOXELS, ints(1, 4)], {"axis": -3}, 2),
    ("Split", [VOXELS, ints(5)], {"axis": 2}),
    ("TopK", [VOXELS, ints(3)], {"axis": -1, "largest": 0, "sorted": 1}, 2),
    ("TopK", [VOXELS, ints(5)], {"axis": 2}, 2),
    *[("Gather", [(3, 4), np.int64(places)], {"axis": 1}) for places in ([0], [2, -3, 1, 1])],
    ("Gather", [(3, 4), np.array(1, np.int64)], {"axis": -1}),
    ("Pad", [(3, 4), ints(0, 1, 0, 0, 2, 300 - 44)], {}),
    ("Pad", [(3, 4), ints(0, 1, 0, 0, 2, 3), ones()], {"mode": "constant"}),
    ("Pad", [(3, 4), ints(1, 3), None, ints(2)], {"mode": "reflect"}),
    ("Pad", [(3, 4), ints(1, 0, 0, 0), ones(), ints(-1, 1)], {"mode": "edge"}),
    *[
        (f"Reduce{name}", [VOXELS, ints(*axes)], {"keepdims": keep, "noop_with_empty_axes": keep})
        for name in ("L2", "Max", "Mean", "Min", "Sum", "SumSquare")
        for axes, keep in (((2, 3, 4), 1), ((-1, 1), 0), ((1, 2, 3, 4), 0))
    ],
    ("ReduceSum", [("int64", (3, 4)), ints(1)], {}),
    ("MatMul", [(3, 4), ones(4, 2)], {}),
    ("MatMul", [(2, 3, 4), (2, 4, 5)], {}),
    ("MatMul", [ones(5, 3), (2, 3, 4)], {}),
    ("MatMul", [(4,), ones(4, 2)], {}),
    ("Gemm", [(4,), ones(4, 2)], {}),
    ("Gemm", [(4,), ones(4, 2), ones(2)], {"alpha": 0.5, "beta": 2.0, "transA": 0, "transB": 0}),
    ("Gemm", [(4,), ones(2, 4), ones(1, 2)], {"transB": 1}),
    ("Gemm", [(4,), ones(2, 4), ones()], {"transB": 1}),
]
EXAMPLES = [(name, inputs, dict(attributes), *rest) for name, inputs, attributes, *rest in EXAMPLES]

BIG = 2**62
END = 2**63 - 1
REFUSED = [  # message, operator, inputs, attributes, outputs
    ("do not fit", "Add", [(3, 4), (3, 5)]),
    ("do not fit", "Add", [(3, 4), ones(3)]),
    ("do not fit", "Sub", [(3, 4), (4,)]),  # the axis of the cubes meets that of 3
    ("does not count cubes", "Add", [(4,), ones(3, 1, 4)]),
    ("takes bool", "Add", [("bool", (3,)), ("bool", (3,))]),
    ("takes float32 and int64", "Add", [(3,), ints(1)]),
    ("takes int64", "Div", [("int64", (3,)), ints(0)]),  # a signal ends the process
    ("takes bool", "Equal", [("bool", (3,)), ("bool", (3,))]),
    ("takes float32", "And", [(3,), (3,)]),
    ("takes float32", "Not", [(3,)]),
    ("takes int64", "Relu", [("int64", (3,))]),
    ("takes int64", "ReduceMax", [("int64", (3,)), ints(1)]),
    ("takes float32", "Where", [(3,), (3,), (3,)]),
    ("chooses between", "Where", [("bool", (3,)), (3,), ints(1)]),
    ("chooses between", "Where", [("bool", (3,)), ("bool", (3,)), ("bool", (3,))]),
    ("converts to ONNX type 6", "Cast", [(3,)], {"to": 6}),
    ("is empty", "Clip", [(3,), np.array(1, F), np.array(-1, F)]),
    ("needs one number", "Clip", [(3,), ones(1)]),
    ("needs a constant", "Clip", [(3,), (3,)]),
    ("leaves out", "Clip", [(3,), ones(), None]),
    ("leaves out", "Max", [(3,), None]),
    ("leaves out", "Sum", [None, (3,)]),
    ("slopes", "PRelu", [(3, 4), ones(4)]),
    ("for 2 channels", "Conv", [(2, 9), ones(4, 3, 3)]),
    ("for 2 channels", "Conv", [(2, 9), ones(3, 1, 3)], {"group": 2}),
    ("bias", "Conv", [(2, 9), ones(4, 2, 3), ones(3)]),
    ("bias", "Conv", [(2, 9), ones(4, 2, 3), ones(1)]),
    ("kernel shape", "Conv", [(2, 9), ones(4, 2, 3)], {"kernel_shape": (4,)}),
    ("another number of axes", "Conv", [(2, 9), ones(4, 2, 3)], {"strides": (1, 1)}),
    ("another number of axes", "Conv", [(2, 9), ones(4, 2, 3)], {"pads": (1, 1, 1, 1)}),
    ("takes shapes of 4 axes", "Conv", [(2, 9, 9), ones(4, 2, 3)]),
    ("takes shapes of 2 axes", "Conv", [(9,), ones(4, 9)]),
    ("takes shapes of 6 axes", "Conv", [(2, 3, 3, 3, 3), ones(4, 2, 1, 1, 1, 1)]),
    ("empty", "Conv", [(2, 9), ones(4, 2, 12)]),
    ("needs a constant", "Conv", [(2, 9), (2, 9)]),
    ("for 2 channels", "ConvTranspose", [(2, 9), ones(4, 3, 3)]),
    ("output padding", "ConvTranspose", [(2, 9), ones(2, 3, 3)], {"output_padding": (1,)}),
    ("empty", "ConvTranspose", [(2, 2), ones(2, 3, 1)], {"pads": (1, 1)}),
    ("bias", "ConvTranspose", [(2, 9), ones(2, 3, 3), ones(2)]),
    ("reach beyond", "MaxPool", [(2, 9)], {"kernel_shape": (2,), "pads": (2, 0)}),
    ("reach beyond", "AveragePool", [(2, 9)], {"kernel_shape": (3,), "pads": (0, 3)}),
    ("beyond its kernel", "Conv", [(2, 9), ones(4, 2, 3)], {"pads": (0, 4)}),
    ("beyond its kernel", "Conv", [(2, 9), ones(4, 2, 3)], {"strides": (5,)}),
    ("beyond its kernel", "ConvTranspose", [(2, 9), ones(2, 4, 3)], {"strides": (5,)}),
    ("beyond its kernel", "MaxPool", [(2, 9)], {"kernel_shape": (2,), "strides": (5,)}),
    (
        "beyond its kernel",
        "Conv",
        [(2, 300), ones(4, 2, 3)],
        {"dilations": (128,), "strides": (1,)},
    ),
    ("empty", "MaxPool", [(2, 9)], {"kernel_shape": (10,)}),
    ("takes shapes of 3 axes", "MaxPool", [(2, 9)], {"kernel_shape": (2, 2)}),
    ("at most 1", "MaxPool", [(2, 9)], {"kernel_shape": (2,)}, 2),
    ("statistics", "BatchNormalization", [(2, 9), *[ones(2)] * 3, ones(3)]),
    ("negative variance", "BatchNormalization", [(2, 9), *[ones(2)] * 3, -ones(2)]),
    ("scale", "LayerNormalization", [(2, 9), ones(1)]),
    ("scale", "LayerNormalization", [(2, 9), ones(9), ones(1)]),
    ("axis 0 of 3", "LayerNormalization", [(2, 9), ones(9)], {"axis": 0}),
    ("at most 1", "LayerNormalization", [(2, 9), ones(9)], {}, 3),
    ("axis 0 of 3", "Softmax", [(2, 9)], {"axis": 0}),
    ("axis -3 of 3", "Softmax", [(2, 9)], {"axis": -3}),
    ("axis 3 of 3", "LogSoftmax", [(2, 9)], {"axis": 3}),
    ("axis 0 of 2", "Concat", [(3,), (3,)], {"axis": 0}),
    ("differ", "Concat", [(3, 4), (3, 5)], {"axis": 1}),
    ("differ", "Concat", [(3,), ones(1, 3)], {"axis": 1}),
    ("differ", "Concat", [(3,), ("bool", (3,))], {"axis": 1}),
    ("before axis 0", "Flatten", [(3, 4)], {"axis": 0}),
    ("before axis 4", "Flatten", [(3, 4)], {"axis": 4}),
    ("each once", "Transpose", [(3, 4)], {"perm": (0, 1)}),
    ("each once", "Transpose", [(3, 4)], {"perm": (0, 1, 1)}),
    ("0 first", "Transpose", [(3, 4)], {"perm": (1, 0, 2)}),
    ("needs a constant", "Reshape", [(3, 4), ("int64", (2,))]),
    ("needs a constant", "Reshape", [(3, 4), ones(2)]),
    ("1 to 8 axes", "Reshape", [(3, 4), ints(-1, *[1] * 8)]),
    ("in a row", "Reshape", [(3, 4), ints([-1, 12])]),
    ("sides from 1", "Reshape", [(3, 4), ints(-1, -1)]),
    ("sides from 1", "Reshape", [(3, 4), ints(-1, -2)]),
    ("sides from 1", "Reshape", [(3, 4), ints(0, 12)], {"allowzero": 1}),
    ("another number", "Reshape", [(3, 4), ints(-1, 5)]),
    ("another number", "Reshape", [(3, 4), ints(3, 4)]),
    ("another number", "Reshape", [(3, 4), ints(-1, BIG)]),
    ("another number", "Reshape", [(3, 4), ints(2**61 - 1, 12)]),
    ("does not count cubes", "Reshape", [(3, 4), ints(3, -1)]),
    ("does not have", "Reshape", [(3, 4), ints(-1, 1, 1, 0)]),
    ("axis 0 of 4", "Unsqueeze", [(3, 4), ints(0)]),
    ("axis 4 of 4", "Unsqueeze", [(3, 4), ints(4)]),
    ("twice", "Unsqueeze", [(3, 4), ints(1, -4)]),
    ("more than 8 axes", "Unsqueeze", [(3, 4), ints(1, 2, 3, 4, 5, 6)]),
    ("longer than 1", "Squeeze", [(3, 4), ints(1)]),
    ("axis 0 of 3", "Squeeze", [(3, 4), ints(0)]),
    ("axis 0 of 3", "Slice", [(3, 4), ints(0), ints(1), ints(0)]),
    ("on an axis of 4", "Slice", [(3, 4), ints(4), ints(END), ints(2)]),
    ("on an axis of 4", "Slice", [(3, 4), ints(-5), ints(END), ints(2)]),
    ("on an axis of 4", "Slice", [(3, 4), ints(0), ints(5), ints(2)]),
    ("on an axis of 4", "Slice", [(3, 4), ints(0), ints(END - 1), ints(2)]),
    ("on an axis of 4", "Slice", [(3, 4), ints(0), ints(-(2**63)), ints(2)]),
    ("is empty", "Slice", [(3, 4), ints(2), ints(2), ints(2)]),
    ("is empty", "Slice", [(3, 4), ints(0), ints(-4), ints(2)]),
    ("step of 0", "Slice", [(3, 4), ints(0), ints(4), ints(2), ints(0)]),
    ("step of -1", "Slice", [(3, 4), ints(3), ints(0), ints(2), ints(-1)]),
    ("step of 5", "Slice", [(3, 4), ints(0), ints(4), ints(2), ints(5)]),
    ("1 starts, 2 ends", "Slice", [(3, 4), ints(0), ints(4, 4), ints(2)]),
    ("into 3 equal parts", "Split", [(3, 4)], {"axis": 2, "num_outputs": 3}, 3),
    ("into 2 equal parts", "Split", [(3, 4)], {"axis": 2, "num_outputs": 2}, 4),
    ("into None", "Split", [(3, 4)], {"axis": 2}, 2),
    (r"into \[1, 2\]", "Split", [(3, 4), ints(1, 2)], {"axis": 2}, 2),
    (r"into \[4, 0\]", "Split", [(3, 4), ints(4, 0)], {"axis": 2}, 2),
    (r"into \[5, -1\]", "Split", [(3, 4), ints(5, -1)], {"axis": 2}, 2),
    (r"into \[2, 2\]", "Split", [(3, 4), ints(2, 2)], {"axis": 2}, 1),
    ("axis 0 of 3", "Split", [(3, 4), ints(2, 2)], {}, 2),
    ("places beyond", "Gather", [(3, 4), ints(4)], {"axis": 2}),
    ("places beyond", "Gather", [(3, 4), ints(-5)], {"axis": 2}),
    ("places beyond", "Gather", [(3, 4), ints(BIG)], {"axis": 2}),
    ("axis 0 of 3", "Gather", [(3, 4), ints(0)]),
    ("at most 1024", "Gather", [(3, 4), np.zeros(1025, np.int64)], {"axis": 2}),
    ("works on a constant", "Gather", [ones(3, 4), ("int64", ())]),
    ("margin", "Pad", [(3, 4), ints(0, 0, -1, 0, 0, 0)]),
    ("margin", "Pad", [(3, 4), ints(0, 0, -4, 0, 0, 4)]),
    ("margin", "Pad", [(3, 4), ints(0, 0, 0, 0, 0, 257)]),
    ("margin", "Pad", [(3, 4), ints(0, 0, 0, 0, 0, END)]),
    ("margin", "Pad", [(3, 4), ints(0, 0, 0, 0, 0, -(2**63))]),
    ("margin", "Pad", [(3, 4), ints(1, 0, 0, 0, 0, 0)]),
    ("margin", "Pad", [(3, 4), ints(0, 0, 4, 0, 0, 0)], {"mode": "reflect"}),
    ("4 margins", "Pad", [(3, 4), ints(0, 0, 0, 0)]),
    ("needs one number", "Pad", [(3, 4), ints(0, 0, 0, 0, 0, 1), ones(2)]),
    ("axis 0 of 3", "Pad", [(3, 4), ints(1, 1), None, ints(0)]),
    ("axes of 1 to", "ReduceMean", [(3, 4), ints()]),
    ("axis 0 of 3", "ReduceMean", [(3, 4), ints(0)]),
    ("axis -3 of 3", "ReduceSum", [(3, 4), ints(-3)]),
    ("axis 3 of 3", "ReduceSum", [(3, 4), ints(3)]),
    (r"takes \(8,\) values of an axis of 7", "TopK", [VOXELS, ints(8)], {}, 2),
    (r"takes \(0,\) values", "TopK", [VOXELS, ints(0)], {}, 2),
    (r"takes \(1, 1\) values", "TopK", [VOXELS, ints(1, 1)], {}, 2),
    ("has 1 outputs", "TopK", [VOXELS, ints(1)], {}),
    ("axis 0 of 5", "TopK", [VOXELS, ints(1)], {"axis": 0}, 2),
    ("twice", "ReduceMax", [(3, 4), ints(1, -2)]),
    ("in a row", "ReduceL2", [(3, 4), np.array(1, np.int64)]),
    (r"multiplies \(batch, 3, 4\) by \(3, 2\)", "MatMul", [(3, 4), ones(3, 2)]),
    ("less than matrices", "MatMul", [(3, 4), ones(4)]),
    ("less than matrices", "MatMul", [(), (3,)]),
    ("does not count cubes", "MatMul", [(4,), (4, 2)]),
    ("do not fit", "MatMul", [(3, 2, 4), ones(2, 4, 2)]),
    ("multiplies others", "MatMul", [("int64", (3, 4)), (4, 3)]),
    ("for rows of 4", "Gemm", [(4,), ones(2, 4)]),
    ("bias", "Gemm", [(4,), ones(4, 2), ones(3)]),
    ("bias", "Gemm", [(4,), ones(4, 2), ones(2, 1)]),
    ("others than matrices", "Gemm", [(3, 4), ones(4, 2)]),
    ("huge", "Flatten", [(2**20, 2**7)]),
]
