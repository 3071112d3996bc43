"""Write an artifact: torch network + card -> one sealed, reproducible ONNX file.

The exporter refuses to write what it cannot vouch for: the file must pass the runtime's own
guard, and onnxruntime must give torch's probabilities for batches of 1 and 7.
"""

import dataclasses
import logging
import platform
import warnings
from collections.abc import Sequence

import numpy as np
import onnx
import onnx_ir
import onnx_ir.passes.common as passes
import onnxruntime
import torch
from torch import nn

from ..runtime.artifact import (
    CARD_KEY,
    INPUT,
    MAPS,
    OUTPUT,
    TEST_KEY,
    Artifact,
    encode_test,
    seal,
    verify,
)
from ..runtime.card import Card
from ..runtime.errors import ArtifactError
from ..runtime.guard import IR_VERSION, OPSET
from ..runtime.session import Session
from ..zoo.gradcam import Look
from .gradient import folded, written_out
from .graph import ExplainedGraph, ProbabilityGraph, probe_cubes

PARITY = 1e-5
MAP_PARITY = 1e-4  # of the largest value of a map
MAP_PROBES = 20


def export_artifact(
    network: nn.Module, card: Card, cubes: np.ndarray | None = None, look: Look | None = None
) -> Artifact:
    """Turn a network into a verified artifact (its bytes are ``.model``).

    Parameters
    ----------
    network : module
        (n, C, z, y, x) normalised cubes to logits (n, 2).
    card : Card
        Its ``environment`` is completed with the versions used here.
    cubes : (N, C, z, y, x) float32, optional
        Raw intensities of real cubes, on which torch and onnxruntime must agree, too.
    look : Look, optional
        What the artifact explains its answers by; without it, it gives no maps.

    Returns
    -------
    Artifact
        Same network and card give the same bytes.

    Raises
    ------
    ArtifactError
        The graph holds something that the runtime refuses, or onnxruntime's probabilities
        differ from torch's by more than 1e-5, or its maps by more than `check_maps` accepts.
    """
    versions = {
        "torch": torch.__version__,
        "onnx": onnx.__version__,
        "onnxruntime": onnxruntime.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
    }
    card = dataclasses.replace(card, environment={**card.environment, "export": versions})
    graph = ProbabilityGraph(network, card).eval()
    probes = probe_cubes(card, 7)
    # All of torch's answers before the graph is traced, which must change nothing.
    expected = probabilities(graph, probes.astype(np.float32))
    real = None if cubes is None else probabilities(graph, cubes)
    test = encode_test(probes[:1], expected[:1])
    metadata = {CARD_KEY: card.to_json(), TEST_KEY: test}
    if look is None:
        artifact = verify(seal(_trace(graph, (OUTPUT,), probes, metadata)), card.file_name)
    else:
        explained = ExplainedGraph(graph, card, look).eval()
        names = (OUTPUT, *MAPS[: len(explained.maps.layers)])
        plain = ExplainedGraph(ProbabilityGraph(folded(network), card), card, look).eval()
        example = torch.from_numpy(probes[:2].astype(np.float32))
        model = _trace(written_out(plain, example), names, probes, metadata)
        artifact = verify(seal(model), card.file_name)
        many = probe_cubes(card, MAP_PROBES).astype(np.float32)
        some = [many] + ([] if cubes is None else [cubes[:100]])
        check_maps(artifact, np.concatenate(some), explained)
    for batch in (1, len(probes)):
        check_parity(artifact, probes[:batch].astype(np.float32), expected[:batch], batch)
    if cubes is not None and real is not None:
        check_parity(artifact, cubes, real)
    return artifact


def _trace(
    graph: nn.Module, outputs: Sequence[str], cubes: np.ndarray, metadata: dict[str, str]
) -> bytes:
    example = torch.from_numpy(cubes[:2].astype(np.float32))
    # It warns of a missing torchvision and of its own deprecations; its errors are raised.
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            graph,
            (example,),
            dynamo=True,
            opset_version=OPSET,
            input_names=[INPUT],
            output_names=list(outputs),
            # The string, not Dim("batch"): that is silently made static.
            dynamic_shapes=({0: "batch"},),
            verbose=False,
        )
    assert program is not None  # its type allows for it; it raises instead
    model = program.model
    passes.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0)(model)
    passes.RemoveUnusedNodesPass()(model)
    passes.ClearMetadataAndDocStringPass()(model)  # they hold paths of the source code
    return canonical(onnx_ir.to_proto(model), metadata)


