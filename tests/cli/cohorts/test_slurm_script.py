"""The script for SLURM in the documentation, run by bash as SLURM would run its tasks."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from cfzoo.runtime import classify, read_points
from cfzoo.runtime.sample import VOXEL_SIZE, write_sample

PAGE = Path(__file__).parents[3] / "docs" / "howto" / "cohorts.md"
pytestmark = pytest.mark.slow


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_all_tasks_and_the_gathering_give_the_results(tmp_path):
    write_sample(tmp_path)
    (tmp_path / "signal.tif").rename(tmp_path / "brain.tif")
    (tmp_path / "candidates.xml").rename(tmp_path / "cells.xml")
    script = re.search(
        r"^```{code-block} bash\n(#!/bin/bash\n.*?)^```$", PAGE.read_text(), re.M | re.S
    )
    (tmp_path / "job.sh").write_text(script[1])
    tasks = re.search(r"#SBATCH --array=1-(\d+)", script[1])[1]
    assert tasks == "8"
    shim = tmp_path / "bin" / "cfzoo"
    shim.parent.mkdir()
    shim.write_text(
        f"#!/bin/sh\nexec {sys.executable} -c 'from cfzoo.cli import main; main()' \"$@\"\n"
    )
    shim.chmod(0o755)
    environment = os.environ | {
        "PATH": f"{shim.parent}:{os.environ['PATH']}",
        "SLURM_ARRAY_TASK_COUNT": "2",  # so many processes are enough
    }

    def run(*words, **variables):
        return subprocess.run(
            words, cwd=tmp_path, env=environment | variables, capture_output=True, text=True
        )

    for task in ("2", "1", "1"):  # the last was requeued
        done = run("bash", "job.sh", SLURM_ARRAY_TASK_ID=task)
        assert done.returncode == 0, done.stderr
    assert " 0 computed and 2 there before" in done.stdout
    assert (tmp_path / "spread" / "log-1.txt").exists()
    assert run("cfzoo", "gather", "spread").returncode == 0
    points = read_points(tmp_path / "cells.xml")
    classify(points, tmp_path / "brain.tif", voxel_size=VOXEL_SIZE).save(tmp_path / "plain.csv")
    assert (tmp_path / "spread" / "points.csv").read_bytes() == (
        tmp_path / "plain.csv"
    ).read_bytes()
