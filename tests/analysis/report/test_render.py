"""The page and the Markdown of a report: figures, structure, hostile text."""

import re
import sys
from itertools import pairwise
from pathlib import Path

import matplotlib
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from report_page import Page, embedded_counts

from cfzoo.analysis.report import render_html, render_markdown
from cfzoo.runtime.errors import InputError


@pytest.fixture(scope="module")
def text(_whole_report):
    """The page of the unchanged report."""
    return render_html(_whole_report)


def test_same_report_gives_the_same_bytes_in_any_user_style(report, text):
    with matplotlib.rc_context({"font.size": 30, "axes.facecolor": "red", "axes.grid": False}):
        assert render_html(report) == text
    assert render_markdown(report) == render_markdown(report)


def test_sections_headings_and_ids(text):
    page = Page(text)
    levels = [int(tag[1]) for tag, _ in page.tags if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(b - a <= 1 for a, b in pairwise(levels))
    ids = [attrs["id"] for _, attrs in page.tags if "id" in attrs]
    assert len(ids) == len(set(ids))
    links = [attrs["href"][1:] for attrs in page.attributes("a")]
    assert links == [attrs["id"] for attrs in page.attributes("h2")]
    targets = re.findall(r'(?:url\(#|href="#)([^")]+)', text)
    assert targets and set(targets) <= set(ids)


def test_nothing_is_fetched(text):
    page = Page(text)
    assert not re.search(r"@import|url\((?!#)|<iframe|<object", text)
    for _, attrs in page.tags:
        for name in ("src", "href", "srcset"):
            assert attrs.get(name, "#").startswith(("#", "data:"))
    assert "default-src 'none'" in text


def test_accessible_names(text):
    page = Page(text)
    assert all(attrs["alt"] for attrs in page.attributes("img"))
    assert all("aria-label" in a or "aria-hidden" in a for a in page.attributes("svg"))
    assert all("scope" in attrs for attrs in page.attributes("th"))
    assert len(page.attributes("caption")) == len(page.attributes("table"))


def test_figures_with_intervals_and_the_best_in_bold(report, text):
    rows = Page(text).table_rows("results")
    auc = report["models"][0]["measures"]["auc"]
    expected = f"{auc['value']:.3f} {auc['low']:.3f} to {auc['high']:.3f}"
    assert rows[1][:2] == ["attention3d", expected]
    for key in ("auc", "log_loss"):
        values = [m["measures"][key]["value"] for m in report["models"]]
        best = (max if key == "auc" else min)(values)
        assert f"<strong>{best:.3f}</strong>" in text
        assert all(f"<strong>{v:.3f}</strong> <small>" not in text for v in values if v != best)


def test_equal_numbers_after_rounding_are_all_best(report):
    for model, value in zip(report["models"], (0.9101, 0.9104, 0.9, 0.8), strict=True):
        model["measures"]["auc"] = {"value": value, "low": None, "high": None}
    text = render_markdown(report)
    assert text.count("| **0.910** |") == 2


def test_markdown_has_all_figures(report):
    text = render_markdown(report)
    for model in report["models"]:
        assert model["name"] in text
        for figure in model["measures"].values():
            assert f"{figure['low']:.3f} to {figure['high']:.3f}".replace("-", "−") in text
        for measures in model["per_dataset"].values():
            assert all(f"{value:.3f}" in text for value in measures.values())
        for count in model["confusion"].values():
            assert f"{count:,}" in text
        assert all(f"{value:.3f}" in text for value in model["robustness"].values())
        assert f"{model['cost']['parameters']:,}" in text
    for pair in report["pairs"]:
        assert f"{pair['log_loss']['value']:+.3f}".replace("-", "−") in text
        assert f"{pair['mcnemar_p']:.3f}" in text
    assert "{" not in text and "None" not in text
    # In a table all rows have the columns of its head.
    for block in re.findall(r"(?:^\|.*\n)+", text, re.M):
        assert len({line.count("|") for line in block.splitlines()}) == 1
    assert report["command"] in text


def test_a_difference_is_bold_if_its_interval_excludes_zero(report):
    pair = report["pairs"][0]
    pair["auc"] = {"value": 0.02, "low": 0.001, "high": 0.04}
    pair["average_precision"] = {"value": 0.02, "low": -0.001, "high": 0.04}
    pair["log_loss"] = {"value": -0.02, "low": -0.04, "high": -0.001}
    pair["delong_p"], pair["mcnemar_p"] = 1e-9, None
    row = next(line for line in render_markdown(report).splitlines() if "+0.001 to" in line)
    cells = [cell.split("<br>")[0].strip() for cell in row.strip("|").split("|")]
    assert cells[2:] == ["**+0.020**", "+0.020", "**−0.020**", "&lt; 0.001", "–"]


HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)>\"'&|`$x$*"


