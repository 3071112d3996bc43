"""The card of a trained network: what it was made from, and what was measured."""

import json
import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import expit
from torch import nn

from ...runtime.artifact import Card
from ...runtime.errors import ArtifactError, InputError
from ..data import LabelledCubes
from ..evaluation import choose_threshold, fit_temperature, ranking_metrics
from ..recipe import WORDS, Recipe
from .fit import margins
from .journal import Row, best_of

LIBRARIES = ("torch", "lightning", "numpy", "safetensors", "scikit-learn")
NAMES = ("name", "version", *WORDS)  # may differ between a recipe and its cross-validation


def card_of(
    recipe: Recipe,
    cubes: Sequence[LabelledCubes],
    validation: Sequence[LabelledCubes],
    entries: Sequence[Mapping[str, Any]],
    seed: int,
    *,
    parent: str = "",
    command: str = "",
    report: Mapping[str, Any] | None = None,
) -> Card:
    """The card as far as it is known before training.

    Parameters
    ----------
    entries : sequence of mappings
        The data sets, as their data file lists them.
    parent : str
        The weights that training starts from.
    command : str
        That makes the same network again.
    report : mapping, optional
        Of `crossval` with the same recipe: its measures and its temperature.

    Raises
    ------
    InputError
        The report is none, or of another recipe.
    """
    training = {
        "recipe": recipe.to_dict(),
        "data": list(entries),
        "seed": seed,
        "counts": {c.name: _counts(c) for c in (*cubes, *validation)},
        "split": _split(cubes, validation),
        "command": command,
    }
    measured = {} if report is None else _checked(report, recipe)
    libraries = {name: version(name) for name in LIBRARIES}
    try:
        return recipe.card(
            temperature=round(measured.pop("temperature", 1.0), 4),
            training=training,
            metrics=measured,
            environment={"python": platform.python_version(), **libraries},
            parent=parent,
        )
    except (ArtifactError, TypeError) as error:  # the report's temperature
        raise InputError(f"No card can be made of this report: {error}") from None


def validation_scores(
    network: nn.Module,
    recipe: Recipe,
    validation: Sequence[LabelledCubes],
    rows: Sequence[Row],
    threshold: float = 0.0,
) -> dict[str, Any]:
    """Scores on the validation data, for the card's metrics.

    Parameters
    ----------
    validation : sequence of LabelledCubes
        At least one.
    threshold : float
        Of the logit of a cell less that of no cell, from which on F1 counts a cell.
    """
    found = {
        c.name: ranking_metrics(c.labels, margins(network, recipe, c), threshold)
        for c in validation
    }
    if len(found) > 1:
        keys = next(iter(found.values()))
        found["mean"] = {k: float(np.mean([row[k] for row in found.values()])) for k in keys}
    return {"epoch": best_of(rows) + 1, "epochs_trained": len(rows), "validation": found}


def fitted(
    network: nn.Module,
    recipe: Recipe,
    validation: Sequence[LabelledCubes],
    rule: str = "",
    kept: float | None = None,
) -> tuple[float, float]:
    """Temperature and threshold for the card, by the validation data; they count the same.

    Parameters
    ----------
    validation : sequence of LabelledCubes
        At least one.
    rule : str
        For the threshold, see `cfzoo.zoo.evaluation.thresholds`; 0.5 without one.
    kept : float, optional
        Temperature that is known already.
    """
    margin = np.concatenate([margins(network, recipe, cubes) for cubes in validation])
    labels = np.concatenate([cubes.labels for cubes in validation])
    groups = np.repeat(np.arange(len(validation)), [len(cubes) for cubes in validation])
    found = kept or round(fit_temperature(labels, margin, groups), 4)
    if not rule:
        return found, 0.5
    return found, choose_threshold(labels, expit(margin / found), rule)


def _split(cubes: Sequence[LabelledCubes], validation: Sequence[LabelledCubes]) -> str:
    used = ", ".join(c.name for c in cubes)
    if not validation:
        return f"the weights saw all data sets: {used}"
    held = ", ".join(c.name for c in validation)
    return (
        f"trained on {used}; the epoch with the best mean average precision on {held} was kept, "
        "so the figures of validation are a little optimistic"
    )


def _counts(cubes: LabelledCubes) -> dict[str, int]:
    return {"cells": int(cubes.labels.sum()), "no_cells": int((cubes.labels == 0).sum())}


def read_report(path: Path) -> dict[str, Any]:
    """A report of `crossval`; whether it fits a recipe is seen by `card_of`.

    Raises
    ------
    InputError
        It cannot be read, or is none.
    """
    try:
        report = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise InputError(f"The report {path} cannot be read ({reason}).") from None
    if not isinstance(report, dict) or not isinstance(report.get("recipe"), dict):
        raise InputError(f"{path} is no report of a cross-validation; expected crossval's JSON.")
    return report


def _checked(report: Mapping[str, Any], recipe: Recipe) -> dict[str, Any]:
    made_with, ours = Recipe.from_dict(report["recipe"]).to_dict(), recipe.to_dict()
    differing = [k for k in ours if k not in NAMES and made_with[k] != ours[k]]
    if differing:
        raise InputError(
            f"The cross-validation was made with another recipe ({', '.join(differing)}); its "
            "numbers would not describe these weights. Run crossval again, with this recipe."
        )
    return {k: v for k, v in report.items() if k not in ("recipe", "counts", "loss")}
