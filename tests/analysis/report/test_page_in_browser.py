"""The report in a real browser: the effects of its script and style."""

import re
from decimal import ROUND_HALF_UP, Decimal

import pytest

from cfzoo.analysis.report import render_html

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def address(_whole_report, tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(render_html(_whole_report), encoding="utf-8")
    return path.as_uri()


def expected_figures(model, k: int) -> dict[str, str]:
    """Return what the page must show for a model at the threshold k / 1000."""
    tp, fp = model["counts"]["tp"][k], model["counts"]["fp"][k]
    confusion = model["confusion"]
    fn, tn = confusion["tp"] + confusion["fn"] - tp, confusion["fp"] + confusion["tn"] - fp

    def ratio(a: int, b: int) -> str:
        # As JavaScript rounds; Python's format takes the even neighbour of a tie.
        exact = Decimal(a / b) if b else None
        return "–" if exact is None else str(exact.quantize(Decimal("0.001"), ROUND_HALF_UP))

    return {key: f"{value:,}" for key, value in dict(tp=tp, fp=fp, fn=fn, tn=tn).items()} | {
        "precision": ratio(tp, tp + fp),
        "recall": ratio(tp, tp + fn),
        "f1": ratio(2 * tp, 2 * tp + fp + fn),
        "specificity": ratio(tn, tn + fp),
        "fpr": ratio(fp, tn + fp),
    }


def read_figures(page) -> dict[str, str]:
    ids = ("tp", "fp", "fn", "tn", "precision", "recall", "f1", "specificity", "fpr")
    return {name: page.locator(f"#{name}").inner_text() for name in ids}


def test_the_slider_starts_at_the_models_threshold_and_follows_the_keys(visit, report):
    page, model = visit(), report["models"][0]
    assert read_figures(page) == expected_figures(model, 500)
    for key in ("tp", "fp", "fn", "tn"):  # as the table says
        assert read_figures(page)[key] == f"{model['confusion'][key]:,}"
    slider = page.get_by_label("Threshold", exact=True)
    slider.focus()
    page.keyboard.press("ArrowRight")
    assert read_figures(page) == expected_figures(model, 501)
    assert slider.get_attribute("aria-valuetext") == "0.501"
    page.keyboard.press("Home")
    assert read_figures(page) == expected_figures(model, 0)
    assert read_figures(page)["recall"] == "1.000"
    page.keyboard.press("End")
    assert read_figures(page) == expected_figures(model, 1000)
    for k in (7, 333, 502, 998):
        slider.fill(str(k))
        assert read_figures(page) == expected_figures(model, k)


def test_the_pointer_moves_the_slider(visit, report):
    page = visit()
    slider = page.get_by_label("Threshold", exact=True)
    slider.scroll_into_view_if_needed()
    box = slider.bounding_box()
    page.mouse.click(box["x"] + 0.8 * box["width"], box["y"] + box["height"] / 2)
    k = int(slider.input_value())
    assert 750 < k < 850
    assert read_figures(page) == expected_figures(report["models"][0], k)


def test_selecting_a_model_sets_its_threshold(visit, report):
    page = visit()
    for number, model in enumerate(report["models"]):
        page.get_by_label("Model", exact=True).select_option(index=number)
        k = round(model["threshold"] * 1000)
        assert page.get_by_label("Threshold", exact=True).input_value() == str(k)
        assert read_figures(page) == expected_figures(model, k)
        assert f"its own threshold is {model['threshold']}" in page.locator("#summary").inner_text()


def first_column(page, section: str) -> list[str]:
    box = page.locator(f"#{section} ~ .scroll").first
    return box.locator("tbody th").all_inner_texts()


@pytest.mark.parametrize("press", ["click", "Enter", "Space"])
def test_headers_sort_the_best_first_and_then_in_reverse(visit, report, press):
    page = visit()
    table = page.locator("#results ~ .scroll").first
    for heading, key, higher in (("AUC", "auc", True), ("Log loss", "log_loss", False)):
        head = table.get_by_role("columnheader", name=heading, exact=True)
        button = head.get_by_role("button")
        ranked = sorted(report["models"], key=lambda m: m["measures"][key]["value"], reverse=higher)
        names = [model["name"] for model in ranked]
        orders = ["descending", "ascending"] if higher else ["ascending", "descending"]
        for order, expected_names in zip(orders, (names, names[::-1]), strict=True):
            if press == "click":
                button.click()
            else:
                button.focus()
                page.keyboard.press(press)
            assert head.get_attribute("aria-sort") == order
            assert first_column(page, "results") == expected_names
        assert table.locator("th[aria-sort]").count() == 1  # only the last column sorts


def test_missing_values_sort_last_and_totals_stay(visit):
    page = visit()
    table = page.locator("#cost ~ .scroll").first
    for _ in range(2):
        table.get_by_role("button", name="Training (s)").click()
        assert first_column(page, "cost")[-1] == "contrast"
    data = page.locator("#data ~ .scroll").first
    data.get_by_role("button", name="Candidates").click()
    data.get_by_role("button", name="Candidates").click()
    numbers = data.locator("tbody td:nth-child(2)").all_inner_texts()
    assert numbers == ["2,758", "1,845", "1,349", "1,131"]
    assert data.locator("tfoot th").inner_text() == "all"


def test_names_sort_as_words(visit, report):
    page = visit()
    table = page.locator("#results ~ .scroll").first
    table.get_by_role("button", name="Model", exact=True).click()
    assert first_column(page, "results") == sorted(m["name"] for m in report["models"])


def test_one_measure_of_each_data_set_is_shown_at_a_time(visit):
    page = visit()
    tables = page.locator("#each-tables table")
    assert tables.count() == 13
    assert [i for i in range(13) if tables.nth(i).is_visible()] == [0]
    page.get_by_label("Measure").select_option(label="F1")
    [caption] = [
        tables.nth(i).locator("caption").inner_text()
        for i in range(13)
        if tables.nth(i).is_visible()
    ]
    assert caption.startswith("F1.")


@pytest.mark.parametrize("width", [320, 390, 768, 1280])
def test_the_page_itself_does_not_scroll_sideways(visit, width):
    page = visit(viewport={"width": width, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    boxes = page.locator(".scroll:not(.off)")
    for i in range(boxes.count()):  # the keyboard reaches those that scroll
        scrolls = boxes.nth(i).evaluate("box => box.scrollWidth > box.clientWidth")
        assert boxes.nth(i).get_attribute("tabindex") == ("0" if scrolls else None)
    if width == 1280:
        assert page.locator(".scroll[tabindex]").count() == 0  # all fit on a laptop


LUMINANCE = """() => {
  const parse = (c) => c.match(/[\\d.]+/g).map(Number);
  const channel = (v) => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
  const light = ([r, g, b]) => 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
  const over = (top, below) => {
    const a = top.length > 3 ? top[3] : 1;
    return [0, 1, 2].map((i) => a * top[i] + (1 - a) * below[i]);
  };
  const behind = (element) => {
    const layers = [];
    for (let e = element; e; e = e.parentElement)
      layers.push(parse(getComputedStyle(e).backgroundColor));
    return layers.reverse().reduce((below, top) => over(top, below), [255, 255, 255]);
  };
  const ratio = (a, b) => (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
  let worst = 99, count = 0;
  for (const e of document.querySelectorAll("body *")) {
    const text = [...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim());
    if (!text || !e.getClientRects().length || e.matches("script, style, option")) continue;
    const style = getComputedStyle(e), colour = e.ownerSVGElement ? style.fill : style.color;
    worst = Math.min(worst, ratio(light(parse(colour)), light(behind(e))));
    count++;
  }
  return { worst, count, paper: light(parse(getComputedStyle(document.body).backgroundColor)) };
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_contrast_of_all_text(visit, scheme):
    contrast = visit(color_scheme=scheme).evaluate(LUMINANCE)
    assert contrast["paper"] > 0.9 if scheme == "light" else contrast["paper"] < 0.03
    assert contrast["count"] > 300
    assert contrast["worst"] >= 4.5


LINES = """() => [...document.querySelectorAll('.key')[0].querySelectorAll('line')]
  .map((line) => getComputedStyle(line).stroke)"""


def test_lines_change_colour_in_the_dark_and_match_between_key_and_plot(visit, report):
    light, dark = (visit(color_scheme=s).evaluate(LINES) for s in ("light", "dark"))
    assert len(set(light)) == len(set(dark)) == 4
    assert all(a != b for a, b in zip(light, dark, strict=True))
    plot = """() => [...document.querySelectorAll('.large svg')[0].querySelectorAll('path')]
      .map((path) => getComputedStyle(path).stroke)"""
    for scheme, colours in (("light", light), ("dark", dark)):
        assert set(colours) <= set(visit(color_scheme=scheme).evaluate(plot))


def test_print_shows_all_and_no_controls(visit):
    page = visit(color_scheme="dark", viewport={"width": 700, "height": 990})
    page.get_by_label("Model", exact=True).select_option(index=1)
    page.emulate_media(media="print")
    for name in ("#slider", "#model", "#measure", "nav"):
        assert not page.locator(name).is_visible()
    assert page.locator("#summary").inner_text().startswith("wavemix3d at the threshold 0.410")
    tables = page.locator("table")
    assert all(tables.nth(i).is_visible() for i in range(tables.count()))
    # A page of A4 within its margins is 700 wide: nothing sticks out.
    widest = page.evaluate(
        "Math.max(...[...document.querySelectorAll('table, svg, img')]"
        ".map((e) => e.getBoundingClientRect().right))"
    )
    assert widest <= 700
    assert page.evaluate(LUMINANCE)["paper"] == pytest.approx(1)  # white in dark mode too
    assert len(page.pdf(format="A4")) > 10_000


def test_pictures_are_drawn(visit):
    page = visit()
    sizes = page.evaluate("[...document.images].map((i) => i.complete && i.naturalWidth)")
    assert len(sizes) == 36
    assert set(sizes) == {25}


def test_without_javascript_all_tables_are_there(visit):
    page = visit(java_script_enabled=False)
    assert page.locator("#each-tables table").last.is_visible()
    assert not page.locator(".controls").first.is_visible()
    assert page.get_by_text("Needs JavaScript").is_visible()


def test_reports_with_some_and_without_any_thresholds(visit, report, tmp_path):
    report["models"][0] |= dict.fromkeys(("threshold", "confusion", "counts", "reliability"))
    path = tmp_path / "report.html"
    path.write_text(render_html(report), encoding="utf-8")
    page = visit(path.as_uri())
    assert read_figures(page) == expected_figures(report["models"][1], 410)
    for model in report["models"]:
        model |= dict.fromkeys(("threshold", "confusion", "counts", "roc", "pr", "reliability"))
    path.write_text(render_html(report), encoding="utf-8")
    assert visit(path.as_uri()).locator("#slider").count() == 0


def test_a_hostile_name_stays_text(visit, report, tmp_path):
    name = "</script><script>document.title = 'broken'</script><img src=x onerror=alert(1)>"
    report["models"][0]["name"] = report["title"] = name
    path = tmp_path / "report.html"
    path.write_text(render_html(report), encoding="utf-8")
    page = visit(path.as_uri())
    assert page.title() == name
    assert page.locator("h1").inner_text() == name
    assert page.locator("#summary").inner_text().startswith(f"{name} at the threshold 0.500")
    assert re.search(r"^\d", page.locator("#tp").inner_text())
