"""What runs a network: onnxruntime, or OpenVINO where it is installed and the device is the CPU.

Both are given the verified bytes of an artifact and answer the same to 1e-6; each is a class of
its own file with what `Backend` says, and `Session` knows no more of them than that.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from ...errors import EnvironmentProblem

DEVICES = ("auto", "cpu", "cuda")
BACKENDS = ("auto", "onnxruntime", "openvino")


@dataclass(frozen=True)
class Settings:
    """How a network is to be run.

    Attributes
    ----------
    device : str
        Of `DEVICES`.
    threads : int
        CPU threads in all.
    streams : int
        How many batches may be under way at once, each with its share of the threads.
    batch_size : int
        Cubes of every batch.
    """

    device: str
    threads: int
    streams: int
    batch_size: int


class Backend(Protocol):
    """A loaded network; several threads may `run` it at once.

    Attributes
    ----------
    library, version : str
        Name and version of the package.
    provider : str
        What it really runs on.
    callers : int
        From how many threads it is best called at once.
    """

    library: str
    version: str
    provider: str
    callers: int

    def run(self, cubes: np.ndarray, outputs: Sequence[str]) -> list[np.ndarray]:
        """Outputs of one batch of cubes; the caller's own arrays.

        Parameters
        ----------
        cubes : (batch size, C, z, y, x) float32
        outputs : sequence of str

        Returns
        -------
        list of (batch size, ...) float32
        """
        ...


def loading_error(library: str, version: str, source: str, error: Exception) -> EnvironmentProblem:
    """What to raise when a library cannot load a network; its exceptions share no base."""
    return EnvironmentProblem(f"{library} {version} cannot load {source}: {first_line(error)}")


def first_line(error: Exception) -> str:
    """The first line of an exception's text, at most 300 characters."""
    return (str(error).strip() or type(error).__name__).splitlines()[0][:300]
