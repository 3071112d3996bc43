"""Predictions to the report: one dictionary, ready for JSON, that the pages are made from."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy.special import expit

from ...zoo.evaluation import CORRUPTIONS
from ..cost import Cost
from ..measures import (
    Figure,
    curves,
    decision_counts,
    measure,
    measure_decisions,
    over_datasets,
    reliability,
)
from ..predictions import Predictions
from ..significance import delong, differences, holm, mcnemar, pair_up

SCHEMA = "1.1"
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
class ModelFacts:
    """Facts about a model besides its answers.

    Attributes
    ----------
    about : str
        One line.
    threshold : float or None
        Probability from which a candidate is a cell; None for a score that is not a probability.
    score_threshold : dict or None
        Of a score that is not a probability by itself: ``value``, the score from which a candidate
        is a cell, and the lowest and highest over the data sets as ``low`` and ``high``. It
        decides where there is no ``threshold``.
    file, digest : str or None
    cost : Cost or None
    training_seconds, training_memory_mb : float or None
        Duration (s) and peak memory (MiB) of one training.
    robustness : mapping of str to float, or None
        Change -> mean AUC.
    curves : mapping or None
        Columns ``epoch``, ``loss`` and, with validation, ``val_loss``.
    """

    about: str = ""
    threshold: float | None = 0.5
    score_threshold: Figure | None = None
    file: str | None = None
    digest: str | None = None
    cost: Cost | None = None
    training_seconds: float | None = None
    training_memory_mb: float | None = None
    robustness: Mapping[str, float] | None = None
    curves: Mapping[str, Sequence[float] | None] | None = None


def build_report(
    predictions: Predictions,
    facts: Mapping[str, ModelFacts],
    *,
    title: str,
    command: str,
    notes: Sequence[str] = (),
    gallery: Sequence[Mapping[str, Any]] = (),
) -> dict[str, Any]:
    """Compute every number of a comparison.

    Parameters
    ----------
    predictions : Predictions
        Probabilities are the logistic function of its margins, without further calibration.
    facts : mapping of str to ModelFacts
        One for each model in ``predictions``, in the order of the report.
    gallery : sequence
        Pictures from `cfzoo.analysis.report.candidate_gallery`.
    """
    names = predictions.names
    rows = {name: predictions.rows(name) for name in names}
    per_dataset = {
        model: {name: _mean_of_runs(predictions, model, rows[name], fact) for name in names}
        for model, fact in facts.items()
    }
    pairs = pair_up(list(facts))
    compared = [_compare_pair(predictions, a, b, facts, per_dataset, len(pairs)) for a, b in pairs]
    if len(pairs) > 1:
        for key in ("delong_p", "mcnemar_p"):
            corrected = holm([pair[key] for pair in compared])
            for pair, p in zip(compared, corrected, strict=True):
                pair[f"{key}_holm"] = p
    return {
        "schema": SCHEMA,
        "title": title,
        "command": command,
        "notes": [*notes, INTERVALS if len(names) > 1 else ONE, TESTS],
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
            {"name": model, **_describe_model(predictions, model, fact, per_dataset[model])}
            for model, fact in facts.items()
        ],
        "robustness_units": _list_units(facts.values()),
        "pairs": compared,
        "gallery": list(gallery),
    }


def _list_units(facts: Iterable[ModelFacts]) -> dict[str, str]:
    """Return the units of the corruptions that were tried on any model, or else of all."""
    tried = {name.split()[0] for fact in facts for name in fact.robustness or ()}
    return {k: c.unit for k, c in CORRUPTIONS.items() if k in tried or not tried}


def _mean_of_runs(
    predictions: Predictions, model: str, rows: np.ndarray, facts: ModelFacts
) -> dict[str, float]:
    """Average each measure that all runs of a model have, on one data set."""
    labels = predictions.labels[rows]
    runs = []
    for margin in predictions.margin[model]:
        values = measure(labels, margin[rows], facts.threshold)
        if facts.threshold is None and (decision := _decide(margin[rows], facts)) is not None:
            values |= measure_decisions(labels, decision)
        runs.append(values)
    shared = set(runs[0]).intersection(*runs)
    return {key: float(np.mean([run[key] for run in runs])) for key in runs[0] if key in shared}


def _decide(margin: np.ndarray, facts: ModelFacts) -> np.ndarray | None:
    """Return whether each candidate is called a cell, (N,) bool; None without any threshold."""
    if facts.threshold is not None:
        return expit(margin) >= facts.threshold
    if facts.score_threshold is not None:
        return margin >= facts.score_threshold["value"]
    return None


def _describe_model(
    predictions: Predictions, model: str, facts: ModelFacts, per_dataset: Mapping[str, Any]
) -> dict[str, Any]:
    labels, margin = predictions.labels, predictions.margin[model][0]
    cost: dict[str, Any] = asdict(facts.cost) if facts.cost else {}
    cost["training_seconds"] = facts.training_seconds
    cost["training_memory_mb"] = facts.training_memory_mb
    fields = {
        "about": facts.about,
        "file": facts.file,
        "digest": facts.digest,
        "threshold": facts.threshold,
        "score_threshold": facts.score_threshold,
        "runs": len(predictions.margin[model]),
        "measures": over_datasets(per_dataset),
        "per_dataset": per_dataset,
        "confusion": None,
        "counts": None,
        "roc": None,
        "pr": None,
        "reliability": None,
        "robustness": facts.robustness,
        "cost": cost,
        "curves": facts.curves,
    }
    if 0 < labels.sum() < len(labels):
        fields |= curves(labels, margin)
    if (decision := _decide(margin, facts)) is not None:
        fields["confusion"] = {
            "tp": int((decision & (labels == 1)).sum()),
            "fp": int((decision & (labels == 0)).sum()),
            "tn": int((~decision & (labels == 0)).sum()),
            "fn": int((~decision & (labels == 1)).sum()),
        }
    if facts.threshold is not None:
        probability = expit(margin)
        fields["counts"] = decision_counts(labels, probability)
        fields["reliability"] = reliability(labels, probability)
    return fields


def _compare_pair(
    predictions: Predictions,
    a: str,
    b: str,
    facts: Mapping[str, ModelFacts],
    per_dataset: Mapping[str, Mapping[str, Any]],
    pair_count: int,
) -> dict[str, Any]:
    labels = predictions.labels
    margin_a, margin_b = (predictions.margin[name][0] for name in (a, b))
    decision_a, decision_b = _decide(margin_a, facts[a]), _decide(margin_b, facts[b])
    mcnemar_p = None
    if decision_a is not None and decision_b is not None:
        mcnemar_p = mcnemar(labels == 1, decision_a, decision_b)
    return {
        "a": a,
        "b": b,
        **differences(per_dataset[a], per_dataset[b], pair_count),
        "delong_p": delong(labels, margin_a, margin_b, predictions.dataset),
        "mcnemar_p": mcnemar_p,
    }
