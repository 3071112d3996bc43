"""Measures of accuracy in a card, in the form that hubs list."""

from collections.abc import Mapping
from typing import Any

from ...runtime.artifact import Card

# Key in a card's metrics -> (role of the data, as BioImage.IO calls it; description).
TABLES = {
    "network": ("test", "left out of training"),
    "validation": ("validation", "held out to choose by"),
}
# Key of a measure -> (short name, description).
MEASURES = {
    "auc": ("AUC", "Area under the receiver operating characteristic"),
    "average_precision": ("AP", "Average precision, the area under precision over recall"),
    "f1": ("F1", "Harmonic mean of precision and recall at the threshold"),
    "fpr_at_95": ("FPR at 95", "Share of no cells called cells where 95 % of the cells are found"),
    "fpr_at_99": ("FPR at 99", "Share of no cells called cells where 99 % of the cells are found"),
}


def metric_tables(card: Card) -> dict[str, dict[str, dict[str, float]]]:
    """Return kind -> data set -> key in `MEASURES` -> value, 0 to 1; the mean comes last."""
    tables = {}
    for kind in TABLES:
        rows = card.metrics.get(kind)
        if not isinstance(rows, Mapping):
            continue
        table = {
            name: {k: float(v) for k, v in row.items() if k in MEASURES and _is_number(v)}
            for name, row in sorted(rows.items(), key=lambda item: (item[0] == "mean", item[0]))
            if isinstance(row, Mapping)
        }
        if table := {name: row for name, row in table.items() if row}:
            tables[kind] = table
    return tables


def evaluation_rows(card: Card) -> dict[str, dict[str, Any]]:
    """Return kind -> the fields of a BioImage.IO evaluation that hold its measures."""
    counts = card.training.get("counts", {})
    evaluations = {}
    for kind, rows in metric_tables(card).items():
        keys = [k for k in MEASURES if all(k in row for row in rows.values())]
        evaluations[kind] = {
            "dataset_role": TABLES[kind][0],
            "sample_count": sum(int(sum(counts.get(name, {}).values())) for name in rows),
            "evaluation_factors": [name[:16] for name in rows],
            "evaluation_factors_long": [
                "mean over the data sets" if name == "mean" else f"data set {name}" for name in rows
            ],
            "metrics": [MEASURES[k][0] for k in keys],
            "metrics_long": [MEASURES[k][1] for k in keys],
            "results": [[round(row[k], 4) for row in rows.values()] for k in keys],
        }
    return evaluations


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
