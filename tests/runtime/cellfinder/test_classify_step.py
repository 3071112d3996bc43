"""The cellfinder room, tested against the installed, unmodified cellfinder."""

import inspect
import logging
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from cellfinder_call import VOXEL_SIZE, arguments

from cfzoo.runtime import cellfinder as room
from cfzoo.runtime.artifact import Ensemble, read_artifact
from cfzoo.runtime.errors import InputError
from cfzoo.runtime.options import Options
from cfzoo.runtime.pipeline import classify
from cfzoo.runtime.results import Flag


def test_imports_neither_torch_nor_keras():
    code = (
        "import sys, cfzoo.runtime.cellfinder as c, numpy as np\n"
        "class P:\n    def __init__(s): s.x, s.y, s.z, s.type, s.metadata = 30, 30, 10, 1, {}\n"
        "v = np.ones((20, 60, 60), np.uint16)\n"
        "arguments = (v, v, 0, (5, 2, 2), (5, 1, 1), 8, 50, 50, 20)\n"
        "assert len(c.main([P()], *arguments, 'attention3d', None, '50')) == 1\n"
        "print([m for m in ('torch', 'keras', 'cellfinder') if m in sys.modules])"
    )
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert process.stdout.strip() == "[]", process.stderr


@pytest.mark.slow
def test_signature_is_that_of_cellfinder():
    from cellfinder.core.classify.classify import main

    expected, actual = (inspect.signature(f).parameters for f in (main, room.main))
    assert list(actual)[: len(expected)] == list(expected)
    for name, parameter in expected.items():
        assert (actual[name].kind, actual[name].default) == (parameter.kind, parameter.default), (
            name
        )


def test_returns_typed_copies_in_order_and_calls_back(crop, cells):
    batches = []
    classified = room.main(**arguments(crop, cells, "attention3d", callback=batches.append))
    zyx = np.array([(c.z, c.y, c.x) for c in cells], float)
    results = classify(
        zyx, crop[0], model="attention3d", voxel_size=VOXEL_SIZE, options=Options(edges="drop")
    )
    rows = np.flatnonzero(results.types)
    expected = rows[np.argsort(zyx[rows, 0], kind="stable")]
    assert [c.metadata["id"] for c in classified] == expected.tolist()
    assert [c.type for c in classified] == results.types[expected].tolist()
    assert 0 < len(classified) < len(cells)
    assert all(new is not old for new in classified for old in cells)
    assert {c.type for c in cells} == {1}
    assert batches == list(range(-(-len(classified) // 32)))


def test_adds_metadata_on_request(crop, cells):
    (plain,) = {tuple(c.metadata) for c in room.main(**arguments(crop, cells, "attention3d"))}
    assert plain == ("id",)
    model = {"trained_model": "attention3d"}
    for cell in room.main(**arguments(crop, cells, metadata=True, model=None) | model):
        assert (cell.metadata["probability"] >= 0.5) == (cell.type == 2)


def test_flags_nan_and_types_it_as_unknown(crop, cells):
    signal = crop[0].astype(np.float32)
    signal[:] = np.nan
    classified = room.main(**arguments((signal, crop[1]), cells, "attention3d", metadata=True))
    assert {c.type for c in classified} == {1}
    assert {c.metadata["flag"] for c in classified} == {Flag.NAN.text}


def test_two_channel_model_needs_a_background(crop, cells, make_artifact, tmp_path):
    artifact = read_artifact(make_artifact(tmp_path, channels=("signal", "background")))
    assert room.main(**arguments(crop, cells, artifact))
    with pytest.raises(InputError, match="there is no background"):
        room.main(**arguments((crop[0], None), cells, artifact))


def test_says_once_that_a_model_does_not_use_the_background(crop, cells, logged):
    def notes():
        return [message for message in logged if "background" in message]

    room.main(**arguments((crop[0], None), cells, "pipnet3d"))
    assert not notes()
    room.main(**arguments(crop, cells, "pipnet3d"))
    (note,) = notes()
    assert note.startswith("pipnet3d 1.2.0 does not use the background that was given")


def test_says_which_members_do_not_use_the_background(crop, cells, make_artifact, tmp_path, logged):
    pair = read_artifact(make_artifact(tmp_path, name="pair", channels=("signal", "background")))
    room.main(**arguments(crop, cells, pair))
    assert not [message for message in logged if "background" in message]
    room.main(**arguments(crop, cells, Ensemble.of([read_artifact("pipnet3d"), pair])))
    (note,) = [message for message in logged if "background" in message]
    assert "pipnet3d 1.2.0 does not use the background" in note and "pair" not in note


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"dimensions": 4}, InputError, "dimensions is 4; expected 2 or 3"),
        ({"dimensions": 2}, InputError, "attention3d .* takes cubes of 8 planes"),
        ({"dimensions": 2, "signal_array": np.zeros(5)}, OSError, "2D or 3D signal data"),
        ({"normalize_channels": True}, InputError, "normalize_channels is on"),
        ({"signal_array": np.zeros((5, 5))}, OSError, "Signal data must be 3D"),
        ({"background_array": np.zeros((5, 5))}, OSError, "Background data must be 3D"),
        ({"trained_model": "nosuch.onnx"}, InputError, "no model"),
    ],
)
def test_refuses_unsuitable_arguments(crop, cells, change, error, message):
    with pytest.raises(error, match=message):
        room.main(**arguments(crop, cells, "attention3d") | change)


@pytest.mark.parametrize("planes", [None, 30])
def test_classifies_planes(crop, cells, make_artifact, linear, tmp_path, planes):
    """One plane (y, x), or the plane of each candidate in a stack, whatever their distance."""
    from brainglobe_utils.cells.cells import Cell

    model = make_artifact(tmp_path, cube_shape=(1, 6, 8), channels=("signal", "background"))
    stack = [channel[:planes] if planes else channel[:1] for channel in crop]
    cells = [Cell((c.x, c.y, c.z if planes else 0), Cell.UNKNOWN) for c in cells]
    inside = [c for c in cells if 3 <= c.y <= 507 and 4 <= c.x <= 663]
    cubes = [
        [channel[c.z, None, c.y - 3 : c.y + 3, c.x - 4 : c.x + 4] for channel in stack]
        for c in sorted(inside, key=lambda cell: cell.z)
    ]
    data = (stack, (7, 2, 2)) if planes else ([channel[0] for channel in stack], (2, 2))
    call = arguments(data[0], cells, model, dimensions=2, metadata=True)
    answers = room.main(**call | {"voxel_sizes": data[1]})
    probability = [cell.metadata["probability"] for cell in answers]
    np.testing.assert_allclose(probability, linear(np.float32(cubes)), atol=1e-6)
    assert {c.type for c in answers} == {1, 2}


def test_the_log_of_cellfinder_records_the_model(crop, cells):
    messages, handler, logger = [], logging.Handler(), logging.getLogger("cellfinder.core")
    handler.emit = lambda record: messages.append((record.levelname, record.getMessage()))
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        room.main(**arguments(crop, cells, "attention3d"))
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
    card = read_artifact("attention3d").card
    expected = f"Classifying with attention3d {card.version}: sha256 {card.digest}"
    assert messages == [("INFO", expected)]


def test_no_points_give_no_cells(crop):
    assert room.main(**arguments(crop, [], "attention3d")) == []
