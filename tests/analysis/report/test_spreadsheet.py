"""Tables of a report as CSV."""

import csv
import io

import pytest

from cfzoo.analysis.report.spreadsheet import render_csv
from cfzoo.analysis.report.tables import build_tables


def read(table) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(render_csv(table))))


def test_numbers_have_all_their_digits_and_intervals_columns_of_their_own(report):
    rows = read(build_tables(report)["ranking"])
    for row, model in zip(rows, report["models"], strict=True):
        assert row["Model"] == model["name"]
        auc = model["measures"]["auc"]
        ends = (float(row[key]) for key in ("AUC", "AUC low", "AUC high"))
        assert tuple(ends) == (auc["value"], auc["low"], auc["high"])


def test_every_table_is_read_back_with_as_many_values_in_each_row(report):
    for name, table in build_tables(report).items():
        lines = list(csv.reader(io.StringIO(render_csv(table))))
        assert len(lines) == 1 + len(table.rows) + bool(table.foot), name
        assert {len(line) for line in lines} == {len(lines[0])}, name
        assert len(set(lines[0])) == len(lines[0]), name


def test_totals_and_missing_values(report):
    report["models"][3]["measures"]["log_loss"] = None
    tables = build_tables(report)
    assert read(tables["datasets"])[-1]["Data set"] == "all"
    assert read(tables["datasets"])[-1]["Candidates"] == "7083"
    last = read(tables["ranking"])[-1]
    assert last["Log loss"] == last["Log loss low"] == ""
    assert read(tables["models"])[-1]["File"] == ""  # not the dash of the page


def test_differences_of_many_pairs_have_both_intervals_and_both_p_values(report):
    pair = report["pairs"][0]
    pair["auc"] |= {"family_low": -0.5, "family_high": 0.25}
    pair["delong_p_holm"] = 0.75
    row = read(build_tables(report)["pairs"])[0]
    assert (row["AUC low of all pairs"], row["AUC high of all pairs"]) == ("-0.5", "0.25")
    assert float(row["AUC low"]) == pair["auc"]["low"]
    assert row["p of AUC (DeLong) of all pairs"] == "0.75"


@pytest.mark.parametrize("name", ["=HYPERLINK(1)", "+1", "-1", "@x"])
def test_a_text_is_no_formula(report, name):
    report["models"][0]["name"] = name
    tables = build_tables(report)
    assert read(tables["ranking"])[0]["Model"] == f"'{name}"
    report["pairs"][0]["auc"]["value"] = -0.25  # a number is
    assert read(build_tables(report)["pairs"])[0]["AUC"] == "-0.25"
