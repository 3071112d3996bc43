"""An artifact's probabilities and threshold fitted to labelled data, as a new artifact."""

import dataclasses
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from scipy.special import expit

from ..analysis.answers import answer_all
from ..analysis.measures import measure
from ..analysis.predictions import Predictions, check_classes
from ..export.graph import recalibrate, softmax_of
from ..export.release import write_artifact
from ..runtime.artifact import SCHEMA, is_name, is_version, read_model
from ..runtime.errors import InputError
from ..runtime.files import check_output
from ..zoo.data import read_data
from ..zoo.evaluation import (
    check_rule,
    choose_threshold,
    cross_calibrate,
    fit_platt,
    fit_temperature,
    platt_scaling,
    temperature_scaling,
)

FITS = {"line": platt_scaling, "temperature": temperature_scaling}
SHOWN = ("log_loss", "brier", "ece")


def calibrate(
    model: str,
    data: Sequence[str | os.PathLike],
    output: str | os.PathLike = ".",
    *,
    by: str = "line",
    rule: str = "",
    name: str = "",
    version: str = "",
    root: str | os.PathLike | None = None,
    device: str = "auto",
    threads: int | None = None,
    overwrite: bool = False,
    say: Callable[[str], object] = lambda text: None,
) -> tuple[Path, dict[str, Any]]:
    """Fit probabilities, and threshold if asked for, to data that the model was not trained on.

    The logit of a cell becomes a straight line of what it was, so ranking does not change.

    Parameters
    ----------
    model : str
        Artifact or bundled name.
    data : sequence of paths
        YAML, see `cfzoo.zoo.data.data_file`; data sets count the same.
    output : folder
    by : str
        ``line``: slope and offset (Platt 1999), which also follows the share of cells among the
        candidates. ``temperature``: the slope alone (Guo et al. 2017).
    rule : str
        For the threshold, see `cfzoo.zoo.evaluation.thresholds`; "" leaves it.
    name, version : str
        Of the new artifact; MODEL's name with ``-calibrated``, and its version.

    Returns
    -------
    path : Path
    measured : dict
        As in the card: what it was fitted on, and log-loss, Brier score and calibration error
        before, after and, with several data sets, of each when fitted on the others.

    Raises
    ------
    InputError, EnvironmentProblem
        Something given cannot be used; see `cfzoo.runtime.classify`.
    ArtifactError
        The model is damaged, or its graph does not end in a softmax.
    """
    artifact = read_model(model).only_artifact
    if artifact is None:
        raise InputError(f"{model} is an ensemble: `cfzoo ensemble fit` calibrates its members.")
    softmax_of(onnx.ModelProto.FromString(artifact.model), artifact.source)
    name = name or artifact.card.name.removesuffix("-calibrated") + "-calibrated"
    version = version or artifact.card.version
    if not is_name(name) or not is_version(version):
        raise InputError(
            f"The name is {name!r} and the version {version!r}; expected up to 64 lower-case "
            "letters, digits, '_' and '-', and a version such as 1.0.0."
        )
    card = dataclasses.replace(
        artifact.card,
        name=name,
        version=version,
        schema=SCHEMA,
        parent=f"{artifact.card.file_name} {artifact.card.digest}",
        digest="",
    )
    check_output(Path(output), [card.file_name], overwrite, [model, *map(str, data)])
    if rule:
        check_rule(rule)
    sources = read_data([Path(file) for file in data], Path(root) if root else None)
    models = {"model": read_model(artifact)}
    found, _ = answer_all(models, sources, device=device, threads=threads, shake=False, say=say)
    labels, groups, margin = found.labels, found.dataset, found.margin["model"][0]
    check_classes(found)
    factor, offset = _fitted(labels, margin, groups, by)
    better = margin / factor + offset
    threshold = card.threshold
    if rule:
        threshold = choose_threshold(labels, expit(better), rule)
    measured: dict[str, Any] = {
        "by": by,
        "factor": factor,
        "offset": offset,
        "threshold_by": rule or "as before",
        "fitted_on": {
            source: {"cells": int(labels[rows].sum()), "no_cells": int((labels[rows] == 0).sum())}
            for source in found.names
            for rows in [found.rows(source)]
        },
        "before": _mean(found, margin, card.threshold),
        "after": _mean(found, better, threshold),
    }
    if _each_of_the_others_has_both(labels, groups):
        held = cross_calibrate(labels, margin, groups, FITS[by])
        measured["each_fitted_on_the_others"] = _mean(found, held, threshold)
    card = dataclasses.replace(
        card,
        temperature=card.temperature * factor,
        offset=card.offset / factor + offset,
        threshold=threshold,
        metrics={**card.metrics, "calibration": measured},
    )
    path = write_artifact(recalibrate(artifact, factor, offset, card), output, overwrite)
    return path, {**measured, "threshold": threshold}


def _fitted(
    labels: np.ndarray, margin: np.ndarray, groups: np.ndarray, by: str
) -> tuple[float, float]:
    """Divisor of the margins, and what is then added to them."""
    if by == "temperature":
        return _rounded(fit_temperature(labels, margin, groups)), 0.0
    if margin.max() == margin.min():
        raise InputError(
            "The model gives all of these candidates the same probability, so there is nothing to "
            "calibrate. Is it the right model, and are these the right data?"
        )
    slope, offset = fit_platt(labels, margin, groups)
    if not slope > 0:
        raise InputError(
            "The model gives the cells of these data lower probabilities than the others, so no "
            "line makes them right. Are the labels right? Else it is the wrong model for them."
        )
    return _rounded(1 / slope), _rounded(offset)


def _rounded(value: float) -> float:
    """To six digits, as a person reads them in the card."""
    return float(f"{value:.6g}")


def _each_of_the_others_has_both(labels: np.ndarray, groups: np.ndarray) -> bool:
    found = np.unique(groups)
    rest = [labels[groups != group] for group in found]
    return len(found) > 1 and all(0 < part.sum() < len(part) for part in rest)


def _mean(found: Predictions, margin: np.ndarray, threshold: float) -> dict[str, float]:
    """Mean over the data sets."""
    each = [
        measure(found.labels[rows], margin[rows], threshold)
        for rows in map(found.rows, found.names)
    ]
    return {key: float(np.mean([row[key] for row in each])) for key in SHOWN}
