"""Claimed folders: filled at once or not at all, and claimed again after a kill."""

import errno
import os

import pytest

from cfzoo.runtime.claim import (
    LOCK,
    abandon_claims,
    claim_folder,
    claimed_folder,
    hold_claims,
    release_claims,
)
from cfzoo.runtime.errors import EnvironmentProblem, InputError

NAMES = ("a.csv", "b.csv", "run.json")


def write_run(folder, text="new", **options):
    with claim_folder(folder, NAMES, **options) as claim:
        for name in NAMES:
            (claim.open_part() / name).write_text(text)
        claim.publish()


def contents(folder):
    return {path.name: path.read_text() for path in folder.iterdir()} if folder.is_dir() else None


def all_of(text):
    return dict.fromkeys(NAMES, text)


def test_files_appear_together_and_nothing_else_remains(tmp_path):
    with claim_folder(tmp_path / "o", NAMES) as claim:
        for name in (*NAMES, "z.txt"):
            (claim.open_part() / name).write_text("new")
        assert [p.name[0] for p in (tmp_path / "o").iterdir()] == [".", "."]
        claim.publish()
        assert set(contents(tmp_path / "o")) == {*NAMES, "z.txt", ".cfzoo.lock"}
    assert contents(tmp_path / "o") == {**all_of("new"), "z.txt": "new"}


def test_the_last_name_appears_last_and_goes_first(tmp_path, monkeypatch):
    write_run(tmp_path / "o", "old")
    moves, move = [], claimed_folder.move

    def record(source, target, done):
        moves.append(target.relative_to(tmp_path / "o").parts[-2:])
        move(source, target, done)

    monkeypatch.setattr(claimed_folder, "move", record)
    write_run(tmp_path / "o", overwrite=True)
    assert moves[0] == (".old", "run.json")
    assert moves[-1] == ("run.json",)


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, ValueError, InputError])
def test_a_failed_run_leaves_no_trace(tmp_path, error):
    for folder in (tmp_path / "deep" / "o", tmp_path):
        with pytest.raises(error), claim_folder(folder, NAMES) as claim:
            (claim.open_part() / "a.csv").write_text("new")
            raise error("stop")
        assert contents(tmp_path) == {}


@pytest.mark.parametrize("moment", ["claim", "part", *(f"move {n}" for n in range(3)), "publish"])
def test_a_killed_run_may_be_repeated(tmp_path, other_run, moment):
    other_run(tmp_path / "o", moment)
    write_run(tmp_path / "o")
    assert contents(tmp_path / "o") == all_of("new")


@pytest.mark.parametrize("moment", ["claim", "part", *(f"move {n}" for n in range(6))])
def test_results_that_a_killed_run_was_to_replace_are_not_lost(tmp_path, other_run, moment):
    write_run(tmp_path / "o", "old")
    other_run(tmp_path / "o", moment, overwrite=True)
    with pytest.raises(InputError, match=r"already holds a\.csv, b\.csv, run\.json"):
        write_run(tmp_path / "o")
    assert contents(tmp_path / "o") == all_of("old")
    other_run(tmp_path / "o", moment, overwrite=True)
    write_run(tmp_path / "o", overwrite=True)
    assert contents(tmp_path / "o") == all_of("new")


@pytest.mark.parametrize("moment", ["claim", "part", "publish"])
def test_a_killed_run_does_not_make_a_users_file_its_own(tmp_path, other_run, moment):
    other_run(tmp_path / "o", moment)
    (tmp_path / "o" / "a.csv").write_text("by the user")
    with pytest.raises(InputError, match=r"already holds a\.csv"):
        write_run(tmp_path / "o")
    assert contents(tmp_path / "o")["a.csv"] == "by the user"
    write_run(tmp_path / "o", overwrite=True)
    assert contents(tmp_path / "o") == all_of("new")


def test_a_failing_repetition_does_not_cost_the_published_results(tmp_path, other_run):
    other_run(tmp_path / "o", "publish")
    for _ in range(2):
        with pytest.raises(ValueError), claim_folder(tmp_path / "o", NAMES) as claim:
            (claim.open_part() / "a.csv").write_text("new")
            raise ValueError
        assert contents(tmp_path / "o")["a.csv"] == "a.csv of the other run"
    write_run(tmp_path / "o")
    assert contents(tmp_path / "o") == all_of("new")


def test_a_finished_run_is_not_replaced(tmp_path, other_run):
    other_run(tmp_path / "o", "end")
    before = contents(tmp_path / "o")
    with pytest.raises(InputError, match="already holds"):
        write_run(tmp_path / "o")
    assert contents(tmp_path / "o") == before


