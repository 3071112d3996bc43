"""A session: what it asks, learns, keeps and makes is what `cfzoo adapt` makes of its labels."""

import dataclasses

import numpy as np
import pytest
import tifffile

from cfzoo.runtime.adapt import (
    LabelledVolume,
    adapt,
    choose_next,
    fit_head,
    logistic,
    make_pool,
    match_labels,
    weigh_labels,
)
from cfzoo.runtime.errors import ArtifactError, InputError
from cfzoo.runtime.job import prepare
from cfzoo.runtime.labelling import SKIPPED, open_labelling, read_steps
from cfzoo.runtime.options import Options
from cfzoo.runtime.pipeline import compute_features, run
from cfzoo.runtime.points import CELL, NO_CELL, as_points, read_points
from cfzoo.runtime.results import Results
from cfzoo.runtime.sample import VOXEL_SIZE


@pytest.fixture(scope="session")
def model(headed, tmp_path_factory):
    return headed.write_artifact(tmp_path_factory.mktemp("session"), 12)


@pytest.fixture
def make_job(model, sample):
    """Call it for a job of the sample's candidates, or of others."""

    def make_job(zyx=sample.zyx, signal=sample.signal, model=model):
        options = Options(outside="flag")
        return prepare(
            zyx, signal, model=model, voxel_size=VOXEL_SIZE, options=options, keep_features=True
        )

    return make_job


@pytest.fixture
def begin(make_job):
    """Call it for a session of the sample; options are those of `open_labelling`."""
    return lambda folder=None, **options: open_labelling(make_job(**options), folder)[1]


def play(session, sample, count):
    for _ in range(count):
        row = session.suggest()
        session.answer([row], int(sample.types[row]))


def test_each_answer_gives_the_numbers_of_adapt(begin, sample):
    session = begin()
    table, embedding = session.embedding.tables[0], session.embedding
    pool, done = make_pool(table, embedding.scale), []
    for count in range(25):
        cells = sample.types[done] == CELL
        before = embedding.prior.margin(table)
        weights = weigh_labels(embedding.prior.margin(table[done]), before)
        lesson = fit_head(table[done], cells, embedding.prior, embedding.scale, weights)
        np.testing.assert_array_equal(session.lesson.weight, lesson.weight)
        np.testing.assert_array_equal(session.probability, logistic(lesson.margin(table)))
        (row,) = choose_next(pool, table, lesson, done, cells, 1)
        assert session.suggest() == row
        assert (session.estimate is None) == (min(cells.sum(), (~cells).sum()) < 2)
        session.answer([row], int(sample.types[row]))
        done.append(int(row))
        assert len(session.labels.rows) == count + 1
    assert sorted(session.curve) == list(session.curve) and max(session.curve) == 25


def test_results_and_features_of_one_pass_are_those_of_two(make_job):
    job = make_job()
    results, session = open_labelling(job)
    np.testing.assert_array_equal(results.probability, run(job).probability)
    features, _ = compute_features(job)
    statistics = session.embedding.statistics[0]
    np.testing.assert_array_equal(
        (features - statistics.centre) / statistics.spread, session.embedding.tables[0]
    )
    np.testing.assert_allclose(session.probability, results.probability, atol=1e-6)


@pytest.mark.parametrize("standardisation", ["volume", "training"])
def test_models_of_both_kinds_give_features_beside_answers(
    make_job, headed, tmp_path, standardisation
):
    job = make_job(model=headed.write_artifact(tmp_path, 7, standardisation=standardisation))
    results, session = open_labelling(job)
    np.testing.assert_array_equal(results.probability, run(job).probability)
    assert np.isfinite(session.embedding.tables[0]).all()
    assert session.embedding.tables[0].shape == (len(results.types), 7)


