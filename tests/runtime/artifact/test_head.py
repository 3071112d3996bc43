"""Heads: read from the file, refused where the graph ends otherwise, replaced in place."""

import dataclasses
import json

import numpy as np
import pytest
from onnx import helper, numpy_helper

from cfzoo.cli import main
from cfzoo.runtime.artifact import (
    CARD_KEY,
    FEATURES,
    HEAD_NAMES,
    TEST_KEY,
    Head,
    encode_test,
    read_artifact,
    replace_head,
    seal,
    verify,
)
from cfzoo.runtime.artifact.onnx_prune import keep_outputs
from cfzoo.runtime.errors import ArtifactError, InputError
from cfzoo.runtime.session import Session

BACKENDS = ["onnxruntime", "openvino"]


@pytest.fixture(scope="module")
def headed(script):
    return script("tests/headed_artifact.py")


@pytest.fixture(scope="module")
def artifact(headed):
    return verify(headed.seal_model(headed.make_model()), "headed.onnx")


@pytest.fixture(scope="module")
def cubes():
    return np.random.default_rng(0).uniform(0, 4000, (50, 1, 4, 6, 8)).astype(np.float32)


def test_reads_the_head_and_its_number_of_features(artifact, headed):
    for own, expected in zip(artifact.head.arrays, headed.make_head().arrays, strict=True):
        assert np.array_equal(own, expected)
    assert artifact.n_features == artifact.head.features == 5 and artifact.by_volume


@pytest.mark.parametrize("n_features", [1, 6, 4096])
@pytest.mark.parametrize("backend", BACKENDS)
def test_numpy_gives_the_probabilities_of_the_graph(headed, cubes, backend, n_features):
    artifact = verify(headed.seal_model(headed.make_model(n_features)), "headed.onnx")
    session = Session(artifact, "cpu", batch_size=16, backend=backend, is_own=True)
    assert session.check(artifact) < 1e-5
    features = session.compute_features(cubes)
    expected = cubes.reshape(50, -1) @ headed.projection(n_features)
    np.testing.assert_allclose(features, expected, atol=1e-5)
    answer = artifact.head.answer(features, 1.5, 0.2)
    np.testing.assert_allclose(answer, session.run(cubes), atol=1e-5)
    assert answer[:, 1].std() > 0.01


def test_a_row_depends_on_itself_alone(headed):
    head = headed.make_head(64)
    features = np.random.default_rng(1).normal(0, 3, (1001, 64)).astype(np.float32)
    whole = head.margin(features)
    for part in (slice(0, 1), slice(7, 20), slice(None, None, -1)):
        assert head.margin(features[part]).tobytes() == whole[part].tobytes()


def test_features_of_nan_cubes_are_nan(artifact, cubes):
    cubes = cubes[:6].copy()
    cubes[2, 0, 1, 1, 1], cubes[4, 0, 0, 0, 0] = np.nan, np.inf
    for backend in BACKENDS:
        features = Session(artifact, "cpu", backend=backend, is_own=True).compute_features(cubes)
        assert np.isnan(features).all(axis=1).tolist() == [False, False, True, False, True, False]


@pytest.mark.parametrize("backend", BACKENDS)
def test_features_are_nan_where_a_network_drops_nan_or_overflows(headed, cubes, backend):
    cubes = cubes[:4].copy()
    cubes[1, 0, 1, 1, 1] = np.nan
    dropping, overflowing = headed.make_model(), headed.make_model()
    _insert(1, "Relu")(dropping)  # in OpenVINO, 0 for NaN
    _set("projection", np.full((192, 5), 3e37))(overflowing)
    for model, bad in ((dropping, [1]), (overflowing, [0, 1, 2, 3])):
        session = Session(verify(headed.seal_model(model)), "cpu", backend=backend, is_own=True)
        is_bad = np.isnan(session.compute_features(cubes))
        assert np.flatnonzero(is_bad.all(axis=1)).tolist() == bad and is_bad.sum() == 5 * len(bad)