@pytest.mark.parametrize("number", range(7))
def test_a_failing_move_brings_the_old_files_back(tmp_path, monkeypatch, number):
    write_run(tmp_path / "o", "old")
    calls, rename = [], claimed_folder.Path.rename

    def fail(self, target):
        calls.append(target)
        if len(calls) == number + 1:
            raise OSError(errno.EIO, "reason", str(target))
        return rename(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(claimed_folder.Path, "rename", fail)
        if number < 6:
            with pytest.raises(EnvironmentProblem, match="reason"):
                write_run(tmp_path / "o", overwrite=True)
            assert contents(tmp_path / "o") == all_of("old")
        else:  # there are six moves
            write_run(tmp_path / "o", overwrite=True)
    assert calls


def test_files_that_cannot_be_put_back_are_kept_for_the_next_run(tmp_path, monkeypatch):
    write_run(tmp_path / "o", "old")
    rename = claimed_folder.Path.rename

    def fail(self, target):
        if "old" not in str(target):
            raise OSError(errno.EIO, "reason", str(target))
        return rename(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(claimed_folder.Path, "rename", fail)
        with pytest.raises(EnvironmentProblem):
            write_run(tmp_path / "o", overwrite=True)
    with pytest.raises(InputError, match="already holds"):
        write_run(tmp_path / "o")
    assert contents(tmp_path / "o") == all_of("old")


def test_a_removed_folder_is_created_again(tmp_path):
    with claim_folder(tmp_path / "o", NAMES) as claim:
        (tmp_path / "o" / ".cfzoo.lock").unlink()
        (tmp_path / "o").rmdir()
        (claim.open_part() / "a.csv").write_text("new")
        claim.publish()
    assert contents(tmp_path / "o") == {"a.csv": "new"}


def test_a_folder_replaced_by_a_file_is_an_input_error(tmp_path):
    with (
        pytest.raises(InputError, match="cannot be written"),
        claim_folder(tmp_path / "o", NAMES) as claim,
    ):
        (tmp_path / "o" / ".cfzoo.lock").unlink()
        (tmp_path / "o").rmdir()
        (tmp_path / "o").write_text("a file")
        claim.open_part()
    assert (tmp_path / "o").read_text() == "a file"


@pytest.mark.parametrize("overwrite", [True, False])
def test_broken_links_are_refused_before_the_work(tmp_path, overwrite):
    (tmp_path / "a.csv").symlink_to(tmp_path / "none" / "a.csv")
    with (
        pytest.raises(InputError, match="a broken link" if overwrite else "already holds"),
        claim_folder(tmp_path, NAMES, overwrite),
    ):
        raise AssertionError
    assert [path.name for path in tmp_path.iterdir()] == ["a.csv"]


def test_a_lock_file_cannot_name_files_elsewhere(tmp_path):
    (tmp_path / "o").mkdir()
    (tmp_path / "precious").write_text("x")
    identity = claimed_folder.identify(tmp_path / "precious")
    lines = ['{"part": "../precious"}', '{"files": "none"}', "[1]", "\0", '{"released": true}']
    lines[1:1] = [f'{{"files": {{"../precious": {identity}, "": {identity}}}}}']
    (tmp_path / "o" / ".cfzoo.lock").write_text("\n".join(lines))
    write_run(tmp_path / "o")
    assert (tmp_path / "precious").read_text() == "x"
    assert contents(tmp_path / "o") == all_of("new")


def test_an_end_from_outside_cleans_up(tmp_path):
    """As after a signal that the run itself does not notice."""
    with claim_folder(tmp_path / "o", NAMES) as claim:
        (claim.open_part() / "a.csv").write_text("new")
        abandon_claims()
        assert not (tmp_path / "o").exists()
    assert os.listdir(tmp_path) == []  # noqa: PTH208


def test_folders_are_published_and_replaced_too(tmp_path):
    for text in ("first", "second"):
        with pytest.raises(ValueError), claim_folder(tmp_path / "o", must_be_empty=True) as claim:
            (claim.open_part() / "cells").mkdir()
            (claim.open_part() / "cells" / "c.tif").write_text(text)
            claim.publish()
            raise ValueError  # after publication: the files stay, for the next run to replace
        assert (tmp_path / "o" / "cells" / "c.tif").read_text() == text
    (tmp_path / "o" / "cells" / "mine.tif").write_text("by the user")
    with (
        pytest.raises(InputError, match="not empty"),
        claim_folder(tmp_path / "o", must_be_empty=True),
    ):
        pass
    assert (tmp_path / "o" / "cells" / "mine.tif").exists()


@pytest.mark.parametrize(
    ("was_stopped", "abandons", "is_kept"),
    [(False, False, False), (True, False, True), (True, True, False), (False, True, False)],
)
def test_a_run_that_is_stopped_after_its_last_claim_may_be_repeated(
    tmp_path, was_stopped, abandons, is_kept
):
    hold_claims()
    write_run(tmp_path / "a")
    if abandons:  # the first is then a finished part of a larger run
        with pytest.raises(ValueError), claim_folder(tmp_path / "b", NAMES):
            raise ValueError
    (held,) = claimed_folder._held_claims
    try:
        assert release_claims(was_stopped)
        assert (tmp_path / "a" / LOCK).exists() == is_kept
    finally:
        held.abandon()  # as the end of a process would
