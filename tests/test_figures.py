"""Figures in the README are those of the stored results."""

import json
from pathlib import Path

from cfzoo.runtime.artifact import bundled, read_artifact

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text()


def test_memory():
    rows = json.loads((ROOT / "benchmarks" / "memory.json").read_text())
    peak = {(row["volume"], row["gigabytes"]): row["peak_mb"] for row in rows}
    for kind, label in (("TIFF", "TIFF"), ("zarr", "zarr, chunks of 32 x 250 x 250")):
        one, twenty = peak[kind, 1], peak[kind, 20]
        assert f"| {label} | {one:.0f} MB | {twenty:.0f} MB |" in README
        assert twenty < 1.1 * one  # the promise itself


def test_accuracy_of_the_default_model():
    metrics = read_artifact(bundled()["plain3d"]).card.metrics
    network, contrast = metrics["network"]["mean"], metrics["contrast"]["mean"]
    text = " ".join(README.split())
    assert (
        f"mean AUC of {network['auc']:.2f} and average precision of "
        f"{network['average_precision']:.2f}; a trivial contrast score reaches "
        f"{contrast['auc']:.2f} and {contrast['average_precision']:.2f}" in text
    )