def canonical(model: onnx.ModelProto, metadata: dict[str, str]) -> bytes:
    """Copy what a network needs, and nothing else, into a fresh model."""
    source = model.graph
    graph = onnx.GraphProto(name="cfzoo")
    for node in source.node:
        fields = onnx.NodeProto(
            op_type=node.op_type, name=node.name, input=node.input, output=node.output
        )
        for attribute in node.attribute:
            fields.attribute.append(attribute)
        graph.node.append(fields)
    # Sorted, since the order of initializers follows dictionaries of the tracer.
    for tensor in sorted(source.initializer, key=lambda t: t.name):
        array = onnx.numpy_helper.to_array(tensor)
        graph.initializer.append(onnx.numpy_helper.from_array(array, tensor.name))
    for values, fresh_values in ((source.input, graph.input), (source.output, graph.output)):
        for value in values:
            kind = value.type.tensor_type
            shape = [dim.dim_param or dim.dim_value for dim in kind.shape.dim]
            fresh_values.append(
                onnx.helper.make_tensor_value_info(value.name, kind.elem_type, shape)
            )
    fresh = onnx.ModelProto(ir_version=IR_VERSION, producer_name="cfzoo", graph=graph)
    fresh.opset_import.append(onnx.helper.make_opsetid("", OPSET))
    onnx.helper.set_model_props(fresh, metadata)
    onnx.checker.check_model(fresh, full_check=True)
    return fresh.SerializeToString(deterministic=True)


@torch.inference_mode()
def probabilities(graph: nn.Module, cubes: np.ndarray, batch_size: int = 64) -> np.ndarray:
    """Torch's answers to (N, C, z, y, x) float32 raw cubes, (N, 2)."""
    parts = torch.from_numpy(cubes).split(batch_size)
    return torch.cat([graph(part) for part in parts]).numpy()


def check_parity(
    artifact: Artifact, cubes: np.ndarray, expected: np.ndarray, batch_size: int = 64
) -> float:
    """Largest difference of probability between onnxruntime and what is expected.

    Parameters
    ----------
    cubes : (N, C, z, y, x) float32, raw intensities
    expected : (N, 2) float32
        Of `probabilities`.

    Raises
    ------
    ArtifactError
        It is more than 1e-5.
    """
    session = Session(artifact, "cpu", batch_size=batch_size, backend="onnxruntime")
    starts = range(0, len(cubes), batch_size)
    got = np.concatenate([session.run(cubes[i : i + batch_size]) for i in starts])
    error = float(np.abs(got - expected).max())
    if not error <= PARITY:  # NaN is no parity
        raise ArtifactError(
            f"In batches of {batch_size} onnxruntime's probabilities differ from torch's by "
            f"{error:.2g}; at most {PARITY} is accepted. Nothing was written."
        )
    return error


def check_maps(artifact: Artifact, cubes: np.ndarray, explained: ExplainedGraph) -> np.ndarray:
    """Largest difference of a cube's maps between onnxruntime and torch.

    Parameters
    ----------
    cubes : (N, C, z, y, x) float32, raw intensities

    Returns
    -------
    (N, maps) float
        As shares of the largest value of the cube's map.

    Raises
    ------
    ArtifactError
        Its median over the cubes is more than 1e-4. Not that of each: where the sum in front of a
        ReLU is 0 up to rounding, its gradient is there or not by chance, also between torch's own
        float32 and float64; in a ResNet-50 with random weights on one cube in eight. Another
        graph than torch's differs on all.
    """
    session = Session(
        artifact, "cpu", batch_size=MAP_PROBES, maps=artifact.maps, backend="onnxruntime"
    )
    parts = []
    for start in range(0, len(cubes), MAP_PROBES):  # torch holds all of a ResNet's layers for one
        batch = cubes[start : start + MAP_PROBES]
        _, found = session.explain(batch)
        _, *expected = explained(torch.from_numpy(batch))
        parts.append([_error(f, w.numpy()) for f, w in zip(found.values(), expected, strict=True)])
    errors = np.concatenate(parts, axis=1).T
    for name, error in zip(artifact.maps, np.median(errors, axis=0), strict=True):
        if not error <= MAP_PARITY:
            raise ArtifactError(
                f"onnxruntime's {name} differs from torch's by {error:.2g} of its largest value; "
                f"at most {MAP_PARITY} is accepted. Nothing was written."
            )
    return errors


def _error(found: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    scale = np.maximum(np.abs(wanted).max(axis=(1, 2, 3)), 1e-12)
    return np.abs(found - wanted).max(axis=(1, 2, 3)) / scale
