"""Against the installed cellfinder, unmodified."""

import copy
import inspect
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import tifffile

from cfzoo.runtime import cellfinder as room
from cfzoo.runtime.artifact import bundled, read_artifact
from cfzoo.runtime.errors import InputError
from cfzoo.runtime.options import Options
from cfzoo.runtime.pipeline import classify
from cfzoo.runtime.results import Flag

CROP = Path(__file__).resolve().parents[4] / "shared" / "data" / "cellfinder_crop"
VOXEL_SIZE = (5, 2, 2)


@pytest.fixture(scope="module")
def crop():
    folders = (CROP / "signal", CROP / "background")
    return tuple(np.stack([tifffile.imread(p) for p in sorted(f.glob("*.tif"))]) for f in folders)


@pytest.fixture(scope="module")
def cells(crop):
    from brainglobe_utils.cells.cells import Cell

    rng = np.random.default_rng(0)
    places = rng.integers(0, crop[0].shape, (120, 3))
    return [
        Cell((int(x), int(y), int(z)), Cell.UNKNOWN, {"id": i})
        for i, (z, y, x) in enumerate(places)
    ]


def arguments(crop, cells, model, **more):
    given = {
        "points": cells,
        "signal_array": crop[0],
        "background_array": crop[1],
        "n_free_cpus": 1,
        "voxel_sizes": VOXEL_SIZE,
        "network_voxel_sizes": (5, 1, 1),
        "batch_size": 32,
        "cube_height": 50,
        "cube_width": 50,
        "cube_depth": 20,
        "trained_model": model,
        "model_weights": None,
        "network_depth": "50",
    }
    return {**given, **more}


def test_neither_torch_nor_keras_is_imported():
    code = (
        "import sys, cfzoo.runtime.cellfinder as c, numpy as np\n"
        "class P:\n    def __init__(s): s.x, s.y, s.z, s.type, s.metadata = 30, 30, 10, 1, {}\n"
        "v = np.ones((20, 60, 60), np.uint16)\n"
        "where = (v, v, 0, (5, 2, 2), (5, 1, 1), 8, 50, 50, 20)\n"
        "assert len(c.main([P()], *where, 'attention3d', None, '50')) == 1\n"
        "print([m for m in ('torch', 'keras', 'cellfinder') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr


@pytest.mark.slow
def test_the_signature_is_theirs():
    from cellfinder.core.classify.classify import main

    theirs, mine = (inspect.signature(f).parameters for f in (main, room.main))
    assert list(mine)[: len(theirs)] == list(theirs)
    for name, parameter in theirs.items():
        assert (mine[name].kind, mine[name].default) == (parameter.kind, parameter.default), name


def test_order_copies_types_and_callback(crop, cells):
    done = []
    found = room.main(**arguments(crop, cells, "attention3d", callback=done.append))
    zyx = np.array([(c.z, c.y, c.x) for c in cells], float)
    results = classify(
        zyx, crop[0], model="attention3d", voxel_size=VOXEL_SIZE, options=Options(edges="drop")
    )
    kept = np.flatnonzero(results.types)
    expected = kept[np.argsort(zyx[kept, 0], kind="stable")]
    assert [c.metadata["id"] for c in found] == expected.tolist()
    assert [c.type for c in found] == results.types[expected].tolist()
    assert 0 < len(found) < len(cells)
    assert all(new is not old for new in found for old in cells)
    assert {c.type for c in cells} == {1}
    assert done == list(range(-(-len(found) // 32)))


def test_metadata_when_asked(crop, cells):
    (plain,) = {tuple(c.metadata) for c in room.main(**arguments(crop, cells, "attention3d"))}
    assert plain == ("id",)
    model = {"trained_model": "attention3d"}
    for cell in room.main(**arguments(crop, cells, metadata=True, model=None) | model):
        assert (cell.metadata["probability"] >= 0.5) == (cell.type == 2)


def test_nan_is_unknown_and_told(crop, cells):
    signal = crop[0].astype(np.float32)
    signal[:] = np.nan
    found = room.main(**arguments((signal, crop[1]), cells, "attention3d", metadata=True))
    assert {c.type for c in found} == {1}
    assert {c.metadata["flag"] for c in found} == {Flag.NAN.text}


def test_two_channels_and_ensembles(crop, cells, make_artifact, tmp_path):
    two = read_artifact(make_artifact(tmp_path, channels=("signal", "background")))
    assert room.main(**arguments(crop, cells, two))
    with pytest.raises(InputError, match="there is no background"):
        room.main(**arguments((crop[0], None), cells, two))


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"dimensions": 2}, InputError, "expected 3"),
        ({"normalize_channels": True}, InputError, "normalize_channels is on"),
        ({"signal_array": np.zeros((5, 5))}, OSError, "Signal data must be 3D"),
        ({"background_array": np.zeros((5, 5))}, OSError, "Background data must be 3D"),
        ({"trained_model": "nosuch.onnx"}, InputError, "no model"),
    ],
)
def test_what_it_refuses(crop, cells, change, error, message):
    with pytest.raises(error, match=message):
        room.main(**arguments(crop, cells, "attention3d") | change)


