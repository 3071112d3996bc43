"""Trace a torch network and its card into one sealed, reproducible ONNX file.

The exporter writes only what it has checked: the file must pass the runtime's own guard, and
onnxruntime must give torch's probabilities for batches of 1 and 7.
"""

import copy
import dataclasses
import logging
import platform
import warnings
from collections.abc import Mapping, Sequence

import numpy as np
import onnx
import onnx_ir
import onnx_ir.passes.common as passes
import onnxruntime
import torch
from torch import nn

from ...runtime.artifact import (
    CARD_KEY,
    INPUT,
    IR_VERSION,
    OPSET,
    OUTPUT,
    PARITY_KEY,
    TEST_KEY,
    Artifact,
    Card,
    encode_test,
    seal,
    verify,
)
from ...runtime.session import Session
from ...zoo.models import ExplainedLayer, ResNet3D
from .constants import fix_reshapes, fold_constants
from .gradient import fold_batch_norms, gradients_as_operators
from .head_nodes import Numbers, disguise_head, write_head
from .means import split_means
from .modules import ExplainedGraph, ProbabilityGraph
from .parity import (
    MAP_PROBES,
    check_map_parity,
    copy_exact,
    probabilities,
    probe_cubes,
    settle_parity,
)


def export_artifact(
    network: nn.Module,
    card: Card,
    cubes: np.ndarray | None = None,
    explained_layer: ExplainedLayer | None = None,
    tolerance: float | None = None,
    split: bool = False,
) -> Artifact:
    """Turn a network into a verified artifact, whose bytes are ``.model``.

    Parameters
    ----------
    network : module
        From normalised cubes (n, C, z, y, x) to logits (n, 2). If its ``head`` is a
        `StandardisedHead`, the artifact gives its input, ``features``, as a further output.
    card : Card
        Its ``environment`` is completed with the versions used here.
    cubes : (N, C, z, y, x) float32, optional
        Raw intensities of real cubes, on which torch and onnxruntime must also agree.
    explained_layer : ExplainedLayer, optional
        Layers by which the artifact explains its answers; without it, it gives no maps.
    tolerance : float, optional
        Largest difference between onnxruntime's probabilities and torch's; by default what
        `settle_parity` accepts. If that is more than 1e-5, the card says so, ``metrics: parity``.
    split : bool
        Whether means over several axes are taken one after another; see `split_means`.

    Returns
    -------
    Artifact
        The same network and card give the same bytes.

    Raises
    ------
    ArtifactError
        The graph holds an operator that the runtime refuses, or onnxruntime's probabilities differ
        from torch's by more than ``tolerance``, or its maps by more than `check_map_parity`
        accepts.
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
    # Torch answers before the graph is traced: tracing must change nothing.
    batches = [(probes[:batch].astype(np.float32), batch) for batch in (1, len(probes))]
    if cubes is not None:
        batches.append((cubes, 64))
    expected, untouched = [probabilities(graph, each) for each, _ in batches], copy_exact(graph)
    test = encode_test(probes[:1], expected[0])
    metadata = {CARD_KEY: card.to_json(), TEST_KEY: test}
    if isinstance(network, ResNet3D):  # so that cellfinder's weights give features as well
        network = copy.deepcopy(network)
        network.use_head()
    disguised, head = disguise_head(network)
    if explained_layer is None:
        if head:
            graph = ProbabilityGraph(disguised, card).eval()
        model = _trace(graph, (OUTPUT,), probes, metadata, head, split)
        artifact = verify(seal(model), card.file_name)
    else:
        explained = ExplainedGraph(graph, card, explained_layer).eval()
        names = (OUTPUT, *explained_layer.map_names)
        plain = ExplainedGraph(
            ProbabilityGraph(fold_batch_norms(disguised), card), card, explained_layer
        ).eval()
        example = torch.from_numpy(probes[:2].astype(np.float32))
        model = _trace(gradients_as_operators(plain, example), names, probes, metadata, head, split)
        artifact = verify(seal(model), card.file_name)
        examples = [probe_cubes(card, MAP_PROBES).astype(np.float32)]
        if cubes is not None:
            examples.append(cubes[:100])
        check_map_parity(artifact, np.concatenate(examples), explained)
    if parity := settle_parity(artifact, untouched, batches, expected, tolerance):
        artifact = _state_parity(artifact, parity)
    if artifact.head is not None:
        Session(artifact, "cpu", backend="onnxruntime", is_own=True).check(artifact)
    return artifact


def _state_parity(artifact: Artifact, parity: Mapping[str, float]) -> Artifact:
    """Write into the card how far runs of the network may differ."""
    model = onnx.ModelProto.FromString(artifact.model)
    card = artifact.card
    card = dataclasses.replace(card, metrics={**card.metrics, PARITY_KEY: dict(parity)}, digest="")
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    metadata = {CARD_KEY: card.to_json(), TEST_KEY: metadata[TEST_KEY]}
    return verify(seal(canonical_model(model, metadata)), card.file_name)


def _trace(
    graph: nn.Module,
    outputs: Sequence[str],
    cubes: np.ndarray,
    metadata: dict[str, str],
    head: Numbers,
    split: bool = False,
) -> bytes:
    example = torch.from_numpy(cubes[:2].astype(np.float32))
    # The exporter warns of a missing torchvision and of its own deprecations; errors are raised.
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
            # A string, because Dim("batch") is silently made static.
            dynamic_shapes=({0: "batch"},),
            verbose=False,
        )
    assert program is not None  # only its type allows None: the exporter raises instead
    model = program.model
    passes.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0)(model)
    passes.RemoveUnusedNodesPass()(model)
    passes.ClearMetadataAndDocStringPass()(model)  # both hold paths of the source code
    traced = onnx_ir.to_proto(model)
    fix_reshapes(traced.graph)
    fold_constants(traced.graph)
    if split:
        split_means(traced.graph)
    if head:
        write_head(traced, head)
    return canonical_model(traced, metadata)


def canonical_model(model: onnx.ModelProto, metadata: dict[str, str]) -> bytes:
    """Copy a network into a fresh model, and nothing else, as deterministic bytes."""
    source = model.graph
    graph = onnx.GraphProto(name="cfzoo")
    for node in source.node:
        fields = onnx.NodeProto(
            op_type=node.op_type, name=node.name, input=node.input, output=node.output
        )
        for attribute in node.attribute:
            fields.attribute.append(attribute)
        graph.node.append(fields)
    # Sorted, because the order of initializers depends on the tracer's dictionaries.
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
