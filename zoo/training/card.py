"""The card of a training: its data, recipe and cross-validation."""

import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from ...runtime.artifact import Card
from ...runtime.cubes import MEASURES, measure_appearance, usual_range
from ...runtime.errors import ArtifactError, InputError
from ..data import LabelledCubes
from ..document import read_document
from ..recipe import CARD_TEXTS, Recipe

LIBRARIES = ("torch", "lightning", "numpy", "safetensors", "scikit-learn")
APPEARANCE_CANDIDATES = 1000  # of each data set
# These fields may differ between a recipe and the recipe of its cross-validation.
NAMES = ("name", "version", *CARD_TEXTS)


def draft_card(
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
    """Return the card as far as it is known before training.

    Parameters
    ----------
    recipe : Recipe
    cubes, validation : sequences of LabelledCubes
        Data to train on, and to validate with.
    entries : sequence of mappings
        The data sets, as their data file lists them.
    seed : int
    parent : str
        Source of the initial weights.
    command : str
        Command that repeats the training.
    report : mapping, optional
        Report of `cross_validate` with the same recipe; the card takes its measures and its
        temperature.

    Raises
    ------
    InputError
        The report is not valid, or of another recipe.
    """
    training = {
        "recipe": recipe.to_dict(),
        "data": list(entries),
        "seed": seed,
        "counts": {c.name: count_classes(c) for c in (*cubes, *validation)},
        "digests": {c.name: c.digest() for c in (*cubes, *validation)},
        "appearance": _measure_appearance(cubes),
        "split": _describe_split(cubes, validation),
        "command": command,
    }
    metrics = {} if report is None else _metrics_of_report(report, recipe)
    libraries = {name: version(name) for name in LIBRARIES}
    try:
        return recipe.card(
            temperature=round(metrics.pop("temperature", 1.0), 4),
            training=training,
            metrics=metrics,
            environment={"python": platform.python_version(), **libraries},
            parent=parent,
        )
    except (ArtifactError, TypeError) as error:  # the report's temperature
        raise InputError(f"This report cannot be put in a card: {error}") from None


def count_classes(cubes: LabelledCubes) -> dict[str, int]:
    """Count the cells and the no cells."""
    return {"cells": int(cubes.labels.sum()), "no_cells": int((cubes.labels == 0).sum())}


def _measure_appearance(datasets: Sequence[LabelledCubes]) -> dict[str, list[float]]:
    """Measure the usual appearance of the training candidates; each data set counts the same."""
    batches = []
    for cubes in datasets:
        rows = np.linspace(0, len(cubes) - 1, APPEARANCE_CANDIDATES, dtype=np.int64)
        for part in np.array_split(rows, 20):  # bounds the memory
            batches.append(measure_appearance(cubes.cubes(part)[:, 0]))
    pooled = {name: np.concatenate([batch[name] for batch in batches]) for name in MEASURES}
    return {name: list(ends) for name, ends in usual_range(pooled).items()}


def read_report(path: Path) -> dict[str, Any]:
    """Read a report of `cross_validate`; `draft_card` checks whether it fits a recipe.

    Raises
    ------
    InputError
        The file cannot be read, or is not a report.
    """
    report = read_document(path, "report")
    if not isinstance(report, dict) or not isinstance(report.get("recipe"), dict):
        raise InputError(
            f"{path} is not the report of a cross-validation; expected crossval's JSON."
        )
    return report


def _describe_split(cubes: Sequence[LabelledCubes], validation: Sequence[LabelledCubes]) -> str:
    trained = ", ".join(c.name for c in cubes)
    if not validation:
        return f"the weights saw all data sets: {trained}"
    validated = ", ".join(c.name for c in validation)
    return (
        f"trained on {trained}; the epoch with the best mean average precision on {validated} was "
        "kept, so the figures of validation are a little optimistic"
    )


def _metrics_of_report(report: Mapping[str, Any], recipe: Recipe) -> dict[str, Any]:
    expected, actual = recipe.to_dict(), Recipe.from_dict(report["recipe"]).to_dict()
    differences = [k for k in expected if k not in NAMES and actual[k] != expected[k]]
    if differences:
        raise InputError(
            f"The cross-validation was made with another recipe ({', '.join(differences)}); its "
            "numbers would not describe these weights. Run crossval again, with this recipe."
        )
    return {k: v for k, v in report.items() if k not in ("recipe", "counts", "loss")}
