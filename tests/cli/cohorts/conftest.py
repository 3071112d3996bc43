"""A brain, and `cfzoo` as a program, for the scripts of the documentation."""

import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from cfzoo.runtime import classify, read_points
from cfzoo.runtime.sample import VOXEL_SIZE, write_sample

PAGE = Path(__file__).parents[3] / "docs" / "howto" / "cohorts.md"


@dataclass(frozen=True)
class Desk:
    """A folder with brain.tif and cells.xml, and an environment in which `cfzoo` is a command."""

    folder: Path
    environment: dict[str, str]

    def plain_run(self):
        """The bytes of points.csv that one process gives."""
        points = read_points(self.folder / "cells.xml")
        results = classify(points, self.folder / "brain.tif", voxel_size=VOXEL_SIZE)
        results.save(self.folder / "plain.csv")
        return (self.folder / "plain.csv").read_bytes()


@pytest.fixture
def desk(tmp_path):
    write_sample(tmp_path)
    (tmp_path / "signal.tif").rename(tmp_path / "brain.tif")
    (tmp_path / "candidates.xml").rename(tmp_path / "cells.xml")
    shim = tmp_path / "bin" / "cfzoo"
    shim.parent.mkdir()
    shim.write_text(
        f"#!/bin/sh\nexec {sys.executable} -c 'from cfzoo.cli import main; main()' \"$@\"\n"
    )
    shim.chmod(0o755)
    return Desk(tmp_path, os.environ | {"PATH": f"{shim.parent}:{os.environ['PATH']}"})


@pytest.fixture(scope="session")
def script_of():
    """Call it with a language and a first line for that block of docs/howto/cohorts.md."""

    def find(language, first):
        block = rf"^```{{code-block}} {language}\n({re.escape(first)}\n.*?)^```$"
        return re.search(block, PAGE.read_text(encoding="utf-8"), re.M | re.S)[1]

    return find
