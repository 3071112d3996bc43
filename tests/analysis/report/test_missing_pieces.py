"""Reports that lack some of their figures."""

import re
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from report_page import Page, embedded_counts

from cfzoo.analysis.report import render_html, render_markdown


def remove_extras(report):
    for model in report["models"]:
        model["robustness"] = model["curves"] = model["file"] = model["digest"] = None
        model["cost"] = dict.fromkeys(model["cost"])
    report["pairs"], report["gallery"], report["robustness_units"] = [], [], {}


def remove_values(report):
    for model in report["models"]:
        model["measures"] = dict.fromkeys(model["measures"])
        model["per_dataset"] = {name: dict.fromkeys(v) for name, v in model["per_dataset"].items()}
        model["robustness"] = dict.fromkeys(model["robustness"])
        if model["curves"]:
            model["curves"]["val_loss"] = None
    report["pairs"][0] |= dict.fromkeys(("auc", "average_precision", "log_loss", "delong_p"))


def remove_intervals(report):
    for model in report["models"]:
        for figure in (*model["measures"].values(), model["cost"]["points_per_s"]):
            figure["low"] = figure["high"] = None


def make_gaps(report):
    report["models"][0]["measures"]["auc"]["value"] = float("nan")
    report["models"][1]["per_dataset"].popitem()
    report["models"][2]["robustness"].pop("as it is")
    report["models"][3]["robustness"] = {"blur 2": 0.8, "gain 4": None}
    report["models"][0]["curves"]["val_loss"][3] = None
    report["models"][1]["curves"]["val_loss"] = [None] * 40
    report["models"][2]["reliability"] = {"probability": [], "observed": [], "count": []}


def remove_probabilities(report):
    """Make the last model a score that ranks but is not a probability."""
    nothing = ("threshold", "confusion", "counts", "reliability")
    report["models"][3] |= dict.fromkeys(nothing)
    report["models"][0] |= dict.fromkeys(("roc", "pr"))
    for measures in report["models"][3]["per_dataset"].values():
        del measures["f1"], measures["log_loss"]
    report["models"][2]["per_dataset"]["cfos-695"] = None
    del report["pairs"][0]["log_loss"]


def keep_one_label(report):
    nothing = ("threshold", "confusion", "counts", "roc", "pr", "reliability")
    for model in report["models"]:
        model |= dict.fromkeys(nothing)


def keep_one_model(report):
    report["models"], report["pairs"] = report["models"][:1], []


def keep_one_dataset(report):
    report["datasets"] = report["datasets"][:1]


@pytest.mark.parametrize(
    "change",
    [
        remove_extras,
        remove_values,
        remove_intervals,
        make_gaps,
        remove_probabilities,
        keep_one_label,
        keep_one_model,
        keep_one_dataset,
    ],
)
def test_missing_pieces(report, change):
    change(report)
    text, words = render_html(report), render_markdown(report)
    page = Page(text)
    links = [attrs["href"][1:] for attrs in page.attributes("a")]
    assert links == [attrs["id"] for attrs in page.attributes("h2")]
    for content in (re.sub(r"<script>.*?</script>", "", text, flags=re.S), words):
        assert not re.search(r"\b(None|nan|undefined)\b", content)
    if change is remove_extras:
        missing = {"pairs", "cost", "robustness", "training", "gallery"}
        assert not missing & set(links)
        assert "## Cost" not in words and "## Robustness" not in words
    if change is remove_values:
        assert "each" not in links and "–" in words
    if change is remove_probabilities:
        assert [model["name"] for model in embedded_counts(text)] == [
            "attention3d",
            "wavemix3d",
            "pipnet3d",
        ]
    if change is keep_one_label:
        assert not {"threshold", "curves", "reliability"} & set(links)
    if change is keep_one_model:
        assert "<strong>" not in text and "Bold is best" not in words.split("## Robust")[0]
    if change is keep_one_dataset:
        assert "<tfoot>" not in text and "| all |" not in words
