"""What runs a network: onnxruntime, or OpenVINO where it is installed and the device is the CPU.

Both are given the verified bytes of an artifact and answer the same to 1e-6; each is a class of
its own file with what `Backend` says, and `Session` knows no more of them than that.
"""

import importlib.util
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from .errors import EnvironmentProblem, InputError

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


def open_backend(name: str, load: Callable[[], bytes], source: str, settings: Settings) -> Backend:
    """Load a network.

    Parameters
    ----------
    name : str
        Of `BACKENDS`. ``auto``: CUDA through onnxruntime where the device allows it and it loads,
        else OpenVINO where it is installed, which is the faster on CPUs, else onnxruntime.
    load : callable
        Gives the model, ONNX, verified; called when it is wanted, so that nobody else holds it.
    source : str
        For messages.

    Raises
    ------
    InputError
        There is no such backend or device, or they do not go together.
    EnvironmentProblem
        The backend is not installed, or cannot run the network on that device.
    """
    for what, value, choices in (
        ("device", settings.device, DEVICES),
        ("backend", name, BACKENDS),
    ):
        if value not in choices:
            raise InputError(f"The {what} is {value!r}; expected one of {', '.join(choices)}.")
    if name == "openvino" and settings.device == "cuda":
        raise InputError("OpenVINO does not run on CUDA: choose another backend or device.")
    # Imported where they are chosen: each costs a quarter of a second, and may be missing.
    beside = name == "auto" and settings.device != "cuda" and importlib.util.find_spec("openvino")
    if name != "openvino" and not (beside and _only_cpu(settings.device)):
        from .onnxruntime_backend import CUDA, OnnxRuntime

        opened = OnnxRuntime(load, source, settings)
        if not beside or opened.provider == CUDA:
            return opened
        del opened  # built for CUDA, which does not load here
    from .openvino_backend import OpenVino

    return OpenVino(load, source, settings)


def _only_cpu(device: str) -> bool:
    if device == "cpu":
        return True
    from .onnxruntime_backend import has_cuda

    return not has_cuda()


def failed(library: str, version: str, source: str, error: Exception) -> EnvironmentProblem:
    """What to raise when a library cannot load a network; its exceptions share no base."""
    return EnvironmentProblem(f"{library} {version} cannot load {source}: {first_line(error)}")


def first_line(error: Exception) -> str:
    """The first line of an exception's text, at most 300 characters."""
    return (str(error).strip() or type(error).__name__).splitlines()[0][:300]


def available_threads() -> int:
    """CPU threads that this process may use: SLURM's grant, else the affinity mask."""
    if hasattr(os, "sched_getaffinity"):
        allowed = len(os.sched_getaffinity(0))
    else:  # macOS and Windows
        allowed = os.cpu_count() or 1
    slurm = os.environ.get("SLURM_CPUS_PER_TASK", "")
    return min(allowed, int(slurm)) if slurm.isdecimal() and int(slurm) else allowed
