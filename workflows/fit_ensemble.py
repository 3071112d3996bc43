"""Fit weights, temperatures and threshold of an ensemble to labelled data, and write its file."""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from scipy.special import expit, logit

from ..analysis.answers import collect_answers
from ..analysis.measures import CALIBRATION
from ..analysis.predictions import Predictions, check_classes
from ..runtime.artifact import (
    BUNDLED,
    Artifact,
    Ensemble,
    Member,
    combine_licences,
    ensemble_json,
    find_model,
    is_name,
    is_version,
    read_model,
)
from ..runtime.errors import InputError
from ..runtime.files import atomic_write, check_output
from ..zoo.data import read_data
from ..zoo.evaluation import check_rule, choose_threshold, fit_mixture

MEASURES = ("auc", "average_precision", *CALIBRATION)


def fit_ensemble(
    models: Sequence[str],
    data: Sequence[str | os.PathLike],
    output: str | os.PathLike,
    *,
    name: str = "ensemble",
    version: str = "1.0.0",
    rule: str = "",
    root: str | os.PathLike | None = None,
    device: str = "auto",
    threads: int | None = None,
    overwrite: bool = False,
    say: Callable[[str], object] = lambda text: None,
) -> Ensemble:
    """Fit an ensemble to labelled data that none of its members was trained on.

    Weights and temperatures minimise the log-loss, to which each data set counts the same. Members
    whose weight is zero are left out.

    Parameters
    ----------
    models : sequence of str
        Artifacts or bundled names.
    data : sequence of paths
        YAML, see `cfzoo.zoo.data.data_file`.
    output : path
        JSON file of the ensemble. Members are recorded relative to its folder.
    rule : str
        Rule for the threshold, see `cfzoo.zoo.evaluation.thresholds`; "" leaves it at 0.5.

    Returns
    -------
    Ensemble

    Raises
    ------
    InputError, ArtifactError, EnvironmentProblem
        An input cannot be used; see `cfzoo.runtime.classify`.
    """
    path = Path(output)
    _check_names(path, name, version)
    check_output(path.parent, [path.name], overwrite, [*map(str, data)])
    if rule:
        check_rule(rule)
    artifacts = _read_artifacts(models)
    sources = read_data([Path(file) for file in data], Path(root) if root else None)
    singles = {file: Ensemble.of([artifact]) for file, artifact in artifacts.items()}
    options = {"device": device, "threads": threads}
    answers = collect_answers(singles, sources, shake=False, say=say, **options)
    check_classes(answers.predictions)
    ensemble = _fit(answers.predictions, artifacts, rule, path.name)
    ensemble = replace(ensemble, name=name, version=version)
    file_of = {artifact.card.digest: file for file, artifact in artifacts.items()}
    digests = [member.artifact.card.digest for member in ensemble.members]
    files = [_relative_file(file_of[digest], path.parent) for digest in digests]
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as file:
        file.write(ensemble_json(ensemble, files))
    return ensemble


def _fit(
    predictions: Predictions, artifacts: Mapping[str, Artifact], rule: str, source: str
) -> Ensemble:
    """Fit an ensemble to the predictions of ``artifacts``; ``source`` is its file in messages."""
    labels = predictions.labels
    margins = np.concatenate([predictions.margin[file] for file in artifacts])
    weights, temperatures = fit_mixture(labels, margins, predictions.dataset)
    # Rounded as in the file; the largest weight takes up the error of rounding.
    weights, temperatures = np.round(weights, 4), np.round(temperatures, 4)
    weights[np.argmax(weights)] += 1 - weights.sum()
    probability = weights @ expit(margins / temperatures[:, None])
    fits = list(zip(artifacts.values(), weights.tolist(), temperatures.tolist(), strict=True))
    members = tuple(Member(*fit) for fit in fits if fit[1])
    # A member may be so sure that the probability rounds to 0 or 1, whose logit is infinite.
    mean_margin = logit(np.clip(probability, 1e-12, 1 - 1e-12))
    rows = {a.card.file_name: margin for a, margin in zip(artifacts.values(), margins, strict=True)}
    return Ensemble(
        members=members,
        threshold=choose_threshold(labels, probability, rule) if rule else 0.5,
        source=source,
        licence=combine_licences([member.artifact.card for member in members]),
        training={
            "fitted_on": predictions.class_counts(),
            "threshold_by": rule or "0.5",
            "left_out": [artifact.source for artifact, weight, _ in fits if not weight],
        },
        metrics={
            "on_the_data_it_was_fitted_on": {
                key: predictions.mean_measures(margin, 0.5, MEASURES)
                for key, margin in {**rows, "ensemble": mean_margin}.items()
            }
        },
    )


def _read_artifacts(models: Sequence[str]) -> dict[str, Artifact]:
    """Read the artifacts by their files, in one order, whatever order they are named in."""
    pairs = [(model, _read_artifact(model)) for model in models]
    pairs.sort(key=lambda pair: pair[1].card.digest)
    cards = [artifact.card for _, artifact in pairs]
    if repeated := [artifact.source for _, artifact in pairs if cards.count(artifact.card) > 1]:
        raise InputError(f"{repeated[0]} is given twice; expected each model once.")
    return dict(pairs)


def _check_names(path: Path, name: str, version: str) -> None:
    if path.suffix != ".json":
        raise InputError(f"The ensemble's file is {str(path)!r}; expected a name ending in .json.")
    if not is_name(name) or not is_version(version):
        raise InputError(
            f"The name is {name!r} and the version {version!r}; expected lower-case letters, "
            "digits, '_' and '-', and a version such as 1.0.0."
        )


def _read_artifact(model: str) -> Artifact:
    artifact = read_model(model).only_artifact
    if artifact is None:
        raise InputError(f"{model} is an ensemble itself: give its members.")
    return artifact


def _relative_file(model: str, folder: Path) -> str:
    """Return a member's file relative to the ensemble's folder; a bundled one by its name.

    A file on another drive, which has no such path, is returned whole.
    """
    path = find_model(model).resolve()
    if path.parent == BUNDLED:
        return path.name
    try:
        return Path(os.path.relpath(path, folder.resolve())).as_posix()
    except ValueError:  # on Windows, another drive
        return path.as_posix()
