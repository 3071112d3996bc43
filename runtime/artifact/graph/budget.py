"""The cost of a graph for one cube, and the largest that is accepted."""

from dataclasses import dataclass

from ...errors import ArtifactError

# For comparison: a ResNet-152 with maps on two channels of 20 x 50 x 50 voxels needs 2 MB, 5 MB and
# 4.3e9; a pipnet3d with maps on 64 x 128 x 128 voxels 67 MB, 604 MB and 1.9e10.
MAX_TENSOR = 2**28  # bytes
MAX_MEMORY = 2**30  # bytes
MAX_WORK = 2 * 10**11  # multiply-adds: some ten seconds of a processor core


@dataclass(frozen=True)
class Cost:
    """What a graph needs for one cube.

    Attributes
    ----------
    memory : int
        Bytes of the tensors that must be kept at the same time, without the weights.
    largest : int
        Bytes of the largest tensor.
    work : int
        Multiply-adds. Other steps are counted by the time that they take: an element read and
        written is ten of them, an exponential a hundred.
    """

    memory: int
    largest: int
    work: int

    def check(self) -> None:
        """Raise an `ArtifactError` if the cost exceeds the budget."""
        for value, limit, unit in (
            (self.largest, MAX_TENSOR, "bytes for its largest tensor"),
            (self.memory, MAX_MEMORY, "bytes of memory"),
            (self.work, MAX_WORK, "multiply-adds"),
        ):
            if value > limit:
                raise ArtifactError(
                    f"The model needs {value:.3g} {unit} for one cube; cfzoo accepts up to "
                    f"{limit:.3g}. Use a smaller network or cube."
                )
