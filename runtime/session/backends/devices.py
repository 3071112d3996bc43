"""The devices by the names of ``--device``, and the library that runs a network on each."""

from collections.abc import Mapping
from dataclasses import dataclass, field

TITLES = {"onnxruntime": "onnxruntime", "openvino": "OpenVINO"}


@dataclass(frozen=True)
class Accelerator:
    """A device beside the CPU.

    Attributes
    ----------
    title : str
        Its name for people.
    backend : str
        The library that runs networks on it, one of `BACKENDS`.
    target : str
        What the library calls it: an execution provider of onnxruntime, a device of OpenVINO.
    advice : str
        What a person does who does not have it; a clause.
    options : mapping of str to str
        Settings of the execution provider.
    callers : int
        Number of batches that it takes at once.
    """

    title: str
    backend: str
    target: str
    advice: str
    options: Mapping[str, str] = field(default_factory=dict)
    callers: int = 1


# Where a library rounds to fewer bits by default, the options ask for single precision. What a
# device cannot do in single precision fails the artifact's test vector, whose tolerance is in the
# card, and is refused.
ACCELERATORS: dict[str, Accelerator] = {
    "cuda": Accelerator(
        "CUDA",
        "onnxruntime",
        "CUDAExecutionProvider",
        "install the GPU build (pip uninstall onnxruntime, then pip install 'cfzoo[gpu]')",
        {"use_tf32": "0"},  # else convolutions keep 10 of 23 bits from Ampere on
        2,  # one batch computes on the GPU while the next is copied to it
    ),
    "coreml": Accelerator(
        "CoreML",
        "onnxruntime",
        "CoreMLExecutionProvider",
        "it is in the builds of onnxruntime for macOS",
        {"ModelFormat": "MLProgram"},  # whose numbers have types; the other format is of float16
    ),
    "dml": Accelerator(
        "DirectML",
        "onnxruntime",
        "DmlExecutionProvider",
        "on Windows, install its build (pip uninstall onnxruntime, then "
        "pip install onnxruntime-directml)",
    ),
    "openvino-gpu": Accelerator(
        "OpenVINO's GPU",
        "openvino",
        "GPU",
        "OpenVINO needs a GPU by Intel and its driver (OpenCL, Level Zero)",
    ),
    "openvino-npu": Accelerator(
        "OpenVINO's NPU",
        "openvino",
        "NPU",
        "OpenVINO needs an NPU by Intel and its driver",
    ),
}
DEVICES = ("auto", "cpu", *ACCELERATORS)
