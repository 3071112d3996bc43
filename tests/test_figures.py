"""Figures in cards and pages equal the stored results."""

import json
from pathlib import Path

import pytest

from cfzoo.analysis.report import render_markdown
from cfzoo.runtime.artifact import bundled, read_artifact

ROOT = Path(__file__).resolve().parent.parent
COMPARED = {"attention3d", "pipnet3d", "wavemix3d"}  # cross-validated on the c-Fos blocks alone
LEFT_OUT = {"filters3d", "pyramid3d"}  # of several stains: a block or a stain left out
TWO_CHANNELS = {"filters3d-2ch"}  # on samples that are drawn


def test_memory_does_not_grow_with_the_volume():
    """The stored figures keep the promise; tests/test_site.py compares the pages with them."""
    rows = json.loads((ROOT / "benchmarks" / "results" / "memory.json").read_text())
    peak = {(row["volume"], row["gigabytes"]): row["peak_mb"] for row in rows}
    for kind in ("TIFF", "zarr"):
        assert peak[kind, 20] < 1.1 * peak[kind, 1]


def test_cards_and_comparison_equal_the_stored_reports():
    page = json.loads((ROOT / "docs" / "comparison" / "report.json").read_text())
    models = {model["name"]: model for model in page["models"]}
    assert bundled().keys() > COMPARED
    for name in COMPARED:
        report = json.loads((ROOT / "benchmarks" / "crossval" / f"{name}.json").read_text())
        card = read_artifact(bundled()[name]).card
        for key in ("network", "contrast", "robustness_auc"):
            assert card.metrics[key] == report[key], name
        assert card.temperature == round(report["temperature"], 4)
        for block, row in models[name]["per_dataset"].items():
            # The table has six digits of each margin, so two candidates may tie.
            assert row["auc"] == pytest.approx(report["network"][block]["auc"], abs=1e-5)
        assert f"| {name} |" in (ROOT / "docs" / "comparison" / "report.md").read_text()


def test_every_bundled_model_is_measured_in_one_of_three_ways():
    assert bundled().keys() == COMPARED | LEFT_OUT | TWO_CHANNELS


@pytest.mark.parametrize("name", sorted(TWO_CHANNELS))
def test_cards_of_two_channels_equal_the_stored_report(name):
    report = json.loads((ROOT / "benchmarks" / "results" / "two_channels.json").read_text())
    row, metrics = report[f"{name}, two channels"], read_artifact(name).card.metrics
    assert metrics["drawn_samples"] == row["sample"]["mean"]
    assert metrics["cellfinder_crop"] == {"cells_found": row["cellfinder_crop_found"]}


@pytest.mark.parametrize("name", sorted(LEFT_OUT))
def test_cards_of_models_for_several_stains_equal_the_stored_report(name):
    report = json.loads((ROOT / "benchmarks" / "results" / "stains.json").read_text())[name]
    metrics = read_artifact(name).card.metrics
    for kind in ("block left out", "stain left out"):
        assert metrics[kind.replace(" ", "_")] == report[kind]


def test_map_figures_in_cards_and_docs_equal_the_stored_ones(script):
    module = script("benchmarks/explain.py")
    models = json.loads(module.STORED.read_text())
    assert models.keys() == COMPARED
    for name, figures in models.items():
        card = read_artifact(bundled()[name]).card
        assert figures["version"] == card.version
        expected = json.loads(json.dumps(module.card_metrics(figures)))
        assert {key: card.metrics[key] for key in expected} == expected
        # Both maps find the cell, and change the answers, more than chance does.
        for kind in module.list_maps(name):
            assert figures["pointing"][kind] > 5 * figures["pointing"]["random voxel"]
            row, random = figures["called cells"][kind], figures["called cells"]["random"]
            assert row["deletion"] < random["deletion"] < random["insertion"] + 0.1
            assert row["insertion"] > random["insertion"]
    assert module.maps_table(models) in (ROOT / "docs" / "explaining.md").read_text()


def test_the_comparison_follows_from_the_stored_predictions(script):
    """One command, no training: `python benchmarks/compare.py`."""
    module = script("benchmarks/compare.py")
    report = json.loads(json.dumps(module.make_report()))
    expected = json.loads((ROOT / "docs" / "comparison" / "report.json").read_text())
    check_equal(report, expected)
    assert render_markdown(expected) == (ROOT / "docs" / "comparison" / "report.md").read_text()


def check_equal(result, expected, path=""):
    """Check that reports are equal, except the last digits of a fit on another computer."""
    if isinstance(result, dict):
        assert result.keys() == expected.keys(), path
        for key in result:
            check_equal(result[key], expected[key], f"{path}.{key}")
    elif isinstance(result, list):
        assert len(result) == len(expected), path
        for i, pair in enumerate(zip(result, expected, strict=True)):
            check_equal(*pair, f"{path}[{i}]")
    elif isinstance(result, float):
        assert result == pytest.approx(expected, abs=1e-4, rel=1e-4), path
    elif isinstance(result, int):
        assert abs(result - expected) <= 1, path
    else:
        assert result == expected, path


def test_the_second_reading_follows_from_the_stored_readings(script):
    """One command: `python benchmarks/second_reading.py merge`."""
    module = script("benchmarks/reading_figures.py")
    figures = module.make_figures()
    stored = (ROOT / "benchmarks" / "results" / "second_reading.json").read_text()
    check_equal(figures, json.loads(stored))
    page = (ROOT / "docs" / "findings.md").read_text()
    assert module.labels_table(figures) in page and module.scores_table(figures) in page
    # What the page says in words.
    clear, auc = figures["blocks"]["all"]["clear"], figures["blocks"]["all"]["auc"]
    assert clear["no_cells_labelled_cell"] == 0
    distance = 1 - figures["blocks"]["all"]["auc_against_labels"]["attention3d"]["value"]
    assert 1 - auc["attention3d"]["value"] < distance / 2
    assert figures["again"]["changed_side"] == 0


def test_the_ensemble_is_as_good_as_its_best_member():
    """Average precision is no lower; log-loss, fitted on other blocks, is almost as low."""
    page = json.loads((ROOT / "docs" / "comparison" / "report.json").read_text())
    measures = {model["name"]: model["measures"] for model in page["models"]}
    members = [measures[name] for name in COMPARED]
    best = max(member["average_precision"]["value"] for member in members)
    assert measures["ensemble"]["average_precision"]["value"] >= best
    lowest = min(member["log_loss"]["value"] for member in members)
    assert measures["ensemble"]["log_loss"]["value"] <= lowest + 0.002


def test_the_performance_page_equals_the_stored_figures(script):
    """`python benchmarks/performance_page.py` writes it; the figures keep its promises."""
    module = script("benchmarks/performance_page.py")
    speed = json.loads((ROOT / "benchmarks" / "results" / "speed.json").read_text())
    assert module.render(speed) == (ROOT / "docs" / "performance.md").read_text()
    runs = speed["runs"]
    assert not any(runs["same_labels"]["differing"])
    limit = runs["cellfinder"]["peak_mb"]["value"] / 5
    assert all(
        runs[f"resnet50 {b}"]["peak_mb"]["value"] < limit for b in ("openvino", "onnxruntime")
    )
    for kind in ("points", "planes"):  # a hundred times as many
        first, *_, last = speed["growth"][kind]
        assert last["peak_mb"]["value"] < 1.5 * first["peak_mb"]["value"]