def test_other_sessions_give_no_features(make_artifact, cubes):
    with pytest.raises(InputError, match="gives no features"):
        Session(read_artifact(make_artifact()), "cpu").compute_features(cubes)


def test_pruned_models_keep_their_features(artifact):
    assert b"features" in keep_outputs(artifact.model, ("probability", FEATURES))
    assert b"head.centre" in artifact.model_with_maps()


def _set(name, values):
    def change(model):
        for tensor in model.graph.initializer:
            if tensor.name == name:
                tensor.CopyFrom(numpy_helper.from_array(np.array(values, np.float32), name))

    return change


def _rename(old, new):
    def change(model):
        for tensor in model.graph.initializer:
            tensor.name = new if tensor.name == old else tensor.name
        for node in model.graph.node:
            node.input[:] = [new if name == old else name for name in node.input]

    return change


def _insert(place, operator, *inputs):
    """Insert a step in front of the node ``place`` of the graph."""

    def change(model):
        node = model.graph.node[place]
        model.graph.node.insert(
            place, helper.make_node(operator, [node.input[0], *inputs], ["step"])
        )
        model.graph.node[place + 1].input[0] = "step"

    return change


def _swap_constants(model):
    model.graph.node[2].input[1], model.graph.node[3].input[1] = "head.spread", "head.centre"


def _bypass(model):
    """The probability comes from other features than those of the output."""
    model.graph.initializer.append(
        numpy_helper.from_array(np.ones((192, 5), np.float32) * 1e-5, "other")
    )
    model.graph.node.insert(2, helper.make_node("MatMul", ["flat", "other"], ["hidden"]))
    model.graph.node[3].input[0] = "hidden"


def _drop_features(model):
    del model.graph.output[1]


def _wide(model):
    model.graph.node.insert(2, helper.make_node("Concat", [FEATURES] * 2, ["wide"], axis=1))
    model.graph.node[3].input[0] = "wide"


HOSTILE = {
    "no output of features": (_drop_features, "has no output 'features'"),
    "no initializer": (_rename("head.spread", "spread"), "no initializer 'head.spread'"),
    "negative spread": (_set("head.spread", [1, 1, -1, 1, 1]), "smallest head.spread is -1"),
    "zero spread": (_set("head.spread", [1, 1, 0, 1, 1]), "smallest head.spread is 0"),
    "NaN spread": (_set("head.spread", [1, 1, np.nan, 1, 1]), "NaN"),
    "infinite weight": (_set("head.bias", [np.inf]), "head.bias holds NaN or infinite"),
    "one centre for all": (_set("head.centre", [1]), "head.weight is float32"),
    "one spread for all": (_set("head.spread", [2]), "head.spread is float32"),
    "another bias": (_set("head.bias", 1), "head.bias is float32"),
    "two cells": (_set("head.places", [1, 1]), "head.places is"),
    "a step before the head": (_insert(2, "Relu"), "starts from"),
    "a step in the head": (_insert(5, "Tanh"), "comes from Tanh"),
    "a step after the head": (_insert(6, "Relu"), "comes from Relu"),
    "a step before the softmax": (_insert(9, "Abs"), "comes from Abs"),
    "a scaling by the margin": (_insert(9, "Div", "head.bias"), "is calibrated by 'head.bias'"),
    "a calibration by the network": (_insert(9, "Add", "margin"), "is calibrated by 'margin'"),
    "centre and spread swapped": (_swap_constants, "expected Div with head.spread"),
    "other features": (_bypass, "starts from 'hidden'"),
    "features twice": (_wide, "multiplies|fit|broadcast|head"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_refuses_a_graph_that_does_not_end_in_its_head(headed, name):
    change, reason = HOSTILE[name]
    model = headed.make_model()
    change(model)
    with pytest.raises(ArtifactError, match=reason) as caught:
        verify(headed.seal_model(model), "hostile.onnx")
    assert "\n" not in str(caught.value)


def test_the_command_line_refuses_it_with_code_3(headed, tmp_path, capsys):
    model = headed.make_model()
    _insert(6, "Relu")(model)
    path = tmp_path / "hostile.onnx"
    path.write_bytes(headed.seal_model(model))
    with pytest.raises(SystemExit, match="3"):
        main(["inspect", str(path)])
    assert "does not end in a head" in capsys.readouterr().err


def _set_shape(model, *shape):
    model.graph.output[1].CopyFrom(helper.make_tensor_value_info(FEATURES, 1, ["batch", *shape]))


def _too_many(model):
    """8192 features, of which the head reads the first half."""
    model.graph.node[1].output[0] = model.graph.node[2].input[0] = "half"
    model.graph.node.insert(2, helper.make_node("Concat", ["half"] * 2, [FEATURES], axis=1))
    _set_shape(model, 8192)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda model: _set_shape(model, 4096, 1), "but its nodes compute 'features'"),
        (_too_many, r"'features' of \('batch', 8192\); expected"),
    ],
)
def test_refuses_features_of_another_shape(headed, change, reason):
    model = headed.make_model(4096)
    change(model)
    with pytest.raises(ArtifactError, match=reason):
        verify(headed.seal_model(model))


