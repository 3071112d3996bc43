"""Tables and plots that the page of a report saves, in a real browser."""

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from cfzoo.analysis.report import plots, render_html
from cfzoo.analysis.report.spreadsheet import render_csv
from cfzoo.analysis.report.tables import build_tables

pytestmark = pytest.mark.slow
SPACE = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def address(_whole_report, tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(render_html(_whole_report), encoding="utf-8")
    return path.as_uri()


def save(page, button) -> tuple[str, str]:
    """Click a button and return the name and the text of the file that it saves."""
    with page.expect_download() as download:
        button.click()
    path = Path(download.value.path())
    return download.value.suggested_filename, path.read_bytes().decode()


def test_every_table_is_saved_as_csv(visit, report):
    page, tables = visit(viewport={"width": 480, "height": 900}), build_tables(report)
    buttons = page.get_by_role("button", name="Save as CSV")
    assert page.locator(".save", has_text="CSV").count() == len(tables)
    for number, name in enumerate(("ranking", "decisions", "pairs", "dataset auc")):
        file, text = save(page, buttons.nth(number))
        assert (file, text) == (f"{name.replace(' ', '-')}.csv", render_csv(tables[name]))


def test_plots_are_saved_as_svg_with_title_key_and_the_colours_of_paper(visit, report):
    page = visit(color_scheme="dark")  # the file is for paper all the same
    figures = page.locator(".plot")
    assert page.locator(".save", has_text="SVG").count() == figures.count() == 14
    names, inks = [m["name"] for m in report["models"]], plots.inks()
    for title, file, lines in (
        ("ROC", "roc.svg", ["series-0", "series-1", "series-2", "series-3", "quiet"]),
        ("wavemix3d", "reliability-wavemix3d.svg", ["series-1", "quiet"]),
        ("Blur", "robustness-blur.svg", ["series-0", "series-1", "series-2", "series-3"]),
    ):
        figure = page.locator(f".plot:has(figcaption:text-is('{title}'))").first
        name, text = save(page, figure.get_by_role("button"))
        assert name == file
        root = ElementTree.fromstring(text)
        words = [element.text for element in root.iter(f"{SPACE}text")]
        assert words.count(title) == 1  # letters stay letters
        has_key = title != "wavemix3d"
        assert [word for word in words if word in names] == (names if has_key else [title])
        assert not re.search(r"currentColor|system-ui|class=|var\(", text)
        colours = set(re.findall(r"#[0-9a-f]{6}", text))
        assert colours == {"#000000", *(inks[line] for line in lines)}
        fills = {e.attrib.get("fill") for e in root.iter(f"{SPACE}g")} - {None}
        assert fills == {inks[line] for line in lines}  # of markers
        _, _, width, height = map(float, root.attrib["viewBox"].split())
        assert root.attrib["width"] == f"{width:g}pt" and height > width / 2
        rows = [float(e.attrib["y2"]) for e in root.findall(f"{SPACE}line")]
        assert len(rows) == (4 if has_key else 0) and max(rows, default=0) < height - 18


def test_labels_and_bar_lie_on_the_thumbnail(visit, report, tmp_path):
    labels = {"planes": [["xy", 0], ["xz", 34], ["yz", 67]], "bar": 10, "bar_um": 20, "rows": []}
    report["gallery"][0]["cubes"][0]["labels"] = labels | {"rows": ["signal", "background"]}
    path = tmp_path / "report.html"
    path.write_text(render_html(report), encoding="utf-8")
    page = visit(path.as_uri(), viewport={"width": 480, "height": 900})
    picture = page.locator(".picture").first
    box, spans = picture.bounding_box(), picture.locator("span")
    texts = ["xy", "xz", "yz", "signal", "background", "20 um"]
    assert spans.all_inner_texts() == texts
    for number, share in enumerate((0, 0.34, 0.67)):
        left = spans.nth(number).bounding_box()["x"] - box["x"]
        assert left == pytest.approx(share * box["width"], abs=1)
    for span in spans.all():
        place = span.bounding_box()
        assert box["y"] - 1 <= place["y"] and place["x"] >= box["x"] - 1
        assert place["y"] + place["height"] <= box["y"] + box["height"] + 1
    bar = picture.locator(".bar").evaluate("e => getComputedStyle(e, '::before').width")
    assert float(bar[:-2]) == pytest.approx(0.1 * box["width"], abs=1)


def test_wide_tables_scroll_on_a_phone_and_show_it(visit):
    page = visit(viewport={"width": 480, "height": 900})
    box = page.locator("#results ~ .scroll").first
    assert box.evaluate("box => box.scrollWidth > box.clientWidth + 100")
    first = box.locator("tbody th").first
    before = first.bounding_box()["x"]
    box.evaluate("box => box.scrollTo(300, 0)")
    assert first.bounding_box()["x"] == before  # the name of the row stays
    assert box.evaluate("box => box.scrollLeft") == 300
    assert "local, scroll" in box.evaluate("box => getComputedStyle(box).backgroundAttachment")
