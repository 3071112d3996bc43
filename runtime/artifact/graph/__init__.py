"""What a graph does, worked out before any library sees it: operators, shapes and cost."""

from .budget import Cost
from .graph import MAX_NODES, Graph, find_operator
from .node import Value
from .operators import OPERATORS
from .tensor import BATCH, KINDS, Tensor, describe, read_weight

__all__ = [
    "BATCH",
    "KINDS",
    "MAX_NODES",
    "OPERATORS",
    "Cost",
    "Graph",
    "Tensor",
    "Value",
    "describe",
    "find_operator",
    "read_weight",
]
