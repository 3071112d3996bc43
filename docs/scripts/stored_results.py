"""The stored results of the benchmarks, and single numbers of them by path.

A path names a file of `RESULTS` or of benchmarks, then the keys that lead to a number:
``report/attention3d/auc``. In a list, a key selects the rows that contain it; ``mean``, ``sum``,
``min`` or ``max`` at the end reduces several numbers to one. ``A - B`` and ``A / B`` combine two
paths.
"""

import dataclasses
import importlib.util
import json
import statistics
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from cfzoo.runtime.artifact import bundled, read_artifact

DOCS = Path(__file__).resolve().parent.parent
BENCHMARKS = DOCS.parent / "benchmarks"
REDUCTIONS = {"mean": statistics.mean, "sum": sum, "min": min, "max": max}


def load_benchmark(name: str):
    """Load a file of benchmarks as a module."""
    path = BENCHMARKS / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"benchmarks_{name}", path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _read_report() -> dict:
    """Return the comparison, with each model's figures directly under its name."""
    report = json.loads((DOCS / "comparison" / "report.json").read_text(encoding="utf-8"))
    models = {}
    for model in report["models"]:
        measures = dict(model["measures"])
        models[model["name"]] = {
            **{name: measure["value"] for name, measure in measures.items()},
            **(model["cost"] or {}),
            "interval": measures,
            "each": model["per_dataset"],
            "changed": model["robustness"],
        }
    pairs = {f"{pair['a']} against {pair['b']}": pair for pair in report["pairs"]}
    return {**models, "datasets": report["datasets"], "pairs": pairs}


RESULTS: dict[str, Callable[[], Any]] = {
    "report": _read_report,
    "crossval": lambda: {
        path.stem: json.loads(path.read_text(encoding="utf-8"))
        for path in (BENCHMARKS / "crossval").glob("*.json")
    },
    "card": lambda: {
        name: dataclasses.asdict(read_artifact(path).card) for name, path in bundled().items()
    },
}


@cache
def read_results(name: str) -> Any:
    """Return the results of a name in `RESULTS`, or of a JSON file in benchmarks/results."""
    if name in RESULTS:
        return RESULTS[name]()
    return json.loads((BENCHMARKS / "results" / f"{name}.json").read_text(encoding="utf-8"))


def read_value(path: str) -> float:
    """Return the number at a path.

    Raises
    ------
    KeyError
        The path does not lead to a number.
    """
    for sign in (" - ", " / "):
        if sign in path:
            first, second = map(read_value, path.split(sign))
            return first - second if sign == " - " else first / second
    name, *keys = path.split("/")
    node = read_results(name)
    for key in keys:
        node = _descend(node, key)
    if not isinstance(node, (int, float)):
        raise KeyError(f"{path} is not a number")
    return node


def _descend(node: Any, key: str) -> Any:
    """Return the value of a key in a mapping, or what a key selects from a list."""
    if isinstance(node, Mapping):
        return node[key]
    if all(isinstance(row, (int, float)) for row in node):
        return REDUCTIONS[key](node)
    if all(key in row for row in node):
        return [row[key] for row in node]
    rows = [row for row in node if key in map(_format_cell, row.values())]
    return rows[0] if len(rows) == 1 else rows


def _format_cell(cell: Any) -> str:
    return f"{cell:g}" if isinstance(cell, float) else str(cell)
