"""Shapes of products of matrices."""

from .elementwise import broadcast
from .node import Node
from .tensor import Tensor, describe


def product(node: Node) -> list[Tensor]:
    """Return the shape of the product of the last two axes; earlier axes broadcast."""
    left, right = node.inputs
    assert left is not None and right is not None
    node.require(left.kind == right.kind == "float32", "multiplies others than float32")
    node.require(min(len(left.shape), len(right.shape)) >= 2, "multiplies less than matrices")
    *left_stack, rows, inner = left.shape
    *right_stack, height, columns = right.shape
    node.require(inner == height, f"multiplies {describe(left.shape)} by {describe(right.shape)}")
    stack = broadcast(node, tuple(left_stack), tuple(right_stack))
    return [Tensor("float32", (*stack, rows, columns))]


def product_work(node: Node, outputs: list[Tensor]) -> int:
    """Return the multiply-adds of a product for one cube."""
    assert node.inputs[0] is not None
    return outputs[0].elements * node.inputs[0].shape[-1]


def linear(node: Node) -> list[Tensor]:
    """Return the shape after a Gemm: rows times a constant matrix, plus a constant."""
    tensor, weight, bias = node.computed(), node.weight(1), node.constant(2)
    node.require(len(tensor.shape) == len(weight.shape) == 2, "multiplies others than matrices")
    n_in, n_out = weight.shape[::-1] if node.attribute("transB", 0) else weight.shape
    node.require(
        tensor.shape[1] == n_in, f"has weights of {weight.shape} for rows of {tensor.shape[1]}"
    )
    node.require(
        bias is None or bias.shape in ((n_out,), (1, n_out), (1,), ()),
        f"has a bias of another shape than its {n_out} outputs",
    )
    return [Tensor("float32", (tensor.shape[0], n_out))]