def test_hostile_text_is_escaped(report):
    model = report["models"][0]
    report["title"] = report["command"] = model["name"] = model["about"] = HOSTILE
    report["notes"].append(HOSTILE)
    report["gallery"][0]["cubes"][0]["dataset"] = HOSTILE
    report["gallery"][0]["cubes"][0]["image"] = '"><script>alert(3)</script>'
    report["robustness_units"]["gain"] = HOSTILE
    report["models"][1]["robustness"][f"{HOSTILE} 2"] = 0.9
    text = render_html(report)
    assert len(re.findall("<script", text)) == len(re.findall("</script", text)) == 2
    assert not [a for a in Page(text).attributes("img") if "onerror" in a]
    assert embedded_counts(text)[0]["name"] == HOSTILE
    words = render_markdown(report)
    # Only the command is not escaped; it is in a fence.
    assert "<script" not in words.split("## Made by")[0]


def test_markdown_escapes(report):
    report["notes"] = ["# no heading", "1. no list", "- nor *here*", "0.5 a | b_c ~~d~~", "---"]
    report["command"] = "echo '````'"
    lines = render_markdown(report).splitlines()
    for line in ("\\# no heading", "1\\. no list", "\\- nor \\*here\\*", "\\---"):
        assert line in lines
    assert "0.5 a \\| b\\_c \\~\\~d\\~\\~" in lines
    assert lines[-3:] == ["`````", "echo '````'", "`````"]


def test_counts_for_the_slider_are_embedded(report, text):
    for counts, model in zip(embedded_counts(text), report["models"], strict=True):
        assert counts == {k: model[k] for k in ("name", "threshold", "confusion", "counts")}


def test_refuses_another_schema(report):
    report["schema"] = "2.0"
    with pytest.raises(InputError, match=r"'2.0'; expected 1\.x"):
        render_html(report)


def test_results_come_before_descriptions(report, text):
    titles = [attrs["id"] for attrs in Page(text).attributes("h2")]
    assert titles[0] == "results" and titles[-4:] == ["data", "models", "notes", "command"]
    words = render_markdown(report)
    assert words.index("## Results") < words.index("## Data") < words.index("## Notes")
    assert words.index("## Notes") < words.index(report["notes"][0])


def test_differences_of_many_pairs_show_both_intervals(report):
    for pair in report["pairs"]:
        for key in ("auc", "average_precision", "log_loss"):
            pair[key] |= {"low": 0.01, "high": 0.03, "family_low": -0.02, "family_high": 0.06}
        pair["delong_p_holm"], pair["mcnemar_p_holm"] = 0.5, None
    report["pairs"][0]["auc"]["family_low"] = 0.002
    words = render_markdown(report).split("## Differences")[1].split("##")[0]
    assert "+0.010 to +0.030<br>all: −0.020 to +0.060" in words
    assert "<br>all: 0.500" in words and "all 6 pairs" in words and "Holm" in words
    # Only the interval that holds with all others decides what is bold.
    assert [cell.strip() for cell in re.findall(r"\*\*[^*]+\*\*<br>[^|]+", words)] == [
        next(cell.strip() for cell in words.split("|") if "all: +0.002 to +0.060" in cell)
    ]
    assert "all: −0.020 to +0.060" in render_html(report)


def test_the_threshold_of_a_score_stands_in_its_row(report):
    report["models"][3]["threshold"] = 0.5
    report["models"][3]["score_threshold"] = {"value": 0.25, "low": 0.2, "high": 0.3}
    report["models"][2]["threshold"] = None
    report["models"][2]["score_threshold"] = {"value": 0.125, "low": None, "high": None}
    rows = [line for line in render_markdown(report).split("\n") if "score 0." in line]
    assert rows[0].split("|")[2].strip() == "–<br>score 0.125"
    assert rows[1].split("|")[2].strip() == "0.5<br>score 0.250<br>0.200 to 0.300"


def test_a_single_data_set_has_corrected_p_values_and_no_intervals(report):
    for pair in report["pairs"]:
        for key in ("auc", "average_precision", "log_loss"):
            pair[key] = {"value": 0.1, "low": None, "high": None}
            pair[key] |= {"family_low": None, "family_high": None}
        pair["delong_p_holm"] = 0.5
    words = render_markdown(report).split("## Differences")[1].split("##")[0]
    assert "Bonferroni" not in words and "Holm" in words and "all: 0.500" in words
    assert "**" not in words
