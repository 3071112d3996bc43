"""The shift score of a run: from the card's features to the files and messages."""

import dataclasses
import json

import numpy as np
import pytest

from cfzoo.runtime.artifact import Artifact, Card, read_artifact, read_weighted, verify
from cfzoo.runtime.cellfinder import main as cellfinder_main
from cfzoo.runtime.errors import ArtifactError
from cfzoo.runtime.job import prepare
from cfzoo.runtime.options import Options
from cfzoo.runtime.output import describe_run
from cfzoo.runtime.pipeline import classify
from cfzoo.runtime.results import Flag
from cfzoo.runtime.session import AnswerTable
from cfzoo.runtime.shift import describe_training, measure_shift, measure_training

SHAPE = (20, 60, 70)
SIZE = (5, 2, 2)


@pytest.fixture(scope="module")
def headed(script):
    return script("tests/headed_artifact.py")


@pytest.fixture(scope="module")
def signal():
    return np.random.default_rng(0).integers(0, 2000, SHAPE).astype(np.float32)


@pytest.fixture(scope="module")
def points():
    return np.random.default_rng(1).integers(0, SHAPE, (300, 3)).astype(float)


@pytest.fixture(scope="module")
def features(headed, signal, points):
    """(N, F) float32: features of the points, computed without the runtime."""
    return headed.features_at(signal, points)


@pytest.fixture(scope="module")
def field(features):
    is_cell = np.arange(len(features)) % 2 == 0
    return describe_training(measure_training([("brain", features, is_cell)]))


@pytest.fixture(scope="module", params=["training", "volume"])
def artifact(headed, field, tmp_path_factory, request) -> Artifact:
    folder = tmp_path_factory.mktemp(request.param)
    return read_artifact(
        headed.write_artifact(folder, standardisation=request.param, features=field)
    )


@pytest.fixture
def run(artifact, points, signal):
    def run(points=points, signal=signal, model=artifact, **options):
        chosen = Options(**{"backend": "onnxruntime", **options})
        return classify(points, signal, model=model, voxel_size=SIZE, options=chosen)

    return run


@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
def test_a_volume_is_compared_with_the_features_of_the_training(run, artifact, features, backend):
    results = run(backend=backend)
    ((digest, shift),) = results.shifts.items()
    assert digest == artifact.card.digest
    assert (shift.verdict, shift.nearest, shift.model) == ("like", "brain", "headed")
    expected = (features[:, :, None] <= artifact.card.training_features.edges).sum(axis=0)
    assert shift.counts.candidates == 300  # those at the edges count
    assert np.abs(shift.counts.below - expected).max() <= 1  # sums differ in their last bits
    foreign = run(signal=np.random.default_rng(3).integers(3000, 4000, SHAPE).astype(np.float32))
    assert next(iter(foreign.shifts.values())).verdict == "foreign"


def test_order_batches_and_threads_change_no_count(run, points):
    first = next(iter(run(batch_size=7, threads=1).shifts.values()))
    order = np.random.default_rng(2).permutation(len(points))
    for size, threads in ((1, 1), (64, 2)):
        again = next(iter(run(points[order], batch_size=size, threads=threads).shifts.values()))
        assert np.array_equal(again.counts.below, first.counts.below)
        assert again.score == first.score


def test_counts_of_parts_give_the_score_of_the_whole(run, artifact, points):
    whole = next(iter(run().shifts.values()))
    parts = [next(iter(run(part).shifts.values())).counts for part in np.array_split(points, 3)]
    total = measure_shift(parts[0] + parts[1] + parts[2], artifact.card.training_features)
    assert (total.score, total.nearest) == (whole.score, whole.nearest)


def test_answers_do_not_depend_on_the_features_of_the_training(headed, artifact, run, tmp_path):
    plain = headed.write_artifact(tmp_path, standardisation=artifact.card.standardisation)
    without = run(model=read_artifact(plain))
    assert without.shifts == {}
    assert without.probability.tobytes() == run().probability.tobytes()


@pytest.mark.parametrize("n", [0, 1, 49])
def test_few_points_are_too_few(run, points, n):
    shift = next(iter(run(points[:n]).shifts.values()))
    assert shift.verdict == "too few" and shift.counts.candidates == n


