"""The page of a cohort in a real browser."""

import pytest

from cfzoo.runtime.options import Options
from cfzoo.runtime.parts import Request
from cfzoo.workflows.cohort import Brain, Plan, Record
from cfzoo.workflows.cohort.outliers import find_outliers
from cfzoo.workflows.cohort.page import render_page

pytestmark = pytest.mark.slow
CELLS = {"m1": 40, "m2": 44, "m10": 42, "m3": 38, "m4": 41, "odd <b>": 4}


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    folder = tmp_path_factory.mktemp("page")
    plans, records = [], []
    for number, (name, cells) in enumerate({**CELLS, "lost": 0}.items()):
        brain = Brain(name, Request("v.tif", "p.xml", options=Options()), {"group": f"g{number}"})
        plans.append(Plan(brain, folder / name, "", "", 100, (100,), 0, 0, None))
        if name == "lost":
            records.append(Record(name, failure="</script><b>no</b>"))
            continue
        counts = {"points": 100, "cells": cells, "no_cells": 100 - cells}
        at_least = tuple(100 - n if n > 50 - cells else 100 for n in range(101))
        mean = cells / 100
        records.append(
            Record(
                name, "", counts, cells, mean, 0.5, "like", 0.5, "linear 1.0.0", at_least, ("hm",)
            )
        )
    page = folder / "index.html"
    page.write_text(render_page("co & co", ["group"], plans, records, find_outliers(records)))
    return page.as_uri()


def names(page):
    return page.locator("tbody tr td:first-child").all_inner_texts()


def test_rows_sort_and_counts_follow_the_threshold(visit):
    page = visit()
    assert page.locator("h1").inner_text() == "co & co"
    assert names(page) == [*CELLS, "lost"]
    assert page.locator("#total").inner_text() == "209 cells in all"
    page.get_by_role("button", name="Brain").click()
    assert names(page) == ["lost", "m1", "m2", "m3", "m4", "m10", "odd <b>"]
    page.get_by_role("button", name="Cells").click()
    assert names(page)[0] == "odd <b>" and names(page)[-1] == "lost"
    page.get_by_role("button", name="Cells").click()
    assert names(page)[0] == "m2" and names(page)[-1] == "lost"
    assert page.locator("th", has_text="Cells").get_attribute("aria-sort") == "descending"
    page.locator("#shared").check()
    page.locator("#threshold").fill("70")
    assert page.locator("#value").inner_text() == "0.70"
    assert page.locator("#total").inner_text() == f"{30 * 6} cells in all"
    assert page.locator("tr", has_text="m10").locator("td").nth(3).inner_text() == "30"
    assert page.locator("tr", has_text="m10").locator("rect.above").count() == 8  # of 25 bins
    assert page.locator("tr.out").count() == 2
    assert "share of cells is low" in page.locator("tr", has_text="odd <b>").inner_text()
    assert "Failed: </script><b>no</b>" in page.locator("tr", has_text="lost").inner_text()
    link = page.locator("tr", has_text="odd <b>").locator("a").get_attribute("href")
    assert link == "odd%20%3Cb%3E/points.csv"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_page_fits_a_phone(visit, scheme):
    page = visit(viewport={"width": 390, "height": 800}, color_scheme=scheme)
    assert page.evaluate("document.documentElement.scrollWidth - window.innerWidth") <= 0
