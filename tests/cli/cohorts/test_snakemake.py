"""The rules for Snakemake in the documentation."""

import re
import shutil
import subprocess

import pytest

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("snakemake") is None, reason="needs snakemake"),
]


def run(desk, *words):
    command = ("snakemake", "--cores", "2", "--nolock", *words)
    done = subprocess.run(
        command, cwd=desk.folder, env=desk.environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stderr


def test_the_rules_give_the_results_and_do_nothing_twice(desk, script_of):
    rules = script_of("python", 'BRAINS = ["mouse1", "mouse2", "mouse3"]')
    rules, n = re.subn(r"^BRAINS = .*", 'BRAINS = ["brain"]', rules)
    assert n == 1
    (desk.folder / "Snakefile").write_text(rules)
    (desk.folder / "cells.xml").rename(desk.folder / "brain.xml")
    run(desk)
    (desk.folder / "brain.xml").rename(desk.folder / "cells.xml")
    points = desk.folder / "results" / "brain" / "points.csv"
    assert points.read_bytes() == desk.plain_run()
    (desk.folder / "cells.xml").rename(desk.folder / "brain.xml")
    points.unlink()
    assert re.search(r"gather +1", run(desk)) and points.is_file()
