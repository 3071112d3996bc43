"""The script for SLURM in the documentation, run by bash as SLURM would run its tasks."""

import re
import shutil
import subprocess

import pytest

pytestmark = pytest.mark.slow


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_all_tasks_and_the_gathering_give_the_results(desk, script_of):
    script = script_of("bash", "#!/bin/bash")
    (desk.folder / "job.sh").write_text(script)
    tasks = re.search(r"#SBATCH --array=1-(\d+)", script)[1]
    assert tasks == "8"
    environment = desk.environment | {"SLURM_ARRAY_TASK_COUNT": "2"}  # so many are enough

    def run(*words, **variables):
        return subprocess.run(
            words, cwd=desk.folder, env=environment | variables, capture_output=True, text=True
        )

    for task in ("2", "1", "1"):  # the last was requeued
        done = run("bash", "job.sh", SLURM_ARRAY_TASK_ID=task)
        assert done.returncode == 0, done.stderr
    assert " 0 computed and 2 there before" in done.stdout
    assert (desk.folder / "spread" / "log-1.txt").exists()
    assert run("cfzoo", "gather", "spread").returncode == 0
    assert (desk.folder / "spread" / "points.csv").read_bytes() == desk.plain_run()
