"""A node of a graph: its operator, tensors and attributes, and the reading of its operands."""

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ...errors import ArtifactError
from .tensor import Tensor

Value = int | float | str | tuple[int, ...]  # of an attribute
MAX_OPERANDS = 1024  # numbers in an operand such as the indices of a Gather


@dataclass(frozen=True, slots=True)
class Node:
    """One step of a graph, whose arity and attributes were checked.

    Attributes
    ----------
    operator : str
    name : str
        Name of its first output, for error messages.
    inputs : tuple of Tensor or None
        None where an optional input is left out.
    attributes : mapping of str to value
    n_outputs : int
    """

    operator: str
    name: str
    inputs: tuple[Tensor | None, ...]
    attributes: Mapping[str, Value]
    n_outputs: int

    def error(self, reason: str) -> ArtifactError:
        """Return an error that names the node."""
        return ArtifactError(
            f"The model's {self.operator} {self.name!r:.80} {reason}. Export it again with cfzoo."
        )

    def require(self, condition: bool, reason: str) -> None:
        """Raise an `ArtifactError` with the reason unless the condition holds."""
        if not condition:
            raise self.error(reason)

    def computed(self, *kinds: str) -> Tensor:
        """Return the first input, which must be computed from the cubes and of one of the types."""
        tensor = self.inputs[0]
        if tensor is None or tensor.numbers is not None:
            raise self.error("works on a constant; expected what is computed from the cubes")
        if tensor.kind not in (kinds or ("float32",)):
            raise self.error(f"takes {tensor.kind}; expected {' or '.join(kinds or ('float32',))}")
        return tensor

    def constant(self, position: int, kind: str = "float32") -> Tensor | None:
        """Return an input that must be a constant, or None where it is left out."""
        tensor = self.inputs[position] if position < len(self.inputs) else None
        if tensor is not None and (tensor.numbers is None or tensor.kind != kind):
            raise self.error(f"needs a constant of {kind} as its input {position}")
        return tensor

    def weight(self, position: int) -> Tensor:
        """Return an input that must be there and a float32 constant."""
        tensor = self.constant(position)
        if tensor is None:
            raise self.error(f"lacks its input {position}")
        return tensor

    def integers(self, position: int, ranks: tuple[int, ...] = (1,)) -> tuple[int, ...] | None:
        """Return the numbers of a constant of int64, in a row; None if it is left out.

        Parameters
        ----------
        position : int
        ranks : tuple of int
            The numbers of axes that the constant may have, 0 or 1.

        Raises
        ------
        ArtifactError
            The input is computed, of another type, or has too many axes or numbers.
        """
        tensor = self.constant(position, "int64")
        if tensor is None:
            return None
        assert tensor.numbers is not None
        count = len(tensor.numbers) // 8
        if len(tensor.shape) not in ranks or count > MAX_OPERANDS:
            raise self.error(
                f"has {count} numbers of shape {tensor.shape} as its input {position}; expected at "
                f"most {MAX_OPERANDS} in a row"
            )
        return struct.unpack(f"<{count}q", tensor.numbers)

    def scalar(self, position: int) -> float | None:
        """Return the number of a float32 constant without axes; None if it is left out."""
        tensor = self.constant(position)
        if tensor is None:
            return None
        if tensor.shape or tensor.numbers is None:
            raise self.error(f"needs one number as its input {position}; got {tensor.shape}")
        return struct.unpack("<f", tensor.numbers)[0]

    def axis(self, number: int, rank: int) -> int:
        """Return the number of an axis counted from the front; not that of the cubes.

        Raises
        ------
        ArtifactError
            There is no such axis, or it counts cubes.
        """
        axis = number + rank if number < 0 else number
        if not 0 < axis < rank:
            raise self.error(
                f"works on axis {number} of {rank}; expected 1 to {rank - 1}, since axis 0 counts "
                "cubes, whose answers must not depend on each other"
            )
        return axis

    def axes(self, position: int, rank: int) -> tuple[int, ...]:
        """Return the axes that an input lists, which must be there and distinct; see `axis`."""
        numbers = self.integers(position)
        if not numbers:
            raise self.error("does not say its axes")
        axes = tuple(self.axis(number, rank) for number in numbers)
        self.require(len(set(axes)) == len(axes), f"lists an axis twice: {list(numbers[:9])}")
        return axes

    def attribute(self, name: str, default: Any = None) -> Any:
        """Return an attribute's value, or the default; its type and range were checked."""
        return self.attributes.get(name, default)
