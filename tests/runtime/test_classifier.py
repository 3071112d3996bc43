from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from brainglobe_utils.cells.cells import Cell
from brainglobe_utils.IO.cells import get_cells

from cfzoo.runtime import Classifier, Options, classify, read_points
from cfzoo.runtime.errors import InputError
from cfzoo.runtime.sample import VOXEL_SIZE, make_sample
from cfzoo.runtime.session import member_sessions as session_module


@pytest.fixture(scope="module")
def brains():
    """Return three synthetic crops with their candidates."""
    return [make_sample(seed) for seed in (1, 2, 3)]


def test_loads_once_and_answers_as_classify(brains, monkeypatch):
    loads = []
    original = session_module.Session
    monkeypatch.setattr(
        session_module, "Session", lambda *a, **k: loads.append(a) or original(*a, **k)
    )
    with Classifier("pipnet3d", Options(edges="drop")) as classifier:
        answers = [classifier.classify(b.zyx, b.signal, voxel_size=VOXEL_SIZE) for b in brains]
        assert len(loads) == 1
    for brain, results in zip(brains, answers, strict=True):
        options = Options(edges="drop")
        expected = classify(
            brain.zyx, brain.signal, model="pipnet3d", voxel_size=VOXEL_SIZE, options=options
        )
        np.testing.assert_array_equal(results.probability, expected.probability)
        np.testing.assert_array_equal(results.flags, expected.flags)


def test_several_threads_share_a_classifier(brains):
    with Classifier() as classifier, ThreadPoolExecutor(4) as pool:

        def work(brain):
            return classifier.classify(brain.zyx, brain.signal, voxel_size=VOXEL_SIZE).probability

        expected = [work(brain) for brain in brains] * 4
        for probability, row in zip(pool.map(work, brains * 4), expected, strict=True):
            np.testing.assert_array_equal(probability, row)


def test_refuses_channels_that_the_model_does_not_take(brains, make_artifact):
    brain, pair = brains[0], make_artifact(channels=("signal", "background"))
    channels = (brain.signal, brain.background)
    with Classifier("pipnet3d") as classifier, pytest.raises(InputError, match="leave --backgr"):
        classifier.classify(brain.zyx, *channels, voxel_size=VOXEL_SIZE)
    with Classifier(pair) as classifier, pytest.raises(InputError, match="give --background"):
        classifier.classify(brain.zyx, brain.signal, voxel_size=VOXEL_SIZE)


def test_refuses_work_after_close(brains):
    classifier = Classifier()
    classifier.close()
    classifier.close()
    with pytest.raises(InputError, match="closed"):
        classifier.classify(brains[0].zyx, brains[0].signal, voxel_size=VOXEL_SIZE)


def test_close_by_another_thread_does_not_break_a_call(brains):
    class Closing(Classifier):
        @property
        def _sessions(self):
            sessions, self.sessions = self.sessions, ()
            return sessions

        @_sessions.setter
        def _sessions(self, sessions):
            self.sessions = sessions

    results = Closing().classify(brains[0].zyx, brains[0].signal, voxel_size=VOXEL_SIZE)
    assert np.isfinite(results.probability).any()


@pytest.mark.parametrize("options", [{"batch_size": 0}, {"threads": 0}, {"threads": -1}])
def test_refuses_impossible_batch_sizes_and_threads(options):
    with pytest.raises(InputError, match="at least 1"):
        Classifier(options=Options(**options))


def test_ensemble_gives_uncertainty_and_refuses_a_background(brains):
    from cfzoo.runtime.artifact import read_weighted

    brain = brains[0]
    with Classifier(read_weighted(["attention3d=0.5", "pipnet3d=0.5"])) as classifier:
        results = classifier.classify(brain.zyx, brain.signal, voxel_size=VOXEL_SIZE)
        assert results.uncertainty is not None
        with pytest.raises(InputError, match="leave --background out"):
            classifier.classify(brain.zyx, brain.signal, brain.signal, voxel_size=VOXEL_SIZE)


def test_results_become_cells_points_and_files(brains, tmp_path):
    brain = brains[0]
    points = np.concatenate([brain.zyx, [[1e4, 0, 0]]])
    with Classifier(options=Options(outside="flag")) as classifier:
        results = classifier.classify(points, brain.signal, voxel_size=VOXEL_SIZE)
    cells = results.to_cells()
    assert len(cells) == len(brain.zyx) and all(isinstance(c, Cell) for c in cells)
    assert [c.type for c in cells] == results.types[:-1].tolist()
    assert [(c.z, c.y, c.x) for c in cells] == [tuple(map(int, p)) for p in brain.zyx]
    assert cells[0].metadata["probability"] == results.probability[0]
    assert {c.metadata.get("flag") for c in cells} == {None, "edge"}
    classified = results.to_points()
    np.testing.assert_array_equal(classified.zyx, brain.zyx)
    assert classified.types.tolist() == results.types[:-1].tolist()
    for name in ("a.xml", "a.yml", "a.csv"):
        results.save(tmp_path / name)
        points_of_file = read_points(tmp_path / name)
        assert len(points_of_file.zyx) == len(points) - (name != "a.csv")
    assert len(get_cells(str(tmp_path / "a.xml"))) == len(cells)
    with pytest.raises(InputError, match=r"expected .csv, .xml or .yml"):
        results.save(tmp_path / "a.json")
