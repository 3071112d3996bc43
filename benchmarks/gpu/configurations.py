"""The ways in which onnxruntime runs a network on a GPU: provider and precision."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from half_precision import convert_to_half

from cfzoo.runtime.artifact import INPUT, Artifact
from cfzoo.runtime.session import load_onnxruntime

CUDA, TENSORRT = "CUDAExecutionProvider", "TensorrtExecutionProvider"


@dataclass(frozen=True)
class Configuration:
    """A provider, its options, and the precision of products.

    Attributes
    ----------
    name, provider, precision : str
    options : dict of str
    half : bool
        Whether the graph itself is converted to half precision.
    """

    name: str
    provider: str
    precision: str
    options: dict[str, str] = field(default_factory=dict)
    half: bool = False


CONFIGURATIONS = (
    Configuration("cuda fp32", CUDA, "fp32", {"use_tf32": "0"}),  # what `--device cuda` does
    Configuration("cuda tf32", CUDA, "tf32", {"use_tf32": "1"}),
    Configuration("cuda fp16", CUDA, "fp16", {"use_tf32": "0"}, half=True),
    Configuration("tensorrt tf32", TENSORRT, "tf32"),  # TensorRT's own default for FP32
    Configuration("tensorrt fp16", TENSORRT, "fp16", {"trt_fp16_enable": "1"}),
)


def open_session(artifact: Artifact, configuration: Configuration, batches: Sequence[int]) -> Any:
    """Load an artifact's network without its maps; raise an exception if the provider does not.

    Parameters
    ----------
    artifact : Artifact
    configuration : Configuration
    batches : sequence of int
        Sizes that will be run; TensorRT builds one engine for all.

    Returns
    -------
    onnxruntime.InferenceSession
    """
    ort = load_onnxruntime()
    if configuration.provider not in ort.get_available_providers():
        raise RuntimeError(f"this onnxruntime has no {configuration.provider}")
    ort.preload_dlls()
    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
    settings = dict(configuration.options)
    if configuration.provider == TENSORRT:
        shape = "x".join(map(str, artifact.test_cube.shape[1:]))
        for name, size in (("min", min(batches)), ("opt", 64), ("max", max(batches))):
            size = min(max(size, min(batches)), max(batches))
            settings[f"trt_profile_{name}_shapes"] = f"{INPUT}:{size}x{shape}"
    model = artifact.model_with_maps()
    session = ort.InferenceSession(
        convert_to_half(model) if configuration.half else model,
        options,
        providers=[(configuration.provider, settings)],
        enable_fallback=0,
    )
    if session.get_providers()[0] != configuration.provider:
        raise RuntimeError(f"onnxruntime fell back to {session.get_providers()[0]}")
    return session


def count_elsewhere(session: Any) -> int | None:
    """Count the nodes that another provider runs; None if onnxruntime does not say."""
    if not hasattr(session, "get_provider_graph_assignment_info"):
        return None
    first = session.get_providers()[0]
    parts = session.get_provider_graph_assignment_info()
    return sum(len(part.get_nodes()) for part in parts if part.ep_name != first)
