"""New artifacts from sealed ones, without torch: recalibrated, or several fused into one.

Only the end of a graph changes; the rest stays as verified.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from onnx import compose, helper, numpy_helper

from ...runtime.artifact import (
    CARD_KEY,
    INPUT,
    OUTPUT,
    SCHEMA,
    TEST_KEY,
    Artifact,
    Card,
    Ensemble,
    apply_temperature,
    combine_licences,
    encode_test,
    seal,
    verify,
)
from ...runtime.errors import ArtifactError, InputError
from ...runtime.session import Session
from .parity import check_parity, probe_cubes
from .trace import canonical_model

SMALLEST = np.float32(np.finfo(np.float32).tiny)


def recalibrate(artifact: Artifact, factor: float, offset: float, card: Card) -> Artifact:
    """Divide an artifact's logits by ``factor`` and raise that of a cell by ``offset``.

    Parameters
    ----------
    factor, offset : float
        They add to the temperature (Guo et al. 2017) and offset (Platt 1999) in the graph.
    card : Card
        Card of the new artifact.

    Raises
    ------
    ArtifactError
        The graph does not end in a softmax, or the new one gives unexpected probabilities.
    """
    model = onnx.ModelProto.FromString(artifact.model)
    nodes, initializers = model.graph.node, model.graph.initializer
    last = softmax_of(model, artifact.source)
    names = {tensor.name for tensor in initializers}
    for operator, value in (
        ("Div", np.float32(factor)),
        ("Add", np.array([0, offset], np.float32)),
    ):
        candidates = (f"cfzoo.{operator.lower()}{i}" for i in range(1000))
        name = next(candidate for candidate in candidates if candidate not in names)
        initializers.append(numpy_helper.from_array(np.asarray(value), name))
        step = helper.make_node(operator, [last.input[0], name], [f"{name}.done"], name)
        nodes.insert(list(nodes).index(last), step)
        last.input[0] = step.output[0]
    cubes = probe_cubes(card, 7)
    cell = apply_temperature(_answers(artifact, cubes), factor, offset)
    return _seal_checked(model, card, cubes, np.stack([1 - cell, cell], 1).astype(np.float32))


def softmax_of(model: onnx.ModelProto, name: str) -> Any:
    """Return the softmax that a graph ends in; raise an `ArtifactError` if it ends otherwise."""
    last = next((node for node in model.graph.node if OUTPUT in node.output), None)
    if last is None or last.op_type != "Softmax":
        raise ArtifactError(
            f"{name} does not end in a softmax, so its logits cannot be changed. Calibrate the "
            "models that it was made from."
        )
    return last


def fuse(ensemble: Ensemble) -> Artifact:
    """Fuse an ensemble into one artifact that gives the same answers from one input.

    The members' disagreement and maps are lost: the artifact has a single output.

    Raises
    ------
    InputError
        The members do not take the same cubes, or the ensemble has no name.
    ArtifactError
        The new graph gives other probabilities than the ensemble.
    """
    _check_fusible(ensemble)
    nodes, initializers, terms = [], [], []
    # In the order in which `Ensemble.combine` sums: members in any order give the same file.
    members = sorted(
        ensemble.members, key=lambda m: (m.artifact.card.digest, m.temperature, m.weight)
    )
    ensemble = dataclasses.replace(ensemble, members=tuple(members))
    cards = [member.artifact.card for member in members]
    for i, member in enumerate(members):
        model = onnx.ModelProto.FromString(member.artifact.model_with_maps())
        graph = compose.add_prefix_graph(model.graph, f"m{i}.", rename_inputs=False)
        nodes += graph.node
        initializers += graph.initializer
        term_nodes, term = _weigh(f"m{i}.", member.temperature, member.weight, initializers)
        nodes += term_nodes
        terms.append(term)
    nodes.append(helper.make_node("Sum", terms, ["cfzoo.summed"], "cfzoo.sum"))
    # Rounded weights may sum to slightly more than 1, but a probability must not.
    for name, value in (("cfzoo.zero", 0), ("cfzoo.one", 1)):
        initializers.append(numpy_helper.from_array(np.array(value, np.float32), name))
    ends = ["cfzoo.summed", "cfzoo.zero", "cfzoo.one"]
    nodes.append(helper.make_node("Clip", ends, [OUTPUT], "cfzoo.clip"))
    shape = (len(cards[0].channels), *cards[0].cube_shape)
    graph = helper.make_graph(
        nodes,
        "cfzoo",
        [helper.make_tensor_value_info(INPUT, onnx.TensorProto.FLOAT, ["batch", *shape])],
        [helper.make_tensor_value_info(OUTPUT, onnx.TensorProto.FLOAT, ["batch", 2])],
        initializers,
    )
    card = _make_card(ensemble, cards)
    cubes = probe_cubes(card, 7)
    answers = [_answers(member.artifact, cubes) for member in ensemble.members]
    cell = ensemble.combine(answers)[0]
    expected = np.stack([1 - cell, cell], 1).astype(np.float32)
    return _seal_checked(helper.make_model(graph), card, cubes, expected)


def _check_fusible(ensemble: Ensemble) -> None:
    cards = [member.artifact.card for member in ensemble.members]
    for key in (
        "cube_shape",
        "voxel_size",
        "channels",
        "normalisation",
        "percentiles",
        "padding",
        "resampling",
    ):
        names = {str(getattr(card, key)): card.name for card in cards}
        if len(names) > 1:
            (value_1, name_1), (value_2, name_2) = list(names.items())[:2]
            raise InputError(
                f"The members of {ensemble.source} take different cubes: {key} is {value_1} for "
                f"{name_1} and {value_2} for {name_2}. Use the ensemble's file as it is."
            )
    if by_volume := [member.artifact for member in ensemble.members if member.artifact.by_volume]:
        raise InputError(
            f"{by_volume[0].source} standardises its features by the volume, which a single graph "
            f"cannot. Use the file of {ensemble.source} as it is."
        )
    if intercepts := [m.artifact for m in ensemble.members if m.artifact.has_intercepts]:
        raise InputError(
            f"{intercepts[0].source} has an intercept for each kind of volume, which a single "
            f"graph cannot. Use the file of {ensemble.source} as it is."
        )
    if not ensemble.name:
        raise InputError(f"{ensemble.source} has no name; expected an ensemble's file.")


def _weigh(prefix: str, temperature: float, weight: float, initializers: list) -> tuple[list, str]:
    """Return nodes from a member's probabilities to its term of the sum, and the term's name."""
    constants = {"small": SMALLEST, "temperature": temperature, "weight": weight}
    for name, value in constants.items():
        tensor = numpy_helper.from_array(np.array(value, np.float32), f"{prefix}{name}")
        initializers.append(tensor)
    steps = [("Mul", "weight")]
    if temperature != 1:  # softmax(log(p) / T) equals dividing the logits
        steps = [("Max", "small"), ("Log", ""), ("Div", "temperature"), ("Softmax", ""), *steps]
    else:
        del initializers[-3:-1]
    nodes, value = [], f"{prefix}{OUTPUT}"
    for operator, constant in steps:
        inputs = [value, f"{prefix}{constant}"] if constant else [value]
        value = f"{prefix}{operator.lower()}ed"
        nodes.append(helper.make_node(operator, inputs, [value], value))
        if operator == "Softmax":
            nodes[-1].attribute.append(helper.make_attribute("axis", 1))
    return nodes, value


def _make_card(ensemble: Ensemble, cards: Sequence[Card]) -> Card:
    members = [
        {
            "artifact": member.artifact.card.file_name,
            "digest": member.artifact.card.digest,
            "weight": member.weight,
            "temperature": member.temperature,
        }
        for member in ensemble.members
    ]
    citations = tuple(dict.fromkeys(text for card in cards for text in card.citations))
    names = ", ".join(card.name for card in cards)
    return dataclasses.replace(
        cards[0],
        name=ensemble.name,
        version=ensemble.version,
        threshold=ensemble.threshold,
        temperature=1.0,
        offset=0.0,
        standardisation="training",
        schema=SCHEMA,
        description=ensemble.description or f"Weighted mean of {names}.",
        architecture="ensemble",
        licence=ensemble.licence or combine_licences(cards),
        training={"members": members, **ensemble.training},
        metrics=ensemble.metrics,
        environment={"onnx": onnx.__version__},
        features={},
        citations=citations,
        parent=", ".join(f"{card.file_name} {card.digest}" for card in cards),
        extra={},
        digest="",
    )


def _answers(artifact: Artifact, cubes: np.ndarray) -> np.ndarray:
    session = Session(artifact, "cpu", batch_size=len(cubes), backend="onnxruntime")
    return session.run(cubes.astype(np.float32))


def _seal_checked(
    model: onnx.ModelProto, card: Card, cubes: np.ndarray, expected: np.ndarray
) -> Artifact:
    """Seal a model and check that it gives the expected probabilities, singly and in a batch."""
    test = encode_test(cubes[:1], expected[:1])
    content = canonical_model(model, {CARD_KEY: card.to_json(), TEST_KEY: test})
    artifact = verify(seal(content), card.file_name)
    for batch in (1, len(cubes)):
        check_parity(artifact, cubes[:batch].astype(np.float32), expected[:batch], batch)
    return artifact