def test_points_on_nan_do_not_count(run, points, signal):
    holed = signal.copy()
    holed[:, :30] = np.nan
    results = run(signal=holed)
    shift = next(iter(results.shifts.values()))
    assert shift.counts.candidates == 300 - (results.flags == Flag.NAN).sum() < 300
    empty = run(signal=np.full_like(signal, np.nan))
    assert next(iter(empty.shifts.values())).verdict == "too few"
    assert (empty.flags == Flag.NAN).all()


def test_a_volume_of_edges_only_is_compared(run):
    points = np.random.default_rng(4).integers(0, (4, 6, 8), (60, 3)).astype(float)
    flat = np.random.default_rng(5).integers(0, 2000, (4, 6, 8)).astype(np.float32)
    results = run(points, flat)
    assert (results.flags == Flag.EDGE).sum() > 50
    assert next(iter(results.shifts.values())).counts.candidates == 60
    assert run(points, flat, edges="drop").counts()["dropped"] > 50


def test_each_member_of_an_ensemble_has_its_own(headed, field, tmp_path, run):
    paths = [
        headed.write_artifact(tmp_path, name=name, features=described)
        for name, described in (("first", field), ("second", {}), ("third", field))
    ]
    model = read_weighted([str(path) for path in paths])
    results = run(model=model)
    assert [shift.model for shift in results.shifts.values()] == ["first", "third"]
    twice = read_weighted([f"{paths[0]}=0.25", f"{paths[0]}=0.75"])
    (shift,) = run(model=twice).shifts.values()
    assert shift.counts.candidates == 300  # once, though the model has the member twice


def test_run_json_holds_the_score(artifact, points, signal):
    job = prepare(points, signal, model=artifact, voxel_size=SIZE)
    table = AnswerTable(job.model, 300)
    assert next(iter(table.shifts.values())).verdict == "too few"
    results = classify(points, signal, model=artifact, voxel_size=SIZE)
    description = json.loads(json.dumps(describe_run(job, results, {}, 0.0)))
    (entry,) = description["shift"]
    shift = results.shifts[artifact.card.digest]
    assert entry == {
        "artifact": artifact.card.digest,
        "verdict": "like",
        "score": round(shift.score, 3),
        "candidates": 300,
        "nearest": "brain",
    }


def test_the_number_of_features_must_be_that_of_the_network(headed, field):
    short = {**field, "edges": field["edges"][:3]}
    short["blocks"] = [
        {**b, **{k: b[k][:3] for k in ("cells_below", "no_cells_below")}} for b in field["blocks"]
    ]
    with pytest.raises(ArtifactError, match=r"describes 3 features.*the network gives 5"):
        verify(headed.seal_model(headed.make_model(features=short)))


def test_a_card_of_an_earlier_reader_keeps_the_field(artifact):
    """A reader that does not know the field has it in ``extra``, and writes it again."""
    fields = json.loads(artifact.card.to_json())
    assert fields["schema"] == "1.5"
    later = {**fields, "schema": "1.7", "shape": fields.pop("features")}
    card = Card.from_json(json.dumps(later))
    assert card.extra["shape"] == later["shape"]
    assert json.loads(card.to_json())["shape"] == later["shape"]


def test_a_volume_like_the_training_gets_no_note_of_its_appearance(
    headed, field, tmp_path, run, signal
):
    ranges = {"appearance": {"contrast": [5, 6]}}
    options = {"standardisation": "training", "training": ranges}
    plain = headed.write_artifact(tmp_path, name="plain", **options)
    described = headed.write_artifact(tmp_path, name="described", features=field, **options)
    assert any("look unlike" in note for note in run(model=read_artifact(plain)).notes)
    model = read_artifact(described)
    assert not any("look unlike" in note for note in run(model=model).notes)
    foreign = run(signal=signal + 3000, model=model)
    assert next(iter(foreign.shifts.values())).verdict == "foreign"
    assert any("look unlike" in note for note in foreign.notes)


def test_cellfinders_step_logs_what_is_foreign(artifact, points, signal, logged):
    @dataclasses.dataclass
    class Cell:
        z: float
        y: float
        x: float
        type: int = 1

    cells = [Cell(*point) for point in points]
    rest = (2, SIZE, SIZE, 32, 6, 8, 4, artifact, None, "50")
    cellfinder_main(cells, signal, None, *rest)
    assert not any("Shift" in message for message in logged)
    cellfinder_main(cells, signal + 3000, None, *rest)
    assert any("foreign to the training data of headed" in message for message in logged)