def test_the_artifact_is_the_one_of_the_command(begin, sample, model, tmp_path):
    tifffile.imwrite(tmp_path / "signal.tif", sample.signal)
    session = begin(signal=tmp_path / "signal.tif")
    play(session, sample, 20)
    session.save_labels(tmp_path / "labels.csv")
    points = as_points(sample.zyx)
    labels = match_labels(points, read_points(tmp_path / "labels.csv"))
    np.testing.assert_array_equal(labels.rows, session.labels.rows)
    session.history.file = None
    volume = LabelledVolume(tmp_path / "signal.tif", points, labels, voxel_size=VOXEL_SIZE)
    by_command = adapt(model, [volume])
    own = session.adapt()
    assert own.estimate == by_command.estimate == session.estimate
    ours, theirs = own.artifact.card, by_command.artifact.card
    assert ours.training["adaptation"]["volumes"][0].pop("labels") == ""
    assert theirs.training["adaptation"]["volumes"][0].pop("labels") == "labels.csv"
    assert ours.training == theirs.training and ours.metrics == theirs.metrics
    for a, b in zip(own.artifact.head.arrays, by_command.artifact.head.arrays, strict=True):
        np.testing.assert_array_equal(a, b)
    job = prepare(points, sample.signal, model=own.artifact, voxel_size=VOXEL_SIZE)
    np.testing.assert_allclose(run(job).probability, session.probability, atol=1e-6)


def test_undo_takes_answers_back_one_by_one(begin, sample):
    session = begin()
    play(session, sample, 6)
    before = session.lesson.weight, session.suggest(), dict(session.curve)
    session.answer([session.suggest()], SKIPPED)
    np.testing.assert_array_equal(session.lesson.weight, before[0])
    assert session.undo() == [before[1]]
    play(session, sample, 1)
    assert session.undo() == [before[1]]
    np.testing.assert_array_equal(session.lesson.weight, before[0])
    assert (session.suggest(), session.curve) == before[1:]
    assert [len(session.undo()) for _ in range(8)] == [1] * 6 + [0] * 2
    np.testing.assert_array_equal(session.lesson.weight, session.embedding.prior.weight)
    assert not session.curve and not session.verdict.text


def test_a_session_goes_on_where_it_ended(begin, sample, tmp_path):
    session = begin(tmp_path)
    play(session, sample, 18)
    session.answer([session.suggest()], SKIPPED)
    weight, types, suggestion = session.lesson.weight, session.types, session.suggest()
    del session
    again = begin(tmp_path)
    np.testing.assert_array_equal(again.lesson.weight, weight)
    assert (again.types, again.suggest()) == (types, suggestion)
    assert len(again.curve) >= 5 and max(again.curve) == 18 == len(again.labels.rows)
    assert again.estimate is not None
    again.undo()
    assert len(again.types) == 18


def test_sessions_of_one_volume_learn_from_each_other(begin, sample, tmp_path):
    first, second = begin(tmp_path), begin(tmp_path)
    play(first, sample, 5)
    assert not second.is_current and first.is_current
    second.refresh()
    assert second.is_current
    np.testing.assert_array_equal(second.lesson.weight, first.lesson.weight)


def test_candidates_without_features_teach_nothing(make_job, sample, tmp_path):
    zyx = np.vstack([sample.zyx[:40], [[500.0, 0, 0]]])
    session = open_labelling(make_job(zyx), tmp_path)[1]
    assert np.isnan(session.probability[40])
    with pytest.raises(InputError, match="Candidate 41 was not classified"):
        session.answer([0, 40], CELL)
    assert session.types == {}
    assert session.take([(0, CELL), (40, CELL)]) == 1
    session.history.add([40], NO_CELL)  # as with another model, which took it
    session.refresh()
    assert session.labels.rows.tolist() == [0]
    assert 40 not in {session.suggest() for _ in range(3)}


def test_all_are_asked_for_at_last_and_only_those_that_are_shown(make_job, sample):
    session = open_labelling(make_job(sample.zyx[:12]))[1]
    among = np.zeros(12, bool)
    among[[3, 7]] = True
    assert session.suggest(among) in (3, 7)
    assert session.suggest(np.zeros(12, bool)) is None
    asked = []
    for _ in range(12):
        asked.append(session.suggest())
        session.answer(asked[-1:], int(sample.types[asked[-1]]))
    assert sorted(asked) == list(range(12))
    assert session.suggest() is None and session.suggest(among) is None


