"""cfzoo train in processes of its own: a signal, and two processes."""

import csv
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from brain_files import SHORT, list_files

from cfzoo.runtime.artifact import read_artifact


@pytest.mark.slow
@pytest.mark.parametrize(
    ("signal_number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)], ids=["TERM", "INT"]
)
def test_a_stopped_command_says_how_to_resume(cfzoo, brains, tmp_path, signal_number, code):
    options = ["train", "plain3d", brains / "train.yaml", "-o", tmp_path / "run", "--epochs", 500]
    words = [sys.executable, "-c", "from cfzoo.cli import main; main()", *map(str, options)]
    command = subprocess.Popen(
        [*words, "--steps", "1"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    while not command.stdout.readline().startswith("epoch 2/"):
        assert command.poll() is None
    command.send_signal(signal_number)
    _, err = command.communicate(timeout=60)
    assert command.returncode == code
    assert "The same command resumes" in err
    assert "Traceback" not in err
    assert "plain3d-1.0.0.onnx" not in list_files(tmp_path / "run")
    epoch = len((tmp_path / "run" / "metrics.csv").read_text().splitlines()) - 1
    # The rest would take long; the first line shows whether training resumed.
    command = subprocess.Popen([*words, "--steps", "1"], stdout=subprocess.PIPE, text=True)
    for line in command.stdout:
        if line.startswith("epoch "):
            break
    command.kill()
    command.communicate()
    assert line.startswith((f"epoch {epoch}/500", f"epoch {epoch + 1}/500"))


@pytest.mark.slow
def test_two_processes_train_one_network(brains, tmp_path):
    """As on several GPUs, here on the CPU; only the first process writes."""
    options = ["train", "plain3d", brains / "both.yaml", "--validation", "two", *SHORT]
    hardware = ["--device", "cpu", "--devices", 2, "-o", tmp_path / "run"]
    script = tmp_path / "train.py"  # the second process runs it again, by its path
    script.write_text("from cfzoo.cli import main\nmain()\n")
    words = [sys.executable, script, *map(str, [*options, *hardware])]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    result = subprocess.run(words, capture_output=True, text=True, env=environment, timeout=300)
    assert result.returncode == 0, result.stderr
    assert result.stdout.count("epoch 1/2") == 1
    with (tmp_path / "run" / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["1", "2"]
    assert np.isfinite([float(v) for row in rows for v in row.values()]).all()
    assert read_artifact(tmp_path / "run" / "plain3d-1.0.0.onnx").card.name == "plain3d"