def test_no_points(crop):
    assert room.main(**arguments(crop, [], "attention3d")) == []


@pytest.fixture
def offline(monkeypatch):
    """cellfinder's default weights cannot be had, and nobody may ask for them."""
    from cellfinder.core.tools import prep

    def refuse(*args, **kwargs):
        raise AssertionError("cellfinder went for its default weights")

    monkeypatch.setattr(prep, "prep_models", refuse)


@pytest.mark.slow
@pytest.mark.parametrize("model", ["wavemix3d", "file", "ensemble"])
def test_the_whole_of_cellfinder_with_an_artifact(crop, cells, model, offline, tmp_path):
    """core.main.main as napari calls it: no detection, no download, our classification."""
    from cellfinder.core.main import main as run

    if model == "file":
        model = bundled()["wavemix3d"]
    elif model == "ensemble":
        from cfzoo.runtime.artifact import Ensemble, Member, ensemble_json

        member = Member(read_artifact("wavemix3d"))
        text = ensemble_json(
            Ensemble((member,), name="e", version="1.0.0"), [bundled()["wavemix3d"].name]
        )
        model = tmp_path / "e.json"
        model.write_text(text)
    with room.enabled():
        import cellfinder.core.main as core

        found = core.main(
            *crop,
            VOXEL_SIZE,
            trained_model=model,
            skip_detection=True,
            detected_cells=cells,
            detect_finished_callback=lambda points: None,
        )
    expected = room.main(**arguments(crop, cells, "wavemix3d"))
    assert [(c.x, c.y, c.z, c.type) for c in found] == [(c.x, c.y, c.z, c.type) for c in expected]
    assert run is core.main  # all is as it was
    with pytest.raises((AssertionError, FileNotFoundError)):
        core.main(*crop, VOXEL_SIZE, trained_model=model, skip_detection=True, detected_cells=cells)


@pytest.mark.slow
def test_enabled_and_undone_wherever_it_was_imported(monkeypatch):
    import cellfinder.core.main as core
    from cellfinder.core.classify import classify as module
    from cellfinder.core.tools import prep

    before = (core.main, module.main, prep.prep_model_weights)
    early = ModuleType("cellfinder.napari.early")
    exec("from cellfinder.core.main import main as cellfinder_run", vars(early))
    monkeypatch.setitem(sys.modules, early.__name__, early)
    room.enable()
    room.enable()
    after = (core.main, module.main, prep.prep_model_weights)
    assert all(a is not b for a, b in zip(before, after, strict=True))
    with room.enabled():
        pass
    assert core.main is after[0]  # it was enabled before
    # As napari's plugin does, once before and once while it is enabled.
    late = ModuleType("cellfinder.napari.late")
    exec("from cellfinder.core.main import main as cellfinder_run", vars(late))
    monkeypatch.setitem(sys.modules, late.__name__, late)
    assert late.cellfinder_run is after[0] is early.cellfinder_run
    room.disable()
    room.disable()
    assert (core.main, module.main, prep.prep_model_weights) == before
    assert late.cellfinder_run is before[0] is early.cellfinder_run


