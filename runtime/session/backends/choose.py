"""The choice of a backend: CUDA where it loads, else OpenVINO if installed, else onnxruntime."""

import importlib.util
from collections.abc import Callable

from ...errors import InputError
from .base import BACKENDS, Backend, Settings
from .devices import ACCELERATORS, DEVICES, TITLES


def open_backend(name: str, load: Callable[[], bytes], source: str, settings: Settings) -> Backend:
    """Load a network into a backend.

    Parameters
    ----------
    name : str
        One of `BACKENDS`. ``auto`` means the library that runs the device; for the device
        ``auto``, CUDA through onnxruntime where it loads, else, as for ``cpu``, OpenVINO where it
        is installed, which is faster on CPUs, else onnxruntime.
    load : callable
        Returns the verified bytes of the ONNX model. It is called late, so that the caller need
        not keep them in memory.
    source : str
        Name of the model in messages.
    settings : Settings

    Raises
    ------
    InputError
        The backend or the device does not exist, or they do not go together.
    EnvironmentProblem
        The backend is not installed, or cannot run the network on that device.
    """
    check_backend(name, settings.device)
    if name != "auto":
        return _backend_class(name)(load, source, settings)
    library = library_of(name, settings.device)
    remarks: list[str] = []
    if library == "openvino" and settings.device == "auto":
        from .onnxruntime_backend import CUDA, has_cuda

        if has_cuda():
            backend = _backend_class("onnxruntime")(load, source, settings)
            if backend.provider == CUDA:
                return backend
            remarks = backend.remarks  # on why CUDA does not load on this computer
            del backend
    backend = _backend_class(library)(load, source, settings)
    backend.remarks += remarks
    return backend


def library_of(name: str, device: str) -> str:
    """Return the library that runs a network, if CUDA does not: onnxruntime or openvino.

    Parameters
    ----------
    name : str
        One of `BACKENDS`.
    device : str
        One of `DEVICES`.
    """
    if name != "auto":
        return name
    if accelerator := ACCELERATORS.get(device):
        return accelerator.backend
    return "openvino" if importlib.util.find_spec("openvino") else "onnxruntime"


def check_backend(name: str, device: str) -> None:
    """Check that a backend and a device exist and go together.

    Raises
    ------
    InputError
        They do not.
    """
    for setting, value, choices in (("device", device, DEVICES), ("backend", name, BACKENDS)):
        if value not in choices:
            raise InputError(f"The {setting} is {value!r}; expected one of {', '.join(choices)}.")
    accelerator = ACCELERATORS.get(device)
    if accelerator and name not in ("auto", accelerator.backend):
        raise InputError(
            f"{TITLES[name]} does not run on {accelerator.title}: choose another backend or device."
        )


def _backend_class(name: str) -> type[Backend]:
    """Import the class of a backend, which takes a quarter of a second and may fail."""
    if name == "openvino":
        from .openvino_backend import OpenVino

        return OpenVino
    if name == "onnxruntime":
        from .onnxruntime_backend import OnnxRuntime

        return OnnxRuntime
    raise AssertionError(name)  # a name of BACKENDS that is not here