def test_beyond_the_pool_the_most_doubtful_is_asked_for(begin, sample, monkeypatch):
    name = "cfzoo.runtime.labelling.labelling_session.make_pool"
    monkeypatch.setattr(name, lambda *arguments: make_pool(*arguments, 5))
    session = begin()
    for row in session._pool.rows:
        session.answer([int(row)], int(sample.types[row]))
    row = session.suggest()
    margins = np.abs(session.margins)
    margins[session._pool.rows] = np.inf
    assert row == np.argmin(margins)


@pytest.mark.parametrize("suffix", [".csv", ".xml", ".yml"])
def test_labels_of_points_files_are_taken(begin, sample, tmp_path, suffix):
    rows = np.arange(0, 60, 3)
    probability = np.full(len(rows), 0.5, np.float32)
    types = sample.types[rows].astype(np.int8)
    results = Results(sample.zyx[rows], types, probability, np.zeros(len(rows), np.uint8))
    results.save(tmp_path / f"labels{suffix}")
    session = begin()
    session.answer([0], int(sample.types[0]))  # the file agrees, and says no more of it
    steps = read_steps(tmp_path / f"labels{suffix}", session, sample.signal.shape)
    assert session.take(steps) == len(rows) - 1
    np.testing.assert_array_equal(np.sort(session.labels.rows), rows)
    np.testing.assert_array_equal(session.labels.cells, sample.types[session.labels.rows] == CELL)
    assert len(session.undo()) == len(rows) - 1
    assert session.labels.rows.tolist() == [0]


@pytest.fixture
def address(write_page):
    return write_page()[0].as_uri()


def test_a_page_and_a_session_open_each_others_labels(begin, sample, visit, tmp_path):
    page = visit()
    page.set_default_timeout(60_000)  # of a browser on a busy computer
    page.evaluate("labelPage.ready")
    for _ in range(7):
        page.keyboard.press("c" if sample.types[page.evaluate("labelPage.viewed")] == CELL else "x")
    page.keyboard.press("s")
    (tmp_path / "page.json").write_text(page.evaluate("JSON.stringify(labelPage.history.save())"))
    session = begin()
    steps = read_steps(tmp_path / "page.json", session, sample.signal.shape)
    assert session.take(steps) == 8
    answers = page.evaluate("[...labelPage.history.types()]")
    assert session.types == dict(answers)
    np.testing.assert_allclose(
        session.lesson.weight, page.evaluate("[...labelPage.lesson.weight]"), atol=1e-5
    )
    assert session.suggest() == page.evaluate("labelPage.suggestion")
    play(session, sample, 2)
    (tmp_path / "own.json").write_text(session.history.to_json())
    page.set_input_files("#open-state", tmp_path / "own.json")
    page.wait_for_function("labelPage.history.steps.length === 10")
    assert page.evaluate("labelPage.suggestion") == session.suggest()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("x.json", "{", "not valid JSON"),
        ("x.json", None, "cannot be read"),
        ("x.json", '{"format": "cfzoo labels", "version": 1, "candidates": "0", "revision": 1, '
         '"steps": []}', "other candidates, or to a page with a part"),
        ("x.csv", "x,y,z,type\n1,2,3,2\n", "lie at no candidate of these candidates"),
        ("x.csv", "", "x.csv"),
    ],
)  # fmt: skip
def test_files_of_other_labels_are_refused(begin, sample, tmp_path, name, content, message):
    if content is not None:
        (tmp_path / name).write_text(content)
    session = begin()
    with pytest.raises(InputError, match=message):
        read_steps(tmp_path / name, session, sample.signal.shape)
    assert session.types == {}


def test_a_model_without_a_head_is_refused(make_job, headed, tmp_path):
    job = make_job(model=headed.write_artifact(tmp_path))
    (member,) = job.model.members
    headless = dataclasses.replace(member.artifact, head=None)
    ensemble = dataclasses.replace(
        job.model, members=(dataclasses.replace(member, artifact=headless),)
    )
    with pytest.raises(ArtifactError, match="nothing to adapt"):
        open_labelling(dataclasses.replace(job, model=ensemble))


def test_one_label_makes_no_artifact(begin, sample):
    session = begin()
    play(session, sample, 1)
    with pytest.raises(InputError, match="expected at least 2 of each"):
        session.adapt()