@pytest.mark.slow
def test_anything_else_goes_to_keras_as_before(crop, cells, tmp_path):
    from cellfinder.core.classify import classify as module

    with room.enabled(), pytest.raises(ValueError, match="keras"):
        module.main(**arguments(crop, cells, tmp_path / "nosuch.keras", max_workers=0))


@pytest.mark.slow
def test_the_calls_of_brainmapper(crop, cells, offline, tmp_path):
    """It asks for the default weights itself, classifies, and reads what it saved."""
    from brainglobe_utils.IO.cells import get_cells, save_cells
    from cellfinder.core.classify import classify as module
    from cellfinder.core.tools import prep

    with room.enabled():
        weights = prep.prep_model_weights(None, None, "resnet50_tv")
        given = arguments(crop, cells, str(bundled()["wavemix3d"]))
        found = module.main(**given | {"model_weights": weights, "pin_memory": False})
    save_cells(found, tmp_path / "cell_classification.xml", save_csv=True)
    read = get_cells(tmp_path / "cell_classification.xml")
    places = sorted((c.x, c.y, c.z, c.type) for c in found)
    assert sorted((c.x, c.y, c.z, c.type) for c in read) == places
    cells_only = get_cells(tmp_path / "cell_classification.xml", cells_only=True)
    assert len(cells_only) == sum(c.type == 2 for c in found) > 0


@pytest.mark.slow
def test_default_weights_are_found_when_keras_wants_them(monkeypatch, tmp_path):
    from cellfinder.core.tools import prep

    asked = []
    monkeypatch.setattr(prep, "prep_models", lambda *a: asked.append(a) or tmp_path / "default.h5")
    with room.enabled():
        later = prep.prep_model_weights(None, None, "resnet50_tv")
        assert isinstance(copy.copy(later), type(later))
        assert not asked
        assert str(later) == str(tmp_path / "default.h5") == str(Path(later))
        assert later.suffix == ".h5" and not later.exists()
        assert asked == [(None, None, "resnet50_tv")]
        given = prep.prep_model_weights(tmp_path / "mine.h5", None, "resnet50_tv")
        assert asked[1:] and given == tmp_path / "default.h5"  # given ones are checked at once


@pytest.mark.slow
def test_callbacks_of_detection_and_classification(crop, offline):
    """As cellfinder's own tests have it: 20 planes give 120 candidates, in one batch."""
    planes, batches, found = [], [], []
    with room.enabled():
        import cellfinder.core.main as core

        classified = core.main(
            *(channel[:20] for channel in crop),
            VOXEL_SIZE,
            trained_model="wavemix3d",
            ball_z_size=15,
            n_free_cpus=0,
            detect_callback=planes.append,
            classify_callback=batches.append,
            detect_finished_callback=found.append,
        )
    assert len(planes) == 18
    assert [len(points) for points in found] == [120]
    assert batches == list(range(-(-len(classified) // 64)))


@pytest.mark.slow
def test_one_channel_alone_and_bright_spots(offline):
    """Eight spots of a synthetic volume are detected, and all of them classified."""
    from scipy.ndimage import gaussian_filter

    signal = np.zeros((100, 100, 100))
    for place in np.ndindex(2, 2, 2):
        signal[tuple(25 + 50 * np.array(place))] = 65535
    signal = gaussian_filter(signal, 2).astype(np.uint16)
    with room.enabled():
        import cellfinder.core.main as core

        for background in (np.zeros_like(signal), None):
            found = core.main(
                signal, background, VOXEL_SIZE, trained_model="attention3d", n_free_cpus=0
            )
            assert len(found) == 8 and {c.type for c in found} <= {1, 2}
