"""Figures in the README are those of the stored results."""

import json
from pathlib import Path

from cfzoo.runtime.artifact import bundled, read_artifact
from cfzoo.runtime.job import DEFAULT_MODELS

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
    metrics = read_artifact(bundled()[DEFAULT_MODELS[1]]).card.metrics
    network, contrast = metrics["network"]["mean"], metrics["contrast"]["mean"]
    text = " ".join(README.split())
    assert (
        f"mean AUC of {network['auc']:.2f} and average precision of "
        f"{network['average_precision']:.2f}; a trivial contrast score reaches "
        f"{contrast['auc']:.2f} and {contrast['average_precision']:.2f}" in text
    )


def test_cards_and_comparison_show_the_stored_reports():
    page = (ROOT / "docs" / "comparison.md").read_text()
    for name in bundled():
        report = json.loads((ROOT / "benchmarks" / "crossval" / f"{name}.json").read_text())
        metrics = read_artifact(bundled()[name]).card.metrics
        for key in ("network", "contrast", "robustness_auc"):
            assert metrics[key] == report[key], name
        row = report["network"]
        cells = " | ".join(f"{row[block]['auc']:.3f}" for block in report["contrast"])
        assert f"| {name} | {cells} |" in page
