"""cellfinder itself, unmodified, with the patch that lets cfzoo classify."""

import copy
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from cellfinder_call import VOXEL_SIZE, arguments

from cfzoo.runtime import cellfinder as room
from cfzoo.runtime.artifact import bundled, read_artifact
from cfzoo.runtime.cellfinder.patch import find_artifact


@pytest.fixture
def offline(monkeypatch):
    """Make every attempt to fetch cellfinder's default weights fail the test."""
    from cellfinder.core.tools import prep

    def refuse(*args, **kwargs):
        raise AssertionError("cellfinder tried to fetch its default weights")

    monkeypatch.setattr(prep, "prep_models", refuse)


@pytest.mark.slow
@pytest.mark.parametrize("model", ["wavemix3d", "file", "ensemble"])
def test_core_main_classifies_with_an_artifact(crop, cells, model, offline, tmp_path):
    """napari calls core.main.main so: no detection, no download, classification by cfzoo."""
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

        classified = core.main(
            *crop,
            VOXEL_SIZE,
            trained_model=model,
            skip_detection=True,
            detected_cells=cells,
            detect_finished_callback=lambda points: None,
        )
    expected = room.main(**arguments(crop, cells, "wavemix3d"))
    assert [(c.x, c.y, c.z, c.type) for c in classified] == [
        (c.x, c.y, c.z, c.type) for c in expected
    ]
    assert run is core.main  # the patch is undone
    with pytest.raises((AssertionError, FileNotFoundError)):
        core.main(*crop, VOXEL_SIZE, trained_model=model, skip_detection=True, detected_cells=cells)


@pytest.mark.slow
def test_patch_reaches_every_importer_and_is_undone(monkeypatch):
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
    assert core.main is after[0]  # the patch was enabled before
    # napari's plugin imports so, here before and while the patch is enabled.
    late = ModuleType("cellfinder.napari.late")
    exec("from cellfinder.core.main import main as cellfinder_run", vars(late))
    monkeypatch.setitem(sys.modules, late.__name__, late)
    assert late.cellfinder_run is after[0] is early.cellfinder_run
    room.disable()
    room.disable()
    assert (core.main, module.main, prep.prep_model_weights) == before
    assert late.cellfinder_run is before[0] is early.cellfinder_run


@pytest.mark.slow
def test_other_models_go_to_keras(crop, cells, tmp_path):
    from cellfinder.core.classify import classify as module

    with room.enabled(), pytest.raises(ValueError, match="keras"):
        module.main(**arguments(crop, cells, tmp_path / "nosuch.keras", max_workers=0))


def test_takes_a_bundled_name_after_the_present_folder(tmp_path, monkeypatch):
    """As cellfinder's widget remembers it; a name after another folder may mean something else."""
    monkeypatch.chdir(tmp_path)
    path = bundled()["wavemix3d"]
    assert find_artifact(tmp_path / "wavemix3d") == find_artifact("wavemix3d") == path
    assert find_artifact(tmp_path / "models" / "wavemix3d") is None
    (tmp_path / "wavemix3d").touch()
    assert find_artifact(tmp_path / "wavemix3d") is None


@pytest.mark.slow
def test_serves_the_calls_of_brainmapper(crop, cells, offline, tmp_path):
    """brainmapper fetches the default weights, classifies, and reads the cells it saved."""
    from brainglobe_utils.IO.cells import get_cells, save_cells
    from cellfinder.core.classify import classify as module
    from cellfinder.core.tools import prep

    with room.enabled():
        weights = prep.prep_model_weights(None, None, "resnet50_tv")
        call = arguments(crop, cells, str(bundled()["wavemix3d"]))
        classified = module.main(**call | {"model_weights": weights, "pin_memory": False})
    save_cells(classified, tmp_path / "cell_classification.xml", save_csv=True)
    cells_of_file = get_cells(tmp_path / "cell_classification.xml")
    expected = sorted((c.x, c.y, c.z, c.type) for c in classified)
    assert sorted((c.x, c.y, c.z, c.type) for c in cells_of_file) == expected
    cells_only = get_cells(tmp_path / "cell_classification.xml", cells_only=True)
    assert len(cells_only) == sum(c.type == 2 for c in classified) > 0


@pytest.mark.slow
def test_default_weights_are_fetched_on_first_use(monkeypatch, tmp_path):
    from cellfinder.core.tools import prep

    calls = []
    monkeypatch.setattr(prep, "prep_models", lambda *a: calls.append(a) or tmp_path / "default.h5")
    with room.enabled():
        path = prep.prep_model_weights(None, None, "resnet50_tv")
        assert isinstance(copy.copy(path), type(path))
        assert not calls
        assert str(path) == str(tmp_path / "default.h5") == str(Path(path))
        assert path.suffix == ".h5" and not path.exists()
        assert calls == [(None, None, "resnet50_tv")]
        weights = prep.prep_model_weights(tmp_path / "mine.h5", None, "resnet50_tv")
        assert calls[1:] and weights == tmp_path / "default.h5"  # checks it at once


@pytest.mark.slow
def test_calls_back_for_detection_and_classification(crop, offline):
    """20 planes give 120 candidates, as in cellfinder's own tests."""
    planes, batches, detections = [], [], []
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
            detect_finished_callback=detections.append,
        )
    assert len(planes) == 18
    assert [len(points) for points in detections] == [120]
    assert batches == list(range(-(-len(classified) // 64)))


@pytest.mark.slow
def test_detects_and_classifies_bright_spots_of_one_channel(offline):
    """Eight spots of a synthetic volume are detected, and all of them classified."""
    from scipy.ndimage import gaussian_filter

    signal = np.zeros((100, 100, 100))
    for corner in np.ndindex(2, 2, 2):
        signal[tuple(25 + 50 * np.array(corner))] = 65535
    signal = gaussian_filter(signal, 2).astype(np.uint16)
    with room.enabled():
        import cellfinder.core.main as core

        for background in (np.zeros_like(signal), None):
            classified = core.main(
                signal, background, VOXEL_SIZE, trained_model="attention3d", n_free_cpus=0
            )
            assert len(classified) == 8 and {c.type for c in classified} <= {1, 2}


@pytest.mark.slow
def test_says_once_that_the_background_is_not_used(crop, cells, offline, logged):
    with room.enabled():
        import cellfinder.core.main as core

        core.main(
            *crop,
            VOXEL_SIZE,
            trained_model="wavemix3d",
            skip_detection=True,
            detected_cells=cells,
            detect_finished_callback=lambda points: None,
        )
    assert sum("does not use the background" in message for message in logged) == 1


@pytest.mark.slow
def test_misses_a_background_before_the_detection(crop, make_artifact, tmp_path):
    model = str(make_artifact(tmp_path, channels=("signal", "background")))
    planes = []
    with room.enabled():
        import cellfinder.core.main as core

        call = {"trained_model": model, "n_free_cpus": 0, "detect_callback": planes.append}
        with pytest.raises(ValueError, match="there is no background"):
            core.main(crop[0][:4], None, VOXEL_SIZE, **call)
        assert not planes
        core.main(crop[0][:4], None, VOXEL_SIZE, **call, skip_classification=True)
        assert planes
