"""The contract of a backend, a library that runs a network.

Each backend is a class in a file of its own. It is created from the verified bytes of an artifact,
and `Session` relies on nothing but `Backend`. Backends agree to 1e-6 in probability.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

BACKENDS = ("auto", "onnxruntime", "openvino")


@dataclass(frozen=True)
class Settings:
    """How to run a network.

    Attributes
    ----------
    device : str
        One of `devices.DEVICES`.
    threads : int
        Total number of CPU threads.
    streams : int
        Number of batches that run concurrently, each with its share of the threads.
    batch_size : int
        Cubes in a batch, at most.
    """

    device: str
    threads: int
    streams: int
    batch_size: int


class Backend(Protocol):
    """A loaded network; several threads may `run` it at once.

    Parameters
    ----------
    load : callable
        Returns the verified bytes of the ONNX model.
    source : str
        Name of the model in messages.
    settings : Settings

    Attributes
    ----------
    library, version : str
        Name and version of the package.
    provider : str
        The hardware and execution provider in use.
    callers : int
        Number of threads that should call `run` at once.
    remarks : list of str
        What it had to do otherwise than asked, a sentence each: another device, smaller batches.
        It may grow while the network runs.

    Raises
    ------
    EnvironmentProblem
        The library is not installed, or cannot run the network on this device.
    """

    library: str
    version: str
    provider: str
    callers: int
    remarks: list[str]

    def __init__(self, load: Callable[[], bytes], source: str, settings: Settings): ...

    def padded_size(self, cubes: int) -> int:
        """Return the number of cubes to run for ``cubes`` of them; zeros fill up the rest.

        Numbers for which the answer to a cube depends on the others, or on its place, are left out.
        """
        ...

    def run(self, cubes: np.ndarray, outputs: Sequence[str]) -> list[np.ndarray]:
        """Run one batch.

        Parameters
        ----------
        cubes : (n, C, z, y, x) float32
            A number of cubes that `padded_size` returns.
        outputs : sequence of str
            Names of the graph's outputs.

        Returns
        -------
        list of (n, ...) float32
            One array per output, owned by the caller.
        """
        ...
