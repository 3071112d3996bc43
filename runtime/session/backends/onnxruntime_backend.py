"""onnxruntime as a backend, on the CPU or CUDA, with its telemetry off."""

import os
from collections.abc import Callable, Sequence
from importlib.metadata import PackageNotFoundError, version
from types import ModuleType

import numpy as np

from ...artifact import INPUT
from ...errors import EnvironmentProblem
from .base import Backend, Settings
from .failure import loading_error

CUDA = "CUDAExecutionProvider"
# Elementwise operations on one value per cube take four of them at once, and the rest one by one
# with other rounding: up to 2.4e-7 in the probability of the last one to three cubes.
MULTIPLE = 4
_BUILDS = (
    "onnxruntime",
    "onnxruntime-gpu",
    "onnxruntime-directml",
    "onnxruntime-openvino",
    "onnxruntime-qnn",
    "onnxruntime-training",
)
_INSTALL = "pip install 'cfzoo[cpu]' (or 'cfzoo[gpu]' on a machine with an NVIDIA GPU)"


def installed_builds() -> dict[str, str]:
    """Find the installed distributions that contain an ``onnxruntime`` folder, with versions."""
    # Looked up by name: searching all installed packages for the folder takes a second.
    versions: dict[str, str] = {}
    for name in _BUILDS:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    return versions


def load_onnxruntime() -> ModuleType:
    """Import onnxruntime with its telemetry off.

    Its wheels from 1.29 on queue events (graph name, OS, CPU) and write a device id unless
    ``ORT_DISABLE_TELEMETRY`` is set before the import.

    Raises
    ------
    EnvironmentProblem
        onnxruntime is not installed, or its CPU and GPU builds overwrite each other.
    """
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    builds = installed_builds()
    if len(builds) > 1:
        raise EnvironmentProblem(
            f"{' and '.join(builds)} are installed into one folder and break each other. Run "
            f"pip uninstall -y {' '.join(builds)}, then {_INSTALL}."
        )
    try:
        import onnxruntime  # pyright: ignore[reportMissingTypeStubs]
    except ImportError as error:
        raise EnvironmentProblem(f"onnxruntime cannot be imported ({error}): {_INSTALL}.") from None
    return onnxruntime


def has_cuda() -> bool:
    """Test whether the installed onnxruntime, if any, is built for CUDA."""
    if installed_builds().keys() <= {"onnxruntime"}:  # PyPI's CPU build: no need to import it
        return False
    return CUDA in load_onnxruntime().get_available_providers()


class OnnxRuntime(Backend):
    """A network run by onnxruntime; see `Backend`."""

    library = "onnxruntime"

    def __init__(self, load: Callable[[], bytes], source: str, settings: Settings):
        ort = load_onnxruntime()
        self.version: str = ort.__version__
        self._batch_size = settings.batch_size
        options = ort.SessionOptions()
        options.intra_op_num_threads = max(1, settings.threads // settings.streams)
        options.log_severity_level = 4  # failures are raised, or checked here
        provider = "CPUExecutionProvider"
        if settings.device != "cpu" and CUDA in ort.get_available_providers():
            provider = CUDA
            ort.preload_dlls()
        elif settings.device == "cuda":
            raise EnvironmentProblem(
                "CUDA was requested, but this onnxruntime has only "
                f"{', '.join(ort.get_available_providers())}. Install the GPU build "
                "(pip uninstall onnxruntime, then pip install 'cfzoo[gpu]') or use --device cpu."
            )
        try:
            self._session = ort.InferenceSession(load(), options, providers=[provider])
        except Exception as error:
            raise loading_error(self.library, self.version, source, error) from None
        self.provider: str = self._session.get_providers()[0]
        if settings.device == "cuda" and self.provider != provider:
            raise EnvironmentProblem(
                f"CUDA was requested, but onnxruntime fell back to {self.provider}. "
                "`cfzoo doctor` shows why; --device cpu runs without it."
            )
        # On CUDA, one batch computes on the GPU while the next is copied to it.
        self.callers = min(settings.streams, 2) if self.provider == CUDA else settings.streams

    def padded_size(self, cubes: int) -> int:
        """Return the number of cubes to run; see `Backend`.

        On CUDA it is always the same, since each size would tune the convolutions anew.
        """
        if self.provider == CUDA:
            cubes = self._batch_size
        return -(-cubes // MULTIPLE) * MULTIPLE

    def run(self, cubes: np.ndarray, outputs: Sequence[str]) -> list[np.ndarray]:
        """Run one batch; see `Backend`."""
        return self._session.run(list(outputs), {INPUT: cubes})