def test_a_network_may_give_features_without_a_head(headed):
    model = headed.make_model(standardisation="training")
    _rename("head.spread", "spread")(model)
    artifact = verify(headed.seal_model(model))
    assert artifact.head is None and artifact.n_features == 5 and not artifact.by_volume


def test_a_session_refuses_a_head_whose_card_has_another_temperature(headed):
    """Not seen in the graph's structure: the card says 1.5, the graph divides by 1."""
    model = headed.make_model()
    _set("temperature", 1)(model)
    artifact = verify(headed.seal_model(model))
    session = Session(artifact, "cpu", backend="onnxruntime", is_own=True)
    answer = session.run(artifact.test_cube)
    artifact = dataclasses.replace(artifact, test_output=answer)
    with pytest.raises(ArtifactError, match=r"head of model gives probabilities .* away"):
        session.check(artifact)


def test_a_replaced_head_gives_its_own_probabilities(artifact, headed, cubes):
    assert seal(replace_head(artifact.model, artifact.head)) == artifact.model
    head = headed.make_head(seed=3)
    session = Session(artifact, "cpu", batch_size=64, is_own=True)
    features = session.compute_features(cubes)
    output = head.answer(session.compute_features(artifact.test_cube), 1.5, 0.2)
    test = encode_test(artifact.test_cube.astype(np.uint16), output)
    card = dataclasses.replace(artifact.card, name="adapted", parent=artifact.card.digest)
    metadata = {CARD_KEY: card.to_json(), TEST_KEY: test}
    new = verify(seal(replace_head(artifact.model, head, metadata)), "adapted.onnx")
    assert new.card.name == "adapted" and new.card.digest != artifact.card.digest
    for backend in BACKENDS:
        session = Session(new, "cpu", batch_size=64, backend=backend)  # after its trial
        session.check(new)
        np.testing.assert_allclose(session.run(cubes), head.answer(features, 1.5, 0.2), atol=1e-5)


def test_refuses_a_head_of_another_size_and_unknown_metadata(artifact, headed):
    with pytest.raises(ArtifactError, match="has 6 features; expected 5"):
        replace_head(artifact.model, headed.make_head(6))
    with pytest.raises(ArtifactError, match="no metadata 'note'"):
        replace_head(artifact.model, artifact.head, {"note": "x"})
    arrays = dict(zip(("weight", "bias", "centre", "spread"), artifact.head.arrays, strict=True))
    for name in arrays:
        with pytest.raises(ArtifactError, match=f"head.{name} is float64"):
            Head(**{**arrays, name: arrays[name].astype(np.float64)})
    assert HEAD_NAMES[3] == "head.spread"


def test_the_card_holds_the_standardisation_only_where_it_is_not_the_default(artifact):
    assert json.loads(artifact.card.to_json())["standardisation"] == "volume"
    plain = dataclasses.replace(artifact.card, standardisation="training")
    assert "standardisation" not in json.loads(plain.to_json())
    with pytest.raises(ArtifactError, match="card's standardisation is 'brain'"):
        dataclasses.replace(artifact.card, standardisation="brain")
