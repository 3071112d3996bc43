"""Fit an artifact's probabilities and threshold to labelled data, as a new artifact."""

import dataclasses
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from scipy.special import expit

from ..analysis.answers import collect_answers
from ..analysis.measures import CALIBRATION
from ..analysis.predictions import Predictions, check_classes
from ..export.graph import recalibrate, softmax_of
from ..export.release import write_artifact
from ..runtime.artifact import (
    SCHEMA,
    Artifact,
    Card,
    Ensemble,
    is_name,
    is_version,
    read_model,
)
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

METHODS = {"line": platt_scaling, "temperature": temperature_scaling}


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
    """Fit probabilities, and optionally the threshold, to data the model was not trained on.

    The logit of a cell is mapped by a straight line, so the ranking does not change.

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
        Rule for the threshold, see `cfzoo.zoo.evaluation.thresholds`; "" keeps the threshold.
    name, version : str
        Name and version of the new artifact; by default the model's name with ``-calibrated``,
        and its version.

    Returns
    -------
    path : Path
    calibration : dict
        As in the card: what it was fitted on, and log-loss, Brier score and calibration error
        before, after and, with several data sets, on each one when fitted on the others.

    Raises
    ------
    InputError, EnvironmentProblem
        An input cannot be used; see `cfzoo.runtime.classify`.
    ArtifactError
        The model is damaged, or its graph does not end in a softmax.
    """
    artifact = read_model(model).only_artifact
    if artifact is None:
        raise InputError(f"{model} is an ensemble: `cfzoo ensemble fit` calibrates its members.")
    softmax_of(onnx.ModelProto.FromString(artifact.model), artifact.source)
    card = _new_card(artifact, name, version)
    check_output(Path(output), [card.file_name], overwrite, [model, *map(str, data)])
    if rule:
        check_rule(rule)
    sources = read_data([Path(file) for file in data], Path(root) if root else None)
    models = {"model": Ensemble.of([artifact])}
    options = {"device": device, "threads": threads}
    answers = collect_answers(models, sources, shake=False, say=say, **options)
    check_classes(answers.predictions)
    calibration, threshold = _fit(answers.predictions, by, rule, card.threshold)
    factor, offset = calibration["factor"], calibration["offset"]
    card = dataclasses.replace(
        card,
        temperature=card.temperature * factor,
        offset=card.offset / factor + offset,
        threshold=threshold,
        metrics={**card.metrics, "calibration": calibration},
    )
    path = write_artifact(recalibrate(artifact, factor, offset, card), output, overwrite)
    return path, {**calibration, "threshold": threshold}


def _new_card(artifact: Artifact, name: str, version: str) -> Card:
    """Copy an artifact's card under the new name and version, with the artifact as parent."""
    name = name or artifact.card.name.removesuffix("-calibrated") + "-calibrated"
    version = version or artifact.card.version
    if not is_name(name) or not is_version(version):
        raise InputError(
            f"The name is {name!r} and the version {version!r}; expected up to 64 lower-case "
            "letters, digits, '_' and '-', and a version such as 1.0.0."
        )
    return dataclasses.replace(
        artifact.card,
        name=name,
        version=version,
        schema=SCHEMA,
        parent=f"{artifact.card.file_name} {artifact.card.digest}",
        digest="",
    )


def _fit(
    predictions: Predictions, by: str, rule: str, threshold: float
) -> tuple[dict[str, Any], float]:
    """Fit a line to the margins and measure it.

    Parameters
    ----------
    threshold : float
        Threshold of the model, which stays without a rule.

    Returns
    -------
    calibration : dict
        As in the card.
    threshold : float
    """
    labels, groups = predictions.labels, predictions.dataset
    margin = predictions.margin["model"][0]
    factor, offset = _fit_line(labels, margin, groups, by)
    new_margin = margin / factor + offset
    new_threshold = choose_threshold(labels, expit(new_margin), rule) if rule else threshold
    calibration: dict[str, Any] = {
        "by": by,
        "factor": factor,
        "offset": offset,
        "threshold_by": rule or "as before",
        "fitted_on": predictions.class_counts(),
        "before": predictions.mean_measures(margin, threshold, CALIBRATION),
        "after": predictions.mean_measures(new_margin, new_threshold, CALIBRATION),
    }
    if predictions.can_leave_one_out():
        calibration["each_fitted_on_the_others"] = predictions.mean_measures(
            cross_calibrate(labels, margin, groups, METHODS[by]), new_threshold, CALIBRATION
        )
    return calibration, new_threshold


def _fit_line(
    labels: np.ndarray, margin: np.ndarray, groups: np.ndarray, by: str
) -> tuple[float, float]:
    """Fit the divisor of the margins, and the offset that is then added to them."""
    if by == "temperature":
        return _round_digits(fit_temperature(labels, margin, groups)), 0.0
    if margin.max() == margin.min():
        raise InputError(
            "The model gives all of these candidates the same probability, so there is nothing to "
            "calibrate. Is it the right model, and are these the right data?"
        )
    slope, offset = fit_platt(labels, margin, groups)
    if not slope > 0:
        raise InputError(
            "The model gives the cells of these data lower probabilities than the no cells, so no "
            "line can calibrate it. Check the labels, and whether it is the right model for them."
        )
    return _round_digits(1 / slope), _round_digits(offset)


def _round_digits(value: float) -> float:
    """Round to six digits, so that a card stays readable."""
    return float(f"{value:.6g}")
