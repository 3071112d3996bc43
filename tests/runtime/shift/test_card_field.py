import copy
import json
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parent))
from feature_blocks import draw_blocks

from cfzoo.runtime.artifact import Card
from cfzoo.runtime.errors import ArtifactError
from cfzoo.runtime.shift import describe_training, measure_training, read_training

BASE = {
    "name": "model",
    "version": "1.2.3",
    "cube_shape": (20, 50, 50),
    "voxel_size": (5, 1, 1),
    "channels": ("signal",),
    "normalisation": "none",
}
FIELD = describe_training(measure_training(draw_blocks()))


def test_round_trip():
    training = measure_training(draw_blocks())
    card = Card.from_json(Card(**BASE, features=FIELD).to_json())
    again = card.training_features
    assert again.edges.tobytes() == training.edges.tobytes()
    for block, copied in zip(training.blocks, again.blocks, strict=True):
        assert (block.name, block.distance) == (copied.name, copied.distance)
        assert block.cells.candidates == copied.cells.candidates
        assert np.array_equal(block.shares, copied.shares)
    assert describe_training(again) == FIELD
    assert card == Card(**BASE, features=FIELD)


def test_a_card_without_features_has_no_such_field():
    card = Card(**BASE)
    assert card.training_features is None
    assert "features" not in json.loads(card.to_json())
    older = json.dumps(json.loads(card.to_json()) | {"schema": "1.2"})
    assert Card.from_json(older).to_json() == Card(**BASE, schema="1.2").to_json()


def change(*path, value):
    field = copy.deepcopy(FIELD)
    node = field
    for key in path[:-1]:
        node = node[key]
    node[path[-1]] = value
    return field


ROW = "0 1 2 3 4"


@pytest.mark.parametrize(
    ("field", "message"),
    [
        ({"edges": [ROW]}, "blocks is None"),
        ({"blocks": FIELD["blocks"]}, "edges is None"),
        (change("edges", value=[]), "edges is"),
        (change("edges", value=ROW), "edges is"),
        (change("edges", value=[ROW] * 4097), "edges is"),
        (change("edges", 0, value=7), "edges is 7"),
        (change("edges", 0, value="1"), "texts of 2 to 32 numbers"),
        (change("edges", 0, value=" ".join(["1"] * 33)), "texts of 2 to 32 numbers"),
        (change("edges", 1, value="1 2 3 4"), "5 rising numbers"),
        (change("edges", 1, value="7"), "5 rising numbers"),
        (change("edges", 1, value="0 1 2 3 nan"), "5 rising numbers"),
        (change("edges", 1, value="0 1 2 3 inf"), "5 rising numbers"),
        (change("edges", 1, value="0 1 2 3 1e39"), "5 rising numbers"),
        (change("edges", 1, value="0 1 2 3 2.9"), "5 rising numbers"),
        (change("edges", 1, value="0 1 2 3 x"), "5 rising numbers"),
        (change("edges", 1, value=ROW + " " * 1000), "5 rising numbers"),
        (change("edges", 1, value=None), "5 rising numbers"),
        (change("blocks", value=[]), "blocks is"),
        (change("blocks", value=FIELD["blocks"][:1] * 33), "blocks is"),
        (change("blocks", 0, value=[1]), "a mapping for each block"),
        (change("blocks", 0, "name", value=""), "block name is ''"),
        (change("blocks", 0, "name", value=5), "block name is 5"),
        (change("blocks", 0, "distance", value=1.5), "block distance is 1.5"),
        (change("blocks", 0, "distance", value=-0.1), "block distance is -0.1"),
        (change("blocks", 0, "distance", value=True), "block distance is True"),
        (change("blocks", 0, "cells", value=-1), "number of cells is -1"),
        (change("blocks", 0, "cells", value=1.0), "number of cells is 1.0"),
        (change("blocks", 0, "no_cells", value=10**10), "number of no_cells is"),
        (change("blocks", 0, "cells_below", value=[ROW] * 2), "2 texts'; expected 3"),
        (change("blocks", 0, "cells_below", 0, value="0 1 2 3 1001"), "from 0 to 1000"),
        (change("blocks", 0, "cells_below", 0, value="-1 1 2 3 4"), "from 0 to 1000"),
        (change("blocks", 0, "cells_below", 0, value="0 1 2 3 3.5"), "from 0 to 1000"),
        (change("blocks", 0, "no_cells_below", 2, value="0 1 2 1 4"), "from 0 to 1000"),
        ("text", "a mapping"),
    ],
)
def test_refuses_a_field_that_cfzoo_train_does_not_write(field, message):
    with pytest.raises(ArtifactError, match="card's features") as error:
        Card(**BASE, features=field)
    assert message in str(error.value) and "expected" in str(error.value)
    assert len(str(error.value)) < 400


def test_refuses_a_block_without_candidates():
    field = change("blocks", 0, "cells", value=0)
    field["blocks"][0]["no_cells"] = 0
    with pytest.raises(ArtifactError, match="some of either class in 'brain-0'"):
        read_training(field)


@given(
    st.recursive(st.none() | st.booleans() | st.floats() | st.text(), st.lists, max_leaves=5),
    st.sampled_from(
        [
            ("edges",),
            ("edges", 0),
            ("blocks",),
            ("blocks", 0),
            ("blocks", 0, "name"),
            ("blocks", 0, "cells"),
            ("blocks", 0, "distance"),
            ("blocks", 0, "cells_below"),
            ("blocks", 0, "no_cells_below", 1),
        ]
    ),
)
def test_any_value_is_accepted_or_refused(value, path):
    try:
        read_training(change(*path, value=value))
    except ArtifactError:
        return
