import dataclasses
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cfzoo.runtime.artifact import Card
from cfzoo.runtime.errors import ArtifactError

BASE = {
    "name": "model",
    "version": "1.2.3",
    "cube_shape": (20, 50, 50),
    "voxel_size": (5, 1, 1),
    "channels": ("signal", "background"),
    "normalisation": "none",
}


def test_json_round_trip():
    card = Card(**BASE, training={"blocks": [695, 753]}, citations=("Somebody (2026)",))
    copy = Card.from_json(card.to_json())
    assert copy == card
    assert copy.to_json() == card.to_json()
    assert copy.voxel_size == (5.0, 1.0, 1.0)
    assert card.file_name == "model-1.2.3.onnx"


def test_is_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Card(**BASE).threshold = 0.9


def test_digest_stays_out_of_the_json():
    card = Card(**BASE, digest="ab" * 32)
    assert "ab" * 32 not in card.to_json()
    assert Card.from_json(card.to_json(), "cd" * 32).digest == "cd" * 32


def test_later_minor_schema_keeps_its_fields():
    fields = json.loads(Card(**BASE).to_json()) | {"schema": "1.9", "stain": "c-Fos"}
    card = Card.from_json(json.dumps(fields))
    assert card.extra == {"stain": "c-Fos"}
    assert json.loads(card.to_json())["stain"] == "c-Fos"
    assert json.loads(card.to_json())["schema"] == "1.9"


def test_unknown_major_schema_says_what_to_do():
    fields = json.loads(Card(**BASE).to_json()) | {"schema": "2.0"}
    with pytest.raises(ArtifactError, match=r"schema 2\.0.*reads 1\.x.*Update cfzoo"):
        Card.from_json(json.dumps(fields))


@pytest.mark.parametrize(
    "fields",
    [
        {"name": "Model"},
        {"name": "../model"},
        {"version": "1.0"},
        {"version": "01.0.0"},
        {"cube_shape": (20, 50)},
        {"cube_shape": (20, 50, 0)},
        {"cube_shape": (20, 50, 10**6)},
        {"cube_shape": (20, 50, 50.0)},
        {"cube_shape": "abc"},
        {"voxel_size": (5, 1, 0)},
        {"voxel_size": (5, 1, float("nan"))},
        {"voxel_size": (5, 1, True)},
        {"channels": ("background", "signal")},
        {"channels": ()},
        {"normalisation": "whole"},
        {"resampling": "cubic"},
        {"classes": ("cell", "no cell")},
        {"threshold": 0},
        {"threshold": 1.5},
        {"temperature": -1},
        {"training": [1]},
        {"licence": None},
    ],
)
def test_names_invalid_fields(fields):
    with pytest.raises(ArtifactError, match=f"card's {next(iter(fields))} is .*; expected"):
        Card(**{**BASE, **fields})


@pytest.mark.parametrize(
    "appearance",
    [
        5,
        [1, 2],
        *({"contrast": ends} for ends in (1, [1], [2, 1], [0, "1"], [0, True], [-1e30, 0])),
    ],
)
def test_refuses_an_appearance_without_ranges(appearance):
    with pytest.raises(ArtifactError, match=r"card's training appearance .*; expected"):
        Card(**BASE, training={"appearance": appearance})
    valid = Card(**BASE, training={"appearance": {"contrast": [0, 1], "later": [-1.5, 2]}})
    assert valid.appearance == {"contrast": (0.0, 1.0), "later": (-1.5, 2.0)}


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"schema": 1}', "[" * 100_000, '{"schema":"1.0"}']
)
def test_refuses_what_is_not_a_card(text):
    with pytest.raises(ArtifactError):
        Card.from_json(text)


@given(
    st.recursive(st.none() | st.booleans() | st.floats() | st.text(), st.lists, max_leaves=5),
    st.data(),
)
def test_any_value_in_any_field_is_accepted_or_refused(value, data):
    fields = json.loads(Card(**BASE).to_json())
    fields[data.draw(st.sampled_from(sorted(fields)))] = value
    try:
        card = Card.from_json(json.dumps(fields))
    except ArtifactError:
        return
    assert Card.from_json(json.dumps(fields)) == card or value != value


def test_padding_and_percentiles_are_stated_only_where_they_differ():
    plain = json.loads(Card(**BASE).to_json())
    assert not plain.keys() & {"padding", "percentiles"}
    fields = {**BASE, "normalisation": "percentile", "percentiles": [1, 99], "padding": "zero"}
    card = Card(**fields)
    assert card.percentiles == (1, 99) and Card.from_json(card.to_json()) == card


@pytest.mark.parametrize(
    "fields",
    [
        {"padding": "mirror"},
        {"normalisation": "percentile"},
        {"normalisation": "percentile", "percentiles": [99, 1]},
        {"normalisation": "percentile", "percentiles": [1]},
        {"normalisation": "percentile", "percentiles": [-1, 99]},
        {"normalisation": "percentile", "percentiles": ["1", 99]},
        {"normalisation": "percentile", "percentiles": [True, 99]},
        {"normalisation": "cube", "percentiles": [1, 99]},
    ],
)
def test_refuses_padding_and_percentiles_that_mean_nothing(fields):
    with pytest.raises(ArtifactError, match=r"padding|percentiles"):
        Card(**{**BASE, **fields})
