import json
import re
from html.parser import HTMLParser
from itertools import pairwise

import matplotlib
import pytest

from cfzoo.analysis.report import plots, render_html, render_markdown
from cfzoo.runtime.errors import InputError

VOID = {"meta", "link", "br", "img", "input"}


class Page(HTMLParser):
    """Tags in order, ids, and rows of cells by section of a page; tags must be closed."""

    def __init__(self, text: str):
        super().__init__()
        self.open_tags, self.tags, self.section, self.rows = [], [], "", {}
        self.feed(text)
        assert not self.open_tags

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag == "h2":
            self.section = dict(attrs)["id"]
        if tag == "tr":
            self.rows.setdefault(self.section, []).append([])
        if tag in ("th", "td"):
            self.rows[self.section][-1].append("")
        if tag not in VOID:
            self.open_tags.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open_tags.pop() == tag

    def handle_data(self, data):
        if {"th", "td"} & set(self.open_tags):
            self.rows[self.section][-1][-1] += data.strip() + " "

    def table_rows(self, section: str) -> list[list[str]]:
        return [[" ".join(cell.split()) for cell in row] for row in self.rows[section]]

    def attributes(self, tag: str) -> list[dict]:
        return [attrs for name, attrs in self.tags if name == tag]


@pytest.fixture(scope="module")
def text(_whole_report):
    """The page of the unchanged report."""
    return render_html(_whole_report)


def embedded_counts(text: str):
    return json.loads(re.search(r'id="counts">(.*?)</script>', text, re.S)[1])


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


def test_refuses_another_schema(report):
    report["schema"] = "2.0"
    with pytest.raises(InputError, match=r"'2.0'; expected 1\.x"):
        render_html(report)


def test_each_model_has_its_own_line_in_all_plots(report):
    svg = plots.draw_roc(report["models"])
    for number in range(4):
        assert f'class="series-{number}"' in svg
    lines = [str(plots.line_of_model(n)) for n in range(30)]
    assert len(set(lines)) == 30
    report["models"][0]["robustness"] = None  # the other models keep their lines
    for _, svg in plots.draw_robustness(report["models"], report["robustness_units"]):
        assert "series-0" not in svg and "series-3" in svg


def test_plots_take_their_colours_and_font_from_the_page(report):
    reliability = plots.draw_reliability(report["models"][0], 0)
    losses = plots.draw_losses(report["models"][0], 0)
    for svg in (plots.draw_roc(report["models"]), reliability, losses):
        assert not re.search(r"#[0-9a-f]{6}", svg)
        colours = set(re.findall(r"(?:stroke|fill): ([^;\"]+)", svg))
        assert colours == {"currentColor", "none"}
        assert "currentColor" in svg and "DejaVu" not in svg


def test_numbers_on_axes_are_not_rounded_with_the_drawing(report):
    for model in report["models"]:
        model["robustness"] = {"as it is": 0.9, "blur 0.125": 0.8}
    [(kind, svg)] = plots.draw_robustness(report["models"], {})
    assert kind == "blur" and ">0.125<" in svg


def test_unchanged_data_are_placed_by_their_level(report):
    by_kind = dict(plots.draw_robustness(report["models"], report["robustness_units"]))
    ticks = {kind: re.findall(r">([\d.]+)</text>", svg) for kind, svg in by_kind.items()}
    assert ticks["gain"][:5] == ["0.25", "0.5", "1", "2", "4"]
    assert ticks["offset"][:4] == ["0", "100", "500", "2000"]
