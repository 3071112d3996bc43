"""onnxruntime as a backend, on the CPU or an accelerator, with its telemetry off."""

import logging
import os
import threading
from collections.abc import Callable, Sequence
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from types import ModuleType
from typing import Any

import numpy as np

from ...artifact import INPUT
from ...errors import EnvironmentProblem
from .base import Backend, Settings
from .devices import ACCELERATORS, Accelerator
from .failure import first_line, loading_error, names_memory

CPU = "CPUExecutionProvider"
CUDA = ACCELERATORS["cuda"].target
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
    """A network run by onnxruntime; see `Backend`.

    A device that was asked for runs the network or is an error. With ``auto``, a CUDA that does not
    load is said in `remarks` and on the log, and the CPU takes its place. A provider that fails
    while the network runs is an error. If the memory of an accelerator runs out, its batches are
    halved.
    """

    library = "onnxruntime"

    def __init__(self, load: Callable[[], bytes], source: str, settings: Settings):
        ort = load_onnxruntime()
        self.version: str = ort.__version__
        self.remarks: list[str] = []
        self.provider: str = CPU
        self._batch_size = settings.batch_size
        self._largest = settings.batch_size + MULTIPLE  # cubes that an accelerator takes at once
        self._lock = threading.Lock()
        self._session: Any = None
        accelerator = _choose_accelerator(settings.device, ort.get_available_providers())
        try:
            if accelerator is not None:
                try:
                    self._session = _start(ort, load(), settings, accelerator)
                    self.provider = accelerator.target
                except Exception as error:
                    if settings.device != "auto":
                        raise
                    self._remark(
                        f"{accelerator.title} does not load ({first_line(error)}): the CPU runs "
                        "the network instead. `cfzoo doctor` shows more."
                    )
            if self._session is None:
                self._session = _start(ort, load(), settings, None)
        except EnvironmentProblem:
            raise
        except Exception as error:
            if accelerator is not None and settings.device != "auto":
                source = f"{source} on {accelerator.title}"
            raise loading_error(self.library, self.version, source, error) from None
        self.callers = settings.streams
        if self.provider != CPU:
            assert accelerator is not None
            self.callers = min(settings.streams, accelerator.callers)
            self._places = threading.Semaphore(accelerator.callers)

    def padded_size(self, cubes: int) -> int:
        """Return the number of cubes to run; see `Backend`.

        On an accelerator it is always the same, since each size would tune the convolutions anew.
        """
        if self.provider != CPU:
            cubes = self._batch_size
        return -(-cubes // MULTIPLE) * MULTIPLE

    def run(self, cubes: np.ndarray, outputs: Sequence[str]) -> list[np.ndarray]:
        """Run one batch; see `Backend`."""
        if self.provider == CPU:
            return self._session.run(list(outputs), {INPUT: cubes})
        answers: list[list[np.ndarray]] = []
        start = 0
        while start < len(cubes):
            part = cubes[start : start + self._largest]
            try:
                with self._places:
                    answers.append(self._session.run(list(outputs), {INPUT: part}))
            except Exception as error:
                if len(part) <= MULTIPLE or not names_memory(error):
                    raise
                self._halve(len(part))
                continue
            start += len(part)
        if len(answers) == 1:
            return answers[0]
        return [np.concatenate(arrays) for arrays in zip(*answers, strict=True)]

    def _halve(self, cubes: int) -> None:
        """Make all further batches half as large as one that did not fit, multiples of four."""
        half = -(-cubes // (2 * MULTIPLE)) * MULTIPLE
        with self._lock:
            if half < self._largest:  # else another thread has done so
                self._largest = half
                words = f"The memory of {self.provider} ran out: batches have"
                self.remarks[:] = [text for text in self.remarks if not text.startswith(words)]
                self._remark(f"{words} {half} cubes.")

    def _remark(self, text: str) -> None:
        self.remarks.append(text)
        _log_once(text)


@cache
def _log_once(text: str) -> None:
    logging.getLogger("cfzoo").warning(text)


def _choose_accelerator(device: str, providers: Sequence[str]) -> Accelerator | None:
    """Choose what runs the network, None for the CPU; the device must be there if it has a name."""
    if device == "cpu":
        return None
    accelerator = ACCELERATORS["cuda" if device == "auto" else device]
    if accelerator.target in providers:
        return accelerator
    if device == "auto":
        return None
    raise EnvironmentProblem(
        f"{accelerator.title} was requested, but this onnxruntime has only "
        f"{', '.join(providers)}: {accelerator.advice}, or use --device cpu."
    )


def _start(ort: ModuleType, model: bytes, settings: Settings, accelerator: Accelerator | None):
    """Return a session of onnxruntime's on exactly this device."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = max(1, settings.threads // settings.streams)
    options.log_severity_level = 4  # failures are raised, or checked here
    if accelerator is None:
        return ort.InferenceSession(model, options, providers=[CPU])
    if accelerator.target == CUDA:
        ort.preload_dlls()
    elif accelerator.target == "DmlExecutionProvider":
        options.enable_mem_pattern = False  # which it does not support
    # Otherwise onnxruntime goes over to the CPU by itself, also in the middle of a run, and only
    # prints so.
    session = ort.InferenceSession(
        model,
        options,
        providers=[(accelerator.target, dict(accelerator.options))],
        enable_fallback=0,
    )
    if (provider := session.get_providers()[0]) != accelerator.target:
        raise EnvironmentProblem(
            f"{accelerator.title} was requested, but onnxruntime fell back to {provider}. "
            "`cfzoo doctor` shows why; --device cpu runs without it."
        )
    return session
