"""OpenVINO on the CPU: the same files, about twice as fast as onnxruntime there."""

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
from .base import Settings, loading_error

LARGE = 2**24  # bytes


def load_openvino() -> ModuleType:
    """Import OpenVINO without its telemetry.

    Its package sends an event and writes a client id below the home folder as it is imported,
    unless ``openvino_telemetry`` cannot be.

    Raises
    ------
    EnvironmentProblem
        It is not installed.
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
            sys.modules.pop("openvino_telemetry", None)  # another thread may have been faster
    return openvino


_one_core = cache(lambda: load_openvino().Core())
_making = threading.Lock()  # a cache alone would let two threads make one each


def core() -> Any:
    """OpenVINO's ``Core``, one for the process and to its end.

    The first network that a ``Core`` compiles gives the calling thread another stack for signals,
    which goes with the ``Core``. Where two of them go in the order they came, the thread is left
    with memory that is gone, and the next signal that Python hears of (Ctrl-C, a child that ends)
    kills the process.
    """
    with _making:
        return _one_core()


class OpenVino:
    """A compiled network of OpenVINO; see `backend.Backend`."""

    library = "openvino"
    provider = "OpenVINO CPU"

    def __init__(self, load: Callable[[], bytes], source: str, settings: Settings):
        openvino = load_openvino()
        self.version: str = openvino.__version__.partition("-")[0]
        wanted = {
            # Else it takes bfloat16 where the processor has it, and the answers change.
            "INFERENCE_PRECISION_HINT": "f32",
            "INFERENCE_NUM_THREADS": settings.threads,
            "NUM_STREAMS": settings.streams,
            # Pinned threads of two processes would sit on the same cores.
            "ENABLE_CPU_PINNING": False,
        }
        try:
            network = _read(load)
            _, *shape = network.input(INPUT).get_partial_shape()
            network.reshape({INPUT: [settings.batch_size, *shape]})  # a fixed batch is faster
            compiled = core().compile_model(network, "CPU", wanted)
            # Each has memory of its own and serves one thread at a time.
            requests = [compiled.create_infer_request() for _ in range(settings.streams)]
        except Exception as error:
            raise loading_error(self.library, self.version, source, error) from None
        # Networks run on threads of its own: while they do, one more caller brings the next batch.
        self.callers = settings.streams + 1
        self._idle: queue.SimpleQueue = queue.SimpleQueue()
        for request in requests:
            self._idle.put(request)

    def run(self, cubes: np.ndarray, outputs: Sequence[str]) -> list[np.ndarray]:
        """See `backend.Backend`."""
        request = self._idle.get()
        try:
            request.infer({INPUT: cubes}, share_inputs=True)
            # Copied, since the next run writes to the same memory.
            return [request.get_tensor(name).data.copy() for name in outputs]
        finally:
            self._idle.put(request)


def _read(load: Callable[[], bytes]) -> Any:
    """A network from its bytes: from a file of our own where they are many.

    Bytes it copies twice, which for a ResNet-50 would be the peak of the whole run.
    """
    model = load()
    if len(model) < LARGE:
        return core().read_model(model=model)
    with TemporaryDirectory(prefix="cfzoo-") as folder:
        path = Path(folder, "model.onnx")
        path.write_bytes(model)
        del model
        return core().read_model(path)
