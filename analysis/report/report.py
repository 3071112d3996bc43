"""Predictions to the report: one dictionary, ready for JSON, that the pages are made from."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy.special import expit

from ...zoo.evaluation import CORRUPTIONS
from ..cost import Cost
from ..measures import curves, decision_counts, measure, over_datasets, reliability
from ..predictions import Predictions
from ..significance import delong, differences, mcnemar, pair_up

SCHEMA = "1.0"
INTERVALS = (
    "Each figure is the mean over the data sets, which count the same whatever their size. Beside "
    "it is a 95 % interval over brains such as these: whole data sets are drawn again (the cluster "
    "bootstrap, with Student's t for their small number), never single candidates."
)
ONE = "There is a single data set: figures are of it alone, and no interval over brains exists."
TESTS = (
    "In the pairs, differences are paired by data set. DeLong's and McNemar's p-values take the "
    "candidates of these data sets as given and independent, so they speak of these brains alone, "
    "and of the first run of each model."
)


@dataclass(frozen=True)
class Entrant:
    """What is known of a model besides its answers.

    Attributes
    ----------
    about : str
        One line.
    threshold : float or None
        Of the probability; None for a score that is none.
    file, digest : str or None
    cost : Cost or None
    training_seconds, training_memory_mb : float or None
        Of one training: s, and the most memory of its process, MiB.
    robustness : mapping of str to float, or None
        Change -> mean AUC.
    curves : mapping or None
        Columns ``epoch``, ``loss`` and, with validation, ``val_loss``.
    """

    about: str = ""
    threshold: float | None = 0.5
    file: str | None = None
    digest: str | None = None
    cost: Cost | None = None
    training_seconds: float | None = None
    training_memory_mb: float | None = None
    robustness: Mapping[str, float] | None = None
    curves: Mapping[str, Sequence[float] | None] | None = None


def report_of(
    predictions: Predictions,
    entrants: Mapping[str, Entrant],
    *,
    title: str,
    command: str,
    notes: Sequence[str] = (),
    gallery: Sequence[Mapping[str, Any]] = (),
) -> dict[str, Any]:
    """Every number of the comparison.

    Parameters
    ----------
    predictions : Predictions
        Probabilities are the logistic function of its margins, as they are.
    entrants : mapping
        Of each model in ``predictions``, in the order of the report.
    gallery : sequence
        Of `cfzoo.analysis.report.candidate_gallery`.
    """
    names, several = predictions.names, len(predictions.names) > 1
    rows = {name: predictions.rows(name) for name in names}
    per_dataset = {
        model: {name: _mean_of_runs(predictions, model, rows[name], entrant) for name in names}
        for model, entrant in entrants.items()
    }
    return {
        "schema": SCHEMA,
        "title": title,
        "command": command,
        "notes": [*notes, INTERVALS if several else ONE, TESTS],
        "datasets": [
            {
                "name": name,
                "candidates": len(rows[name]),
                "cells": int(predictions.labels[rows[name]].sum()),
                "edge": int(predictions.edge[rows[name]].sum()),
            }
            for name in names
        ],
        "models": [
            {"name": model, **_described(predictions, model, entrant, per_dataset[model])}
            for model, entrant in entrants.items()
        ],
        "robustness_units": {kind: corruption.unit for kind, corruption in CORRUPTIONS.items()},
        "pairs": [
            _compared(predictions, a, b, entrants, per_dataset) for a, b in pair_up(list(entrants))
        ],
        "gallery": list(gallery),
    }


def _mean_of_runs(
    predictions: Predictions, model: str, rows: np.ndarray, entrant: Entrant
) -> dict[str, float]:
    labels = predictions.labels[rows]
    each = [measure(labels, run[rows], entrant.threshold) for run in predictions.margin[model]]
    shared = set(each[0]).intersection(*each)
    return {key: float(np.mean([row[key] for row in each])) for key in each[0] if key in shared}


def _described(
    predictions: Predictions, model: str, entrant: Entrant, per_dataset: Mapping[str, Any]
) -> dict[str, Any]:
    labels, margin = predictions.labels, predictions.margin[model][0]
    cost: dict[str, Any] = asdict(entrant.cost) if entrant.cost else {}
    cost["training_seconds"] = entrant.training_seconds
    cost["training_memory_mb"] = entrant.training_memory_mb
    described = {
        "about": entrant.about,
        "file": entrant.file,
        "digest": entrant.digest,
        "threshold": entrant.threshold,
        "runs": len(predictions.margin[model]),
        "measures": over_datasets(per_dataset),
        "per_dataset": per_dataset,
        "confusion": None,
        "counts": None,
        "roc": None,
        "pr": None,
        "reliability": None,
        "robustness": entrant.robustness,
        "cost": cost,
        "curves": entrant.curves,
    }
    if 0 < labels.sum() < len(labels):
        described |= curves(labels, margin)
    if entrant.threshold is not None:
        probability = expit(margin)
        guess = probability >= entrant.threshold
        described["confusion"] = {
            "tp": int((guess & (labels == 1)).sum()),
            "fp": int((guess & (labels == 0)).sum()),
            "tn": int((~guess & (labels == 0)).sum()),
            "fn": int((~guess & (labels == 1)).sum()),
        }
        described["counts"] = decision_counts(labels, probability)
        described["reliability"] = reliability(labels, probability)
    return described


def _compared(
    predictions: Predictions,
    a: str,
    b: str,
    entrants: Mapping[str, Entrant],
    per_dataset: Mapping[str, Mapping[str, Any]],
) -> dict[str, Any]:
    labels = predictions.labels
    first, second = predictions.margin[a][0], predictions.margin[b][0]
    cuts = [entrants[name].threshold for name in (a, b)]
    both = None not in cuts
    return {
        "a": a,
        "b": b,
        **differences(per_dataset[a], per_dataset[b]),
        "delong_p": delong(labels, first, second, predictions.dataset),
        "mcnemar_p": mcnemar(labels == 1, expit(first) >= cuts[0], expit(second) >= cuts[1])
        if both
        else None,
    }
