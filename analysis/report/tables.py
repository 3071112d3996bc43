"""The tables of a report, independent of how they are shown."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from ...runtime.errors import InputError

SCHEMA = "1"  # what is before the dot
HIGHER, LOWER, NEITHER, WORDS = 1, -1, 0, None  # which way a column is better; or it is text

# Heading of each figure, and which way it is better.
RANKING = {
    "auc": ("AUC", HIGHER),
    "average_precision": ("Average precision", HIGHER),
    "fpr_at_95": ("False-positive rate at 95 % recall", LOWER),
    "fpr_at_99": ("False-positive rate at 99 % recall", LOWER),
    "log_loss": ("Log loss", LOWER),
    "brier": ("Brier score", LOWER),
    "ece": ("Calibration error (ECE)", LOWER),
}
DECISIONS = {
    "precision": ("Precision", HIGHER),
    "recall": ("Recall", HIGHER),
    "f1": ("F1", HIGHER),
    "specificity": ("Specificity", HIGHER),
    "accuracy": ("Accuracy", HIGHER),
    "balanced_accuracy": ("Balanced accuracy", HIGHER),
}
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
NOTHING = "–"


@dataclass(frozen=True)
class Cell:
    """Text, the number that it sorts by (None: by its text), an interval, whether it is best."""

    text: str
    value: float | None = None
    interval: str = ""
    best: bool = False


@dataclass(frozen=True)
class Table:
    """Columns are (heading, HIGHER, LOWER, NEITHER or WORDS)."""

    caption: str
    columns: Sequence[tuple[str, int | None]]
    rows: Sequence[Sequence[Cell]]
    foot: Sequence[Cell] = ()


def tables_of(report: Mapping) -> dict[str, Table]:
    """All that there is something for, by name."""
    if str(schema := report.get("schema")).split(".")[0] != SCHEMA:
        raise InputError(
            f"The report has schema {schema!r}; expected {SCHEMA}.x. Make it again with this cfzoo."
        )
    models = report["models"]
    names = [dataset["name"] for dataset in report["datasets"]]
    confusion = {key: (key.upper(), NEITHER) for key in ("tp", "fp", "fn", "tn")}
    costs = {k: v for k, v in COSTS.items() if any(m["cost"].get(k) is not None for m in models)}
    made = {
        "datasets": _datasets(report["datasets"]),
        "models": _list(
            models,
            "What is compared. Runs: the seeds that the figures are means over.",
            {
                h: (WORDS, lambda m, k=h: Cell(m[k.lower()] or NOTHING))
                for h in ("About", "File", "Digest")
            }
            | _figures({"runs": ("Runs", NEITHER)}, None, WHOLE),
        ),
        "ranking": _list(
            models,
            "Ranking and probabilities, which need no threshold.",
            _figures(RANKING, "measures"),
        ),
        "decisions": _list(
            models,
            "Decisions at each model's threshold.",
            _figures({"threshold": ("Threshold", NEITHER)}, None, "{:.4g}".format)
            | _figures(DECISIONS, "measures")
            | _figures(confusion, "confusion", WHOLE),
        ),
    }
    for key, (label, way) in (RANKING | DECISIONS).items():
        found = [{n: (v or {}).get(key) for n, v in m["per_dataset"].items()} for m in models]
        rows = [{"name": m["name"], "by": by} for m, by in zip(models, found, strict=True)]
        columns = _figures({name: (name, way) for name in names}, "by")
        made[f"dataset {key}"] = _list(rows, f"{label}.", columns)
    made["pairs"] = _pairs(report["pairs"])
    made["cost"] = _list(models, "What the models cost.", _figures(costs, "cost", _short))
    made["robustness"] = _robustness(models, report["robustness_units"])
    told = {n for n, t in made.items() for row in t.rows for c in row[1:] if c.text != NOTHING}
    return {name: table for name, table in made.items() if name in told}


def _figures(
    labels: Mapping[str, tuple[str, int]], part: str | None = None, show: Callable = FIXED
) -> dict[str, tuple[int, Callable[[Mapping], Cell]]]:
    """Columns as `_list` takes them, of the figures under ``labels`` in a part of each item."""
    return {
        label: (way, lambda item, k=key: _cell(((item[part] or {}) if part else item).get(k), show))
        for key, (label, way) in labels.items()
    }


def _list(items: Sequence[Mapping], caption: str, columns: Mapping, first: str = "Model") -> Table:
    """A row an item; columns are heading: (which way is better, the cell of an item)."""
    cells = [_mark([cell(item) for item in items], way) for way, cell in columns.values()]
    rows = list(zip([Cell(item["name"]) for item in items], *cells, strict=True))
    heads = {first: WORDS} | {heading: way for heading, (way, _) in columns.items()}
    lower = [heading for heading, way in heads.items() if way == LOWER]
    mixed = HIGHER in heads.values()
    if len(items) > 1 and (lower or mixed):
        caption += f" Bold is best; {'lower' if lower else 'higher'} is better"
        caption += f" in {', '.join(lower)}." if lower and mixed else "."
    return Table(caption, list(heads.items()), rows)


def _mark(cells: Sequence[Cell], way: int | None) -> list[Cell]:
    """With the best marked, and all that read the same."""
    values = [cell.value for cell in cells if cell.value is not None]
    if not way or len(cells) < 2 or not values:
        return list(cells)
    best = max(values, key=lambda value: value * way)
    texts = {cell.text for cell in cells if cell.value == best}
    return [replace(cell, best=cell.text in texts) for cell in cells]


def _datasets(datasets: Sequence[Mapping]) -> Table:
    total = {key: sum(d[key] for d in datasets) for key in ("candidates", "cells", "edge")}
    items = [
        {**d, "share": d["cells"] / d["candidates"] if d["candidates"] else None}
        for d in (*datasets, {"name": "all", **total})
    ]
    columns = (
        _figures({"candidates": ("Candidates", NEITHER), "cells": ("Cells", NEITHER)}, None, WHOLE)
        | _figures({"share": ("Share of cells", NEITHER)})
        | _figures({"edge": ("At a face", NEITHER)}, None, WHOLE)
    )
    table = _list(items, "Labelled candidates that the figures are of.", columns, "Data set")
    return replace(table, rows=table.rows[:-1], foot=table.rows[-1] if len(datasets) > 1 else ())


def _pairs(pairs: Sequence[Mapping]) -> Table:
    figures = {"auc": "AUC", "average_precision": "Average precision", "log_loss": "Log loss"}
    tests = {"delong_p": "p of AUC (DeLong)", "mcnemar_p": "p of decisions (McNemar)"}

    def difference(figure: Mapping | None) -> Cell:
        low, high = ((figure or {}).get(key) or 0 for key in ("low", "high"))
        return replace(_cell(figure, SIGNED), best=low * high > 0)

    rows = [
        [
            *(Cell(pair[key]) for key in "ab"),
            *(difference(pair.get(key)) for key in figures),
            *(_cell(pair.get(key), _p) for key in tests),
        ]
        for pair in pairs
    ]
    caption = "A minus B; of the log loss, less is better. Bold: the interval leaves out zero."
    numbers = [(heading, NEITHER) for heading in (*figures.values(), *tests.values())]
    return Table(caption, [("A", WORDS), ("B", WORDS), *numbers], rows)


def _robustness(models: Sequence[Mapping], units: Mapping[str, str]) -> Table:
    shaken = [m for m in models if m["robustness"]]
    rows = [
        [
            Cell(key),
            Cell(units.get(key.rpartition(" ")[0], "")),
            *_mark([_cell(m["robustness"].get(key)) for m in shaken], HIGHER),
        ]
        for key in dict.fromkeys(key for m in shaken for key in m["robustness"])
    ]
    heads = (("Change", WORDS), ("Unit", WORDS), *((m["name"], NEITHER) for m in shaken))
    return Table("AUC on changed data. Bold is the best of a row.", heads, rows)


def _cell(figure: Mapping | float | None, show: Callable[[float], str] = FIXED) -> Cell:
    """Of {"value", "low", "high"} or of a plain number; what is missing or not finite is a dash."""
    parts = figure if isinstance(figure, Mapping) else {"value": figure}
    known = {k: v for k, v in parts.items() if v is not None and math.isfinite(v)}
    if "value" not in known:
        return Cell(NOTHING)
    texts = {key: show(value).replace("-", "−") for key, value in known.items()}
    interval = f"{texts['low']} to {texts['high']}" if len(known) == 3 else ""
    return Cell(texts["value"], known["value"], interval)


def _short(value: float) -> str:
    """Three digits, or all before the point."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _p(value: float) -> str:
    return f"{value:.3f}" if value >= 0.001 else "< 0.001"
