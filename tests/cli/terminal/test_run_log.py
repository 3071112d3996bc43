"""The log of a run: start, progress, end and errors, whatever the terminal shows."""

import os
import re
import signal
import subprocess
import sys
import time

import pytest

from cfzoo.cli.terminal import RunLog, progress, run_log

TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ ")


def read_lines(path):
    lines = path.read_text().splitlines()
    assert all(TIME.match(line) for line in lines)
    return [TIME.sub("", line) for line in lines]


def test_holds_command_computer_model_progress_and_end(cfzoo, sample, tmp_path, monkeypatch):
    monkeypatch.setattr(progress, "FIRST", 0.001)
    log = tmp_path / "new" / "run.log"
    words = ["classify", *sample, "-o", tmp_path / "o", "-q", "--log", log]
    words += ["--batch-size", 1]  # long enough for a line, however fast the computer
    assert cfzoo(*words) == (0, "", "")
    lines = read_lines(log)
    assert lines[0] == f"cfzoo 1.0.0rc1: cfzoo {' '.join(map(str, words))}"
    assert lines[1].startswith(f"process {os.getpid()} on {os.uname().nodename}, Linux")
    assert re.match(r"model pipnet3d 1\.2\.0: sha256 [0-9a-f]{64}$", lines[2])
    assert any(" of 299 points" in line for line in lines[3:])
    assert lines[-2].startswith("299 points: ") and lines[-1] == "done"
    assert cfzoo(*words)[0] == 2  # the folder is taken
    more = read_lines(log)
    assert more[: len(lines)] == lines
    assert "already holds" in more[-2] and more[-1] == "ended with exit code 2"


def test_usage_errors_are_logged(cfzoo, tmp_path):
    log = tmp_path / "run.log"
    assert cfzoo("classify", "--edges", "none", "--log", log, "a", "b")[0] == 2
    assert read_lines(log)[-2].startswith("Error: Invalid value for '--edges'")


@pytest.mark.parametrize(
    "name", ["folder", "file/run.log", "nul\0", "n" * 300, "signal.tif", "loop"]
)
def test_a_log_that_cannot_be_written_stops_before_the_work(cfzoo, sample, tmp_path, name):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("")
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "signal.tif").write_bytes(sample[0].read_bytes())
    code, out, err = cfzoo("classify", *sample, "-o", tmp_path / "o", "--log", tmp_path / name)
    assert (code, out) == (2, "")
    assert err.startswith("Error: ") and err.count("\n") == 1
    assert not (tmp_path / "o").exists()
    assert (tmp_path / "signal.tif").read_bytes() == sample[0].read_bytes()


def test_a_full_disk_at_the_log_does_not_cost_the_results(cfzoo, sample, tmp_path, monkeypatch):
    monkeypatch.setattr(run_log, "_is_log", lambda path: True)
    write = RunLog._write.__func__
    calls = []

    def fill(cls, text):
        calls.append(text)
        if len(calls) > 2 and cls._file is not None:
            cls._file.close()
            cls._file = open("/dev/full", "w")  # noqa: SIM115, PTH123
        write(cls, text)

    monkeypatch.setattr(RunLog, "_write", classmethod(fill))
    log = tmp_path / "run.log"
    code, out, err = cfzoo("classify", *sample, "-o", tmp_path / "o", "--log", log)
    assert code == 0 and out.startswith("299 points")
    assert err == f"The log {log} ends here: it cannot be written (No space left on device).\n"
    assert (tmp_path / "o" / "run.json").exists()


def test_controls_are_escaped(cfzoo, tmp_path):
    log = tmp_path / "run.log"
    cfzoo("classify", "a\x1b[2J\n2026", "b", "--log", log)
    assert "\x1b" not in log.read_text()
    read_lines(log)


def test_a_killed_run_shows_where_it_was(sample, tmp_path):
    code = (
        "from cfzoo.cli import main, terminal; from cfzoo.cli.terminal import progress\n"
        "progress.FIRST = progress.INTERVAL = 0.01; main()"
    )
    words = ["classify", *sample, "-o", tmp_path / "o", "-q", "--log", tmp_path / "run.log"]
    process = subprocess.Popen([sys.executable, "-c", code, *map(str, words)])
    log = tmp_path / "run.log"
    while not log.exists() or "of 299 points" not in log.read_text():
        assert process.poll() is None
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert "of 299 points" in read_lines(log)[-1]


@pytest.mark.slow
def test_compare_and_train_write_a_log(cfzoo, labelled_brains, make_artifact, tmp_path):
    data = labelled_brains / "data.yaml"
    words = [make_artifact(), "--data", data, "--no-shake", "--no-cost", "-o", tmp_path / "c"]
    assert cfzoo("compare", *words, "-q", "--log", tmp_path / "c.log")[0] == 0
    assert "linear on a" in read_lines(tmp_path / "c.log")
    words = ["plain3d", data, "-o", tmp_path / "t", "--epochs", 1, "--steps", 1, "--batch-size", 4]
    assert cfzoo("train", *words, "-q", "--log", tmp_path / "t.log") == (0, "", "")
    assert any(line.startswith("epoch 1/1: ") for line in read_lines(tmp_path / "t.log"))
