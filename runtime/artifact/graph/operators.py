"""The operators of an artifact: how many inputs each takes, which attributes, and its rule.

They are those of convolutions, normalisations, gates, wavelets and prototypes. Left out on purpose:
If, Loop, Scan (control flow), ConstantOfShape, Expand, Tile, Range, OneHot, Resize, NonZero (a few
bytes that become gigabytes) and Shape (which makes constants that a library computes when it loads
the model).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from . import cuts, elementwise, layout, products, reductions, windows
from .attributes import (
    AXIS,
    EPSILON,
    FLAG,
    LENGTHS,
    MAX_WINDOW,
    OFF,
    ON,
    PADS,
    Attribute,
    Integer,
    Integers,
    Number,
    Word,
)
from .node import Node
from .tensor import Tensor

MANY = 64  # inputs or outputs of one node

# Work is counted in multiply-adds of a large convolution. An element that is read and written
# takes about as long as ten of them, and its exponential as a hundred.
SIMPLE, COSTLY = 10, 100


def _elements(weight: int) -> Callable[[Node, list[Tensor]], int]:
    """Return a function for the work of one step on each element that is read or written."""

    def work(node: Node, outputs: list[Tensor]) -> int:
        sizes = [tensor.elements for tensor in (*node.inputs, *outputs) if tensor is not None]
        return weight * max(sizes)

    return work


_simple, _costly = _elements(SIMPLE), _elements(COSTLY)


@dataclass(frozen=True)
class Operator:
    """What the guard knows of one operator.

    Attributes
    ----------
    rule : callable
        Function from a node to its outputs; it refuses inputs that do not fit.
    least, most : int
        Number of inputs.
    attributes : mapping of str to Attribute
    mandatory : tuple of str
        Attributes that must be there.
    optional : tuple of int
        Positions of inputs that may be left out by an empty name.
    outputs : int
        The largest number of outputs.
    work : callable
        Function from a node and its outputs to multiply-adds for one cube.
    scratch : callable
        Function from a node to the bytes that it needs besides its outputs, for one cube.
    """

    rule: Callable[[Node], list[Tensor]]
    least: int = 1
    most: int = 1
    attributes: Mapping[str, Attribute] = field(default_factory=dict[str, Attribute])
    mandatory: tuple[str, ...] = ()
    optional: tuple[int, ...] = ()
    outputs: int = 1
    work: Callable[[Node, list[Tensor]], int] = _simple
    scratch: Callable[[Node], int] = lambda node: 0

    @property
    def is_elementwise(self) -> bool:
        """Whether each element of the output depends on one element of each input."""
        return self.rule.__module__ == elementwise.__name__


_REDUCE = Operator(
    reductions.reduce, 2, 2, attributes={"keepdims": FLAG, "noop_with_empty_axes": FLAG}
)
_SOFTMAX = Operator(reductions.softmax, attributes={"axis": AXIS}, work=_costly)
_PLAIN = Operator(elementwise.unary)
_CURVE = Operator(elementwise.unary, work=_costly)
_PAIR = Operator(elementwise.arithmetic, 2, 2)
_SERIES = Operator(elementwise.arithmetic, 1, MANY)
_COMPARISON = Operator(elementwise.comparison, 2, 2)
_LOGIC = Operator(elementwise.logic, 2, 2)
_WINDOW: dict[str, Attribute] = {
    "auto_pad": Word(("NOTSET",)),
    "dilations": LENGTHS,
    "kernel_shape": LENGTHS,
    "pads": PADS,
    "strides": LENGTHS,
}
_GROUP = Integer(1, 4096)
_POOL: dict[str, Attribute] = _WINDOW | {"ceil_mode": OFF}

OPERATORS: dict[str, Operator] = {
    "Abs": _PLAIN,
    "Acos": _CURVE,
    "Add": _PAIR,
    "And": _LOGIC,
    "AveragePool": Operator(
        windows.pool,
        attributes={k: v for k, v in _POOL.items() if k != "dilations"}
        | {"count_include_pad": FLAG},
        mandatory=("kernel_shape",),
        work=windows.pool_work,
    ),
    "BatchNormalization": Operator(
        reductions.batch_normalisation,
        5,
        5,
        attributes={"epsilon": EPSILON, "momentum": Number(0, 1), "training_mode": OFF},
    ),
    "Cast": Operator(elementwise.cast, attributes={"to": Integer(1, 9)}, mandatory=("to",)),
    "Clip": Operator(elementwise.clip, 1, 3, optional=(1,)),
    "Concat": Operator(layout.concat, 1, MANY, attributes={"axis": AXIS}, mandatory=("axis",)),
    "Conv": Operator(
        windows.convolution,
        2,
        3,
        attributes=_WINDOW | {"group": _GROUP},
        work=windows.convolution_work,
    ),
    "ConvTranspose": Operator(
        windows.transposed_convolution,
        2,
        3,
        attributes=_WINDOW | {"group": _GROUP, "output_padding": Integers(0, MAX_WINDOW)},
        work=windows.transposed_work,
        scratch=windows.transposed_scratch,
    ),
    "Cos": _CURVE,
    "Div": _PAIR,
    "Elu": Operator(elementwise.unary, attributes={"alpha": Number()}, work=_costly),
    "Equal": _COMPARISON,
    "Erf": _CURVE,
    "Exp": _CURVE,
    "Flatten": Operator(layout.flatten, attributes={"axis": AXIS}),
    "Gather": Operator(cuts.gather, 2, 2, attributes={"axis": AXIS}),
    "Gemm": Operator(
        products.linear,
        2,
        3,
        attributes={"alpha": Number(), "beta": Number(), "transA": OFF, "transB": FLAG},
        work=products.product_work,
    ),
    "GlobalAveragePool": Operator(windows.global_pool),
    "GlobalMaxPool": Operator(windows.global_pool),
    "Greater": _COMPARISON,
    "GreaterOrEqual": _COMPARISON,
    "HardSigmoid": Operator(elementwise.unary, attributes={"alpha": Number(), "beta": Number()}),
    "HardSwish": _PLAIN,
    "Identity": Operator(elementwise.identity),
    "LayerNormalization": Operator(
        reductions.layer_normalisation,
        2,
        3,
        attributes={"axis": AXIS, "epsilon": EPSILON, "stash_type": ON},
    ),
    "LeakyRelu": Operator(elementwise.unary, attributes={"alpha": Number()}),
    "Less": _COMPARISON,
    "LessOrEqual": _COMPARISON,
    "Log": _CURVE,
    "LogSoftmax": _SOFTMAX,
    "MatMul": Operator(products.product, 2, 2, work=products.product_work),
    "Max": _SERIES,
    "MaxPool": Operator(
        windows.pool,
        attributes=_POOL | {"dilations": Integers(1, 1), "storage_order": OFF},
        mandatory=("kernel_shape",),
        work=windows.pool_work,
    ),
    "Mean": _SERIES,
    "Min": _SERIES,
    "Mul": _PAIR,
    "Neg": _PLAIN,
    "Not": Operator(elementwise.logic),
    "Or": _LOGIC,
    "PRelu": Operator(elementwise.slopes, 2, 2),
    "Pad": Operator(
        cuts.pad,
        2,
        4,
        attributes={"mode": Word(("constant", "reflect", "edge"))},
        optional=(2,),
    ),
    "Pow": Operator(elementwise.arithmetic, 2, 2, work=_costly),
    "Reciprocal": _PLAIN,
    "ReduceL2": _REDUCE,
    "ReduceMax": _REDUCE,
    "ReduceMean": _REDUCE,
    "ReduceMin": _REDUCE,
    "ReduceSum": _REDUCE,
    "ReduceSumSquare": _REDUCE,
    "Relu": _PLAIN,
    "Reshape": Operator(layout.reshape, 2, 2, attributes={"allowzero": FLAG}),
    "Selu": Operator(
        elementwise.unary, attributes={"alpha": Number(), "gamma": Number()}, work=_costly
    ),
    "Sigmoid": _CURVE,
    "Sign": _PLAIN,
    "Slice": Operator(cuts.cut, 4, 5),
    "Softmax": _SOFTMAX,
    "Softplus": _CURVE,
    "Split": Operator(
        cuts.split, 1, 2, attributes={"axis": AXIS, "num_outputs": Integer(1, MANY)}, outputs=MANY
    ),
    "Sqrt": _PLAIN,
    "Squeeze": Operator(layout.squeeze, 2, 2),
    "Sub": _PAIR,
    "Sum": _SERIES,
    "Tanh": _CURVE,
    "TopK": Operator(
        reductions.largest,
        2,
        2,
        attributes={"axis": AXIS, "largest": FLAG, "sorted": ON},
        outputs=2,
        work=_costly,
        scratch=reductions.largest_scratch,
    ),
    "Transpose": Operator(
        layout.transpose, attributes={"perm": Integers(0, 7, 1, 8)}, mandatory=("perm",)
    ),
    "Unsqueeze": Operator(layout.unsqueeze, 2, 2),
    "Where": Operator(elementwise.where, 3, 3),
}
