"""A tensor of a graph as the guard knows it: its type, its shape and, if constant, its numbers.

The first axis of every computed tensor counts cubes, or equal parts of cubes. No operator may
move, cut or join that axis, so that the answer for a cube depends on that cube alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import numpy as np

from ...errors import ArtifactError

# Stands for the number of cubes. It is a prime beyond every number of 64 bits, so no file holds it.
# Arithmetic on shapes works as on numbers, and sizes that depend on the number of cubes are its
# multiples.
BATCH = 2**89 - 1
MAX_RANK = 8
MAX_SIDE = (
    2**26
)  # of one axis; a cube of 256 x 256 x 256 voxels in two channels, laid flat, is 2**25
KINDS = {1: "float32", 7: "int64", 9: "bool"}  # TensorProto.DataType
ITEM_SIZE = {"float32": 4, "int64": 8, "bool": 1}  # bytes


@dataclass(frozen=True, slots=True)
class Tensor:
    """A tensor's type and shape.

    Attributes
    ----------
    kind : str
        A value of `KINDS`.
    shape : tuple of int
        Multiples of `BATCH` depend on the number of cubes.
    numbers : memoryview or None
        Content of a constant, little-endian; None if it is computed.
    """

    kind: str
    shape: tuple[int, ...]
    numbers: memoryview | None = None

    @property
    def elements(self) -> int:
        """Number of elements for one cube."""
        return prod(self.shape) if self.numbers is not None else prod(self.shape) // BATCH

    @property
    def n_bytes(self) -> int:
        """Bytes for one cube."""
        return self.elements * ITEM_SIZE[self.kind]


def is_computed_shape(shape: tuple[int, ...]) -> bool:
    """Whether the first axis counts cubes and all others have a size within bounds."""
    if not 1 <= len(shape) <= MAX_RANK:
        return False
    parts, rest = divmod(shape[0], BATCH)
    return not rest and all(1 <= side <= MAX_SIDE for side in (parts, *shape[1:]))


def describe(shape: tuple[int, ...]) -> str:
    """Return a shape as text, with the word batch for the number of cubes."""
    words = {0: "", 1: "batch"}
    sides = [
        words.get(side // BATCH, f"{side // BATCH} * batch") or str(side) for side in shape[:9]
    ]
    return f"({', '.join(sides)})"


def read_weight(kind: int, dims: Sequence[int], numbers: memoryview, name: str) -> Tensor:
    """Return a constant after a check of its type, shape, bytes and numbers.

    Parameters
    ----------
    kind : int
        TensorProto.DataType.
    dims : sequence of int
    numbers : memoryview
        Bytes, little-endian.
    name : str
        Its name, for error messages.

    Raises
    ------
    ArtifactError
        The type is not float32 or int64, the shape does not fit the bytes, a number is NaN, or
        one of several is infinite.
    """
    if kind not in KINDS or KINDS[kind] == "bool":
        raise ArtifactError(
            f"A weight tensor of the model, {name!r:.80}, has ONNX type {kind}; expected 1 "
            "(float32) or 7 (int64)."
        )
    # Sides below 2**26 and at most 8 of them: Python's integers do not overflow.
    if len(dims) > MAX_RANK or not all(1 <= side <= MAX_SIDE for side in dims):
        raise ArtifactError(
            f"A weight tensor of the model, {name!r:.80}, has the shape {list(dims[:9])}; expected "
            f"at most {MAX_RANK} axes of 1 to {MAX_SIDE}."
        )
    tensor = Tensor(KINDS[kind], tuple(dims), numbers)
    if tensor.n_bytes != len(numbers):
        raise ArtifactError(
            f"A weight tensor of the model declares {tensor.elements} numbers and stores "
            f"{len(numbers)} bytes. Weights outside the file, or in another form than raw data, "
            "are refused."
        )
    if kind == 1 and not _is_finite(numbers):
        raise ArtifactError(
            f"A weight tensor of the model, {name!r:.80}, holds NaN or infinite numbers: its "
            "training failed, or the file was changed. Train or export it again."
        )
    return tensor


def _is_finite(numbers: memoryview) -> bool:
    """Whether no number is NaN and, of several, none is infinite; one may be, as a fill value."""
    values = np.frombuffer(numbers, "<f4")
    if len(values) == 1:
        return not bool(np.isnan(values[0]))
    # The sum is several times faster than a test of each number, and NaN if one of them is. It
    # also overflows where all are finite, which the slow test then finds.
    with np.errstate(all="ignore"):
        return bool(np.isfinite(values.sum()) or np.isfinite(values).all())
