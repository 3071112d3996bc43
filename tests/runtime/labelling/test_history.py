"""The history of labels: steps, undo, and a file that no death of the process can harm."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cfzoo.runtime.errors import InputError
from cfzoo.runtime.labelling import (
    SKIPPED,
    History,
    LabelFile,
    identify_candidates,
    labels_folder,
    open_history,
)
from cfzoo.runtime.points import CELL, NO_CELL

DIGEST = "d" * 64


@pytest.fixture
def path(tmp_path):
    return tmp_path / "new" / "labels.json"


def test_steps_are_on_the_disk_and_come_back(path):
    history = History(10, DIGEST, LabelFile(path))
    assert not path.exists()
    history.add([3], CELL)
    history.add([1, 2], NO_CELL)
    history.add([4], SKIPPED)
    history.add([3], NO_CELL)
    again = History(10, DIGEST, LabelFile(path))
    assert again.steps == [(3, 2), (1, 1), (2, 1), (4, 0), (3, 1)]
    assert (again.types(), again.revision) == ({3: 1, 1: 1, 2: 1, 4: 0}, 4)
    labels = again.labels()
    assert (labels.rows.tolist(), labels.cells.tolist()) == ([3, 1, 2], [False] * 3)
    state = json.loads(path.read_text())
    assert state["steps"][0] == [4, 2]  # numbers of candidates, from 1


actions = st.lists(
    st.one_of(
        st.tuples(
            st.just("add"),
            st.lists(st.integers(0, 9), min_size=1, max_size=3, unique=True),
            st.sampled_from([CELL, NO_CELL, SKIPPED]),
        ),
        st.tuples(st.just("undo")),
        st.tuples(st.just("reopen")),
    ),
    max_size=12,
)


@given(actions)
@settings(max_examples=25, deadline=None)
def test_any_course_leaves_the_file_as_the_history_is(tmp_path_factory, course):
    path = tmp_path_factory.mktemp("course") / "labels.json"
    history, groups = History(10, DIGEST, LabelFile(path)), []
    for name, *arguments in course:
        if name == "add":
            history.add(*arguments)
            groups.append([(row, arguments[1]) for row in arguments[0]])
        elif name == "undo":
            assert history.undo() == ([row for row, _ in groups.pop()] if groups else [])
        else:
            history = History(10, DIGEST, LabelFile(path))
            groups = [[step] for group in groups for step in group]  # from now on one by one
        steps = [step for group in groups for step in group]
        assert history.steps == steps
        assert History(10, DIGEST, LabelFile(path)).steps == steps


def test_a_process_killed_at_any_moment_loses_no_label(path):
    """Six times: each step that the process has reported is in the file, which is whole."""
    code = f"""
import sys
from pathlib import Path
from cfzoo.runtime.labelling import History, LabelFile
history = History(100_000, {DIGEST!r}, LabelFile(Path({str(path)!r})))
history.add(range(3000), 1)
print("ready", flush=True)
for row in range(3000, 100_000):
    history.add([row], 2)
    print(row, flush=True)
"""
    rng = np.random.default_rng(0)
    for _ in range(6):
        path.unlink(missing_ok=True)
        process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
        assert process.stdout.readline() == "ready\n"
        time.sleep(rng.uniform(0, 0.08))
        os.kill(process.pid, signal.SIGKILL)
        reported = process.stdout.read().split("\n")[:-1]
        process.wait()
        process.stdout.close()
        steps = History(100_000, DIGEST, LabelFile(path)).steps
        assert len(steps) - 3000 in (len(reported), len(reported) + 1)
        assert [row for row, _ in steps] == list(range(len(steps)))
    History(100_000, DIGEST, LabelFile(path)).add([0], 1)
    assert [file.name for file in path.parent.iterdir()] == ["labels.json"]  # parts are swept


def test_two_windows_cannot_overwrite_each_other(path):
    first, second = (History(10, DIGEST, LabelFile(path)) for _ in range(2))
    first.add([1], CELL)
    with pytest.raises(InputError, match="Another window"):
        second.add([2], CELL)
    with pytest.raises(InputError, match="Another window"):
        second.extend([(3, CELL)])
    assert (second.steps, second.revision) == ([], 0)
    second.reload()
    second.add([2], CELL)
    assert History(10, DIGEST, LabelFile(path)).steps == [(1, CELL), (2, CELL)]
    path.unlink()  # by hand
    with pytest.raises(InputError, match="Another window"):
        second.undo()
    assert second.steps == [(1, CELL), (2, CELL)]


def test_a_label_that_cannot_be_written_is_none(tmp_path):
    (tmp_path / "file").write_text("")
    history = History(10, DIGEST, LabelFile(tmp_path / "file" / "labels.json"))
    with pytest.raises(InputError, match="file"):
        history.add([1], CELL)
    assert (history.steps, history.undo()) == ([], [])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda state: state | {"candidates": "0" * 64}, "other candidates"),
        (lambda state: state | {"version": 2}, "version 2; expected 1"),
        (lambda state: state | {"format": "x"}, "no file of labels"),
        (lambda state: state | {"steps": [[0, 2]]}, "damaged"),
        (lambda state: state | {"steps": [[11, 2]]}, "damaged"),
        (lambda state: state | {"steps": [[1, 3]]}, "damaged"),
        (lambda state: state | {"steps": [[True, 1]]}, "damaged"),
        (lambda state: state | {"steps": [[1.0, 1]]}, "damaged"),
        (lambda state: state | {"steps": [[1, [1]]]}, "damaged"),
        (lambda state: state | {"steps": {"length": 1}}, "damaged"),
        (lambda state: state | {"revision": None}, "damaged"),
        (lambda state: ["nonsense"], "no file of labels"),
    ],
)
def test_a_file_that_does_not_fit_is_refused_and_stays(path, change, message):
    History(10, DIGEST, LabelFile(path)).add([3], CELL)
    text = json.dumps(change(json.loads(path.read_text())))
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        History(10, DIGEST, LabelFile(path))
    assert path.read_text() == text


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[" * 100_000])
def test_half_a_file_is_refused(path, content):
    path.parent.mkdir()
    path.write_bytes(content)
    with pytest.raises(InputError, match="Move it away"):
        History(10, DIGEST, LabelFile(path))


def test_sessions_of_one_process_share_a_history(tmp_path):
    first = open_history(10, DIGEST, tmp_path)
    first.add([1], CELL)
    assert open_history(10, DIGEST, tmp_path) is first
    History(10, DIGEST, LabelFile(tmp_path / f"{DIGEST}.json")).add([2], CELL)  # another process
    assert open_history(10, DIGEST, tmp_path).steps == [(1, CELL), (2, CELL)]
    assert open_history(10, "e" * 64, tmp_path) is not first
    assert open_history(10, DIGEST).steps == []


def test_the_folder_of_labels(monkeypatch, tmp_path):
    monkeypatch.setenv("CFZOO_LABELS", str(tmp_path))
    assert labels_folder() == tmp_path
    monkeypatch.delenv("CFZOO_LABELS")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert labels_folder() == tmp_path / ".brainglobe" / "cfzoo-labels"


def test_candidates_are_known_by_place_and_volume():
    zyx = np.arange(12.0).reshape(4, 3)
    rows = np.arange(4)
    digest = identify_candidates((10, 10, 10), zyx, rows)
    assert digest == identify_candidates((10, 10, 10), zyx.copy(), rows)
    others = [((10, 10, 11), zyx, rows), ((10, 10, 10), zyx + 1, rows), ((10, 10, 10), zyx, [0, 1])]
    assert digest not in {identify_candidates(*other) for other in others}
