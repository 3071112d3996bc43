"""The benchmarks still run with the package, on a small part of what they measure."""

from pathlib import Path

import numpy as np
import pytest

from cfzoo.runtime.points import read_points

ROOT = Path(__file__).resolve().parent.parent
CROP = ROOT.parent / "shared" / "data" / "cellfinder_crop"


@pytest.mark.parametrize("name", sorted(p.stem for p in (ROOT / "benchmarks").glob("*.py")))
def test_benchmarks_import(script, name, monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    script(f"benchmarks/{name}.py")


@pytest.mark.slow
def test_stages_measures_points_per_second(script, monkeypatch):
    stages = script("benchmarks/stages.py")
    monkeypatch.setattr(stages, "SECONDS", 0.1)
    monkeypatch.setattr(stages, "GEMM", 64)
    zyx = np.clip(read_points(CROP / "cells.xml").zyx, (10, 13, 13), (20, 495, 652))
    folders = (CROP / "signal", CROP / "background")
    result = stages.measure({"a": "attention3d"}, ("openvino",), folders, zyx, 1, "cpu", print)
    row = result["models"]["a openvino"]
    assert row["channels"] == 1 and all(v["value"] > 0 for v in row["points_per_s"].values())
