"""Tables of a report, independent of the format they are shown in."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from ...runtime.errors import InputError
from ..measures import DECISIONS, HIGHER, LOWER, MEASURES, PAIRED, RANKING

SCHEMA = "1"  # major version, before the dot
NEITHER, WORDS = 0, None  # like HIGHER and LOWER: a column where no value is better, or of text

COSTS = {
    "parameters": ("Parameters", LOWER),
    "mflop": ("Work a cube (MFLOP)", LOWER),
    "file_mb": ("File (MB)", LOWER),
    "points_per_s": ("Points a second", HIGHER),
    "peak_mb": ("Peak memory (MB)", LOWER),
    "training_seconds": ("Training (s)", LOWER),
    "training_memory_mb": ("Training memory (MB)", LOWER),
}
FIXED, SIGNED, WHOLE = "{:.3f}".format, "{:+.3f}".format, "{:,.0f}".format
SHORT = "{:.4g}".format
NOTHING = "–"


@dataclass(frozen=True)
class Cell:
    """A cell of a table.

    Attributes
    ----------
    text : str
    value : float or None
        Number that the column sorts by; None for text.
    interval, note : str
        Smaller texts below.
    best : bool
        Whether the text is emphasised.
    parts : mapping of str to float
        Numbers of the smaller texts; their names follow the column's heading in a spreadsheet.
    """

    text: str
    value: float | None = None
    interval: str = ""
    note: str = ""
    best: bool = False
    parts: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Table:
    """A table; its columns are (heading, HIGHER, LOWER, NEITHER or WORDS)."""

    caption: str
    columns: Sequence[tuple[str, int | None]]
    rows: Sequence[Sequence[Cell]]
    foot: Sequence[Cell] = ()


def build_tables(report: Mapping) -> dict[str, Table]:
    """Build every table that holds something, by name.

    Raises
    ------
    InputError
        The report has another schema.
    """
    if str(schema := report.get("schema")).split(".")[0] != SCHEMA:
        raise InputError(
            f"The report has schema {schema!r}; expected {SCHEMA}.x. Make it again with this cfzoo."
        )
    models = report["models"]
    names = [dataset["name"] for dataset in report["datasets"]]
    confusion = {key: (key.upper(), NEITHER) for key in ("tp", "fp", "fn", "tn")}
    costs = {k: v for k, v in COSTS.items() if any(m["cost"].get(k) is not None for m in models)}
    tables = {
        "datasets": _build_datasets(report["datasets"]),
        "models": _build_table(
            models,
            "What is compared. Runs: the seeds that the figures are means over.",
            {
                h: (WORDS, lambda m, k=h: Cell(m[k.lower()] or NOTHING))
                for h in ("About", "File", "Digest")
            }
            | _number_columns({"runs": ("Runs", NEITHER)}, None, WHOLE),
        ),
        "ranking": _build_table(
            models,
            "Ranking and probabilities, which need no threshold.",
            _number_columns(_headings(RANKING), "measures"),
        ),
        "decisions": _build_table(
            models,
            "Decisions at each model's threshold.",
            {"Threshold": (NEITHER, _threshold_cell)}
            | _number_columns(_headings(DECISIONS), "measures")
            | _number_columns(confusion, "confusion", WHOLE),
        ),
    }
    for key in (*RANKING, *DECISIONS):
        rows = [
            {
                "name": model["name"],
                "datasets": {n: (v or {}).get(key) for n, v in model["per_dataset"].items()},
            }
            for model in models
        ]
        headings = {name: (name, MEASURES[key].way) for name in names}
        columns = _number_columns(headings, "datasets")
        tables[f"dataset {key}"] = _build_table(rows, f"{MEASURES[key].heading}.", columns)
    tables["pairs"] = _build_pairs(report["pairs"])
    cost_columns = _number_columns(costs, "cost", _format_short)
    tables["cost"] = _build_table(models, "What the models cost.", cost_columns)
    tables["robustness"] = _build_robustness(models, report["robustness_units"])
    return {name: table for name, table in tables.items() if _has_content(table)}


def _has_content(table: Table) -> bool:
    return any(cell.text != NOTHING for row in table.rows for cell in row[1:])


def _headings(measures: Iterable[str]) -> dict[str, tuple[str, int]]:
    return {key: (MEASURES[key].heading, MEASURES[key].way) for key in measures}


def _number_columns(
    headings: Mapping[str, tuple[str, int]], part: str | None = None, show: Callable = FIXED
) -> dict[str, tuple[int, Callable[[Mapping], Cell]]]:
    """Make columns for `_build_table` of the numbers in a part of each item.

    ``headings`` is key of the number -> (heading, which way is better).
    """

    def column(key: str) -> Callable[[Mapping], Cell]:
        return lambda item: _number_cell(((item[part] or {}) if part else item).get(key), show)

    return {heading: (way, column(key)) for key, (heading, way) in headings.items()}


def _build_table(
    items: Sequence[Mapping], caption: str, columns: Mapping, first: str = "Model"
) -> Table:
    """Build a row for each item; columns are heading -> (which way is better, item to cell)."""
    cells = [_mark_best([cell(item) for item in items], way) for way, cell in columns.values()]
    rows = list(zip([Cell(item["name"]) for item in items], *cells, strict=True))
    heads = {first: WORDS} | {heading: way for heading, (way, _) in columns.items()}
    lower = [heading for heading, way in heads.items() if way == LOWER]
    has_higher = HIGHER in heads.values()
    if len(items) > 1 and (lower or has_higher):
        caption += f" Bold is best; {'lower' if lower else 'higher'} is better"
        caption += f" in {', '.join(lower)}." if lower and has_higher else "."
    return Table(caption, list(heads.items()), rows)


def _mark_best(cells: Sequence[Cell], way: int | None) -> list[Cell]:
    """Mark the best cell, and all cells with the same text."""
    values = [cell.value for cell in cells if cell.value is not None]
    if not way or len(cells) < 2 or not values:
        return list(cells)
    best = max(values, key=lambda value: value * way)
    texts = {cell.text for cell in cells if cell.value == best}
    return [replace(cell, best=cell.text in texts) for cell in cells]


def _build_datasets(datasets: Sequence[Mapping]) -> Table:
    total = {key: sum(d[key] for d in datasets) for key in ("candidates", "cells", "edge")}
    items = [
        {**d, "share": d["cells"] / d["candidates"] if d["candidates"] else None}
        for d in (*datasets, {"name": "all", **total})
    ]
    columns = (
        _number_columns(
            {"candidates": ("Candidates", NEITHER), "cells": ("Cells", NEITHER)}, None, WHOLE
        )
        | _number_columns({"share": ("Share of cells", NEITHER)})
        | _number_columns({"edge": ("At a face", NEITHER)}, None, WHOLE)
    )
    table = _build_table(items, "Labelled candidates that the figures are of.", columns, "Data set")
    return replace(table, rows=table.rows[:-1], foot=table.rows[-1] if len(datasets) > 1 else ())


def _threshold_cell(model: Mapping) -> Cell:
    """Show the threshold of the probability, and that of the score behind it, if any."""
    cell, score = (
        _number_cell(model["threshold"], SHORT),
        _number_cell(model.get("score_threshold")),
    )
    if score.value is None:
        return cell
    parts = {"of the score": score.value}
    parts |= {f"of the score, {key}": value for key, value in score.parts.items()}
    return replace(cell, interval=f"score {score.text}", note=score.interval, parts=parts)


def _build_pairs(pairs: Sequence[Mapping]) -> Table:
    figures = {key: MEASURES[key].heading for key in PAIRED}
    tests = {"delong_p": "p of AUC (DeLong)", "mcnemar_p": "p of decisions (McNemar)"}

    def difference(figure: Mapping | None) -> Cell:
        cell, family = _number_cell(figure, SIGNED), _family(figure)
        low, high = ((family or figure or {}).get(key) or 0 for key in ("low", "high"))
        cell = replace(cell, best=low * high > 0)
        if not family or not (together := _number_cell(family, SIGNED)).interval:
            return cell
        parts = {f"{key} of all pairs": value for key, value in together.parts.items()}
        return replace(cell, note=f"all: {together.interval}", parts={**cell.parts, **parts})

    def test(pair: Mapping, key: str) -> Cell:
        cell, corrected = (_number_cell(pair.get(k), _format_p) for k in (key, f"{key}_holm"))
        if corrected.value is None:
            return cell
        return replace(cell, note=f"all: {corrected.text}", parts={"of all pairs": corrected.value})

    rows = [
        [
            *(Cell(pair[key]) for key in "ab"),
            *(difference(pair.get(key)) for key in figures),
            *(test(pair, key) for key in tests),
        ]
        for pair in pairs
    ]
    caption = "A minus B; of the log loss, less is better."
    if any(_family(pair.get(key)) for pair in pairs for key in figures):
        caption += (
            " Below a difference are its 95 % interval and, as all, the wider one with which the "
            f"intervals of all {len(pairs)} pairs hold together (Bonferroni, for each measure by "
            "itself); bold if it leaves out zero."
        )
    else:
        caption += " Bold: the interval leaves out zero."
    if any(pair.get(f"{key}_holm") is not None for pair in pairs for key in tests):
        caption += (
            " Below a p-value, as all, is the one that Holm's method corrects for the number of "
            "pairs."
        )
    numbers = [(heading, NEITHER) for heading in (*figures.values(), *tests.values())]
    return Table(caption, [("A", WORDS), ("B", WORDS), *numbers], rows)


def _family(figure: Mapping | None) -> dict | None:
    """Return the figure with the interval that holds together with those of all pairs."""
    if not figure or figure.get("family_low") is None:
        return None
    return {"value": figure["value"], "low": figure["family_low"], "high": figure["family_high"]}


def _build_robustness(models: Sequence[Mapping], units: Mapping[str, str]) -> Table:
    tested = [model for model in models if model["robustness"]]
    rows = [
        [
            Cell(change),
            Cell(units.get(change.rpartition(" ")[0], "")),
            *_mark_best([_number_cell(m["robustness"].get(change)) for m in tested], HIGHER),
        ]
        for change in dict.fromkeys(change for m in tested for change in m["robustness"])
    ]
    heads = (("Change", WORDS), ("Unit", WORDS), *((m["name"], NEITHER) for m in tested))
    return Table("AUC on changed data. Bold is the best of a row.", heads, rows)


def _number_cell(figure: Mapping | float | None, show: Callable[[float], str] = FIXED) -> Cell:
    """Show {"value", "low", "high"} or a plain number; a dash if it is missing or not finite."""
    numbers = figure if isinstance(figure, Mapping) else {"value": figure}
    finite = {
        key: number
        for key in ("value", "low", "high")
        if (number := numbers.get(key)) is not None and math.isfinite(number)
    }
    if "value" not in finite:
        return Cell(NOTHING)
    texts = {key: show(number).replace("-", "−") for key, number in finite.items()}
    if len(finite) < 3:
        return Cell(texts["value"], finite["value"])
    interval = f"{texts['low']} to {texts['high']}"
    parts = {key: finite[key] for key in ("low", "high")}
    return Cell(texts["value"], finite["value"], interval, parts=parts)


def _format_short(value: float) -> str:
    """Write three digits, or all digits before the point."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _format_p(value: float) -> str:
    return f"{value:.3f}" if value >= 0.001 else "< 0.001"
