"""OpenVINO as a backend: on the CPU, where it is about twice as fast as onnxruntime, GPU, NPU."""

import queue
import sys
import threading
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType
from typing import Any

import numpy as np

from ...artifact import INPUT
from ...errors import EnvironmentProblem
from .base import Backend, Settings
from .devices import ACCELERATORS
from .failure import loading_error

LARGE = 2**24  # bytes


def load_openvino() -> ModuleType:
    """Import OpenVINO without its telemetry.

    On import, its package sends an event and writes a client id below the home folder, unless
    ``openvino_telemetry`` cannot be imported.

    Raises
    ------
    EnvironmentProblem
        OpenVINO is not installed.
    """
    missing = "openvino_telemetry" not in sys.modules
    if missing:
        sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]
    try:
        import openvino
    except ImportError as error:
        raise EnvironmentProblem(
            f"OpenVINO cannot be imported ({error}): pip install 'cfzoo[openvino]', or choose "
            "another backend."
        ) from None
    finally:
        if missing:
            sys.modules.pop("openvino_telemetry", None)  # another thread may have removed it
    return openvino


_one_core = cache(lambda: load_openvino().Core())
_core_lock = threading.Lock()  # with the cache alone, two threads could create one each


def core() -> Any:
    """Return OpenVINO's ``Core``, one for the lifetime of the process.

    The first network that a ``Core`` compiles installs a signal stack in the calling thread; it is
    owned by the ``Core`` and freed with it. If two cores are freed in the order of their creation,
    the thread is left with a stack in freed memory, and the next signal that Python handles (Ctrl-C
    or the end of a child process) kills the process.
    """
    with _core_lock:
        return _one_core()


class OpenVino(Backend):
    """A network compiled by OpenVINO; see `Backend`."""

    library = "openvino"

    def __init__(self, load: Callable[[], bytes], source: str, settings: Settings):
        openvino = load_openvino()
        self.version: str = openvino.__version__.partition("-")[0]
        self._batch_size = settings.batch_size
        target = _find_target(settings.device)
        self.provider = f"OpenVINO {target}"
        self.remarks: list[str] = []
        try:
            network = _read(load)
            _, *shape = network.input(INPUT).get_partial_shape()
            network.reshape({INPUT: [settings.batch_size, *shape]})  # a fixed size is faster
            compiled = core().compile_model(network, target, _properties(target, settings))
            # Each request has its own memory and serves one thread at a time.
            requests = [compiled.create_infer_request() for _ in range(settings.streams)]
        except Exception as error:
            raise loading_error(self.library, self.version, source, error) from None
        # OpenVINO computes in its own threads; one more caller prepares the next batch meanwhile.
        self.callers = settings.streams + 1
        self._idle: queue.SimpleQueue[Any] = queue.SimpleQueue()
        for request in requests:
            self._idle.put(request)

    def padded_size(self, cubes: int) -> int:
        """Return the number of cubes to run, the compiled one; see `Backend`."""
        return self._batch_size

    def run(self, cubes: np.ndarray, outputs: Sequence[str]) -> list[np.ndarray]:
        """Run one batch; see `Backend`."""
        request = self._idle.get()
        try:
            request.infer({INPUT: cubes}, share_inputs=True)
            # Copied, because the next run overwrites this memory.
            return [request.get_tensor(name).data.copy() for name in outputs]
        finally:
            self._idle.put(request)


def _find_target(device: str) -> str:
    """Return OpenVINO's name of a device.

    Raises
    ------
    EnvironmentProblem
        OpenVINO does not have it here.
    """
    accelerator = ACCELERATORS.get(device)
    if accelerator is None:
        return "CPU"
    names = list(core().available_devices)  # with a number each where there are several
    if not any(name.partition(".")[0] == accelerator.target for name in names):
        raise EnvironmentProblem(
            f"{accelerator.title} was requested, but OpenVINO finds only {', '.join(names)} here: "
            f"{accelerator.advice}, or use --device cpu."
        )
    return accelerator.target


def _properties(target: str, settings: Settings) -> dict[str, Any]:
    """Return the settings of OpenVINO for a device."""
    if target == "NPU":
        return {}  # it has no single precision
    # The default is bfloat16 on processors that have it, float16 on GPUs: other answers.
    properties: dict[str, Any] = {"INFERENCE_PRECISION_HINT": "f32"}
    if target == "CPU":
        properties |= {
            "INFERENCE_NUM_THREADS": settings.threads,
            "NUM_STREAMS": settings.streams,
            # Pinned threads of two processes would share cores.
            "ENABLE_CPU_PINNING": False,
        }
    return properties


def _read(load: Callable[[], bytes]) -> Any:
    """Read a network; a large one from a temporary file.

    OpenVINO copies bytes in memory twice, which would set the peak memory of a run with ResNet-50.
    """
    model = load()
    if len(model) < LARGE:
        return core().read_model(model=model)
    with TemporaryDirectory(prefix="cfzoo-") as folder:
        path = Path(folder, "model.onnx")
        path.write_bytes(model)
        del model
        return core().read_model(path)
