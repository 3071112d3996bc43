"""Cards and pages show the stored results."""

import json
from pathlib import Path

import pytest

from cfzoo.analysis.report import render_markdown
from cfzoo.runtime.artifact import bundled, read_artifact

ROOT = Path(__file__).resolve().parent.parent


def test_memory_does_not_grow_with_the_volume():
    """tests/test_site.py checks that the pages show these figures."""
    rows = json.loads((ROOT / "benchmarks" / "memory.json").read_text())
    peak = {(row["volume"], row["gigabytes"]): row["peak_mb"] for row in rows}
    for kind in ("TIFF", "zarr"):
        assert peak[kind, 20] < 1.1 * peak[kind, 1]


def test_cards_and_comparison_show_the_stored_reports():
    page = json.loads((ROOT / "docs" / "comparison" / "report.json").read_text())
    shown = {model["name"]: model for model in page["models"]}
    for name in bundled():
        report = json.loads((ROOT / "benchmarks" / "crossval" / f"{name}.json").read_text())
        card = read_artifact(bundled()[name]).card
        for key in ("network", "contrast", "robustness_auc"):
            assert card.metrics[key] == report[key], name
        assert card.temperature == round(report["temperature"], 4)
        for block, row in shown[name]["per_dataset"].items():
            # The table has six digits of each margin, which may tie two candidates.
            assert row["auc"] == pytest.approx(report["network"][block]["auc"], abs=1e-5)
        assert f"| {name} |" in (ROOT / "docs" / "comparison" / "report.md").read_text()


def test_maps_in_cards_and_docs_are_the_stored_figures(script):
    module = script("benchmarks/explain.py")
    models = json.loads(module.STORED.read_text())
    assert models.keys() == bundled().keys()
    for name, figures in models.items():
        card = read_artifact(bundled()[name]).card
        assert figures["version"] == card.version
        metrics = json.loads(json.dumps(module.card_metrics(figures)))
        assert {key: card.metrics[key] for key in metrics} == metrics
        # Both maps point at the cell more often than chance, and change the answers more.
        for kind in ("grad_cam", "relevance"):
            assert figures["pointing"][kind] > 5 * figures["pointing"]["random voxel"]
            row, random = figures["called cells"][kind], figures["called cells"]["random"]
            assert row["deletion"] < random["deletion"] < random["insertion"] + 0.1
            assert row["insertion"] > random["insertion"]
    assert module.maps_table(models) in (ROOT / "docs" / "explaining.md").read_text()


def test_the_comparison_follows_from_the_stored_predictions(script):
    """One command, no training: `python benchmarks/compare.py`."""
    module = script("benchmarks/compare.py")
    report = json.loads(json.dumps(module.make_report()))
    stored = json.loads((ROOT / "docs" / "comparison" / "report.json").read_text())
    assert_close(report, stored)
    assert render_markdown(stored) == (ROOT / "docs" / "comparison" / "report.md").read_text()


def assert_close(a, b, path=""):
    """Check that reports are equal except for the last digits of a fit on another computer."""
    if isinstance(a, dict):
        assert a.keys() == b.keys(), path
        for key in a:
            assert_close(a[key], b[key], f"{path}.{key}")
    elif isinstance(a, list):
        assert len(a) == len(b), path
        for i, (x, y) in enumerate(zip(a, b, strict=True)):
            assert_close(x, y, f"{path}[{i}]")
    elif isinstance(a, float):
        assert a == pytest.approx(b, abs=1e-4, rel=1e-4), path
    elif isinstance(a, int):
        assert abs(a - b) <= 1, path
    else:
        assert a == b, path


def test_ensemble_is_no_worse_than_its_best_member():
    """Its average precision is no lower; nor, within 0.002, is its log-loss any higher."""
    page = json.loads((ROOT / "docs" / "comparison" / "report.json").read_text())
    measures = {model["name"]: model["measures"] for model in page["models"]}
    members = [measures[name] for name in bundled()]
    best = max(member["average_precision"]["value"] for member in members)
    assert measures["ensemble"]["average_precision"]["value"] >= best
    least = min(member["log_loss"]["value"] for member in members)
    assert measures["ensemble"]["log_loss"]["value"] <= least + 0.002


def test_performance_page_shows_the_stored_figures(script):
    """`python benchmarks/performance_page.py` makes it; the figures keep its promises."""
    module = script("benchmarks/performance_page.py")
    figures = json.loads((ROOT / "benchmarks" / "speed.json").read_text())
    assert module.render(figures) == (ROOT / "docs" / "performance.md").read_text()
    runs = figures["runs"]
    assert not any(runs["same_labels"]["differing"])
    most = runs["cellfinder"]["peak_mb"]["value"] / 5
    assert all(
        runs[f"resnet50 {b}"]["peak_mb"]["value"] < most for b in ("openvino", "onnxruntime")
    )
    for kind in ("points", "planes"):  # a hundred times as many
        first, *_, last = figures["growth"][kind]
        assert last["peak_mb"]["value"] < 1.5 * first["peak_mb"]["value"]
