"""The choice of a backend: OpenVINO on the CPU where it is installed, else onnxruntime."""

import importlib.util
from collections.abc import Callable

from ...errors import InputError
from .base import BACKENDS, DEVICES, Backend, Settings


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
