"""An ensemble from validation data: weights, temperatures and threshold, into its file."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import expit, logit

from ..analysis.answers import answer_all
from ..analysis.measures import measure
from ..analysis.predictions import check_classes
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
    """Fit an ensemble on labelled data that none of its members was trained on.

    Members without a say are left out. Log-loss decides, each data set counting the same.

    Parameters
    ----------
    models : sequence of str
        Artifacts or bundled names.
    data : sequence of paths
        YAML, see `cfzoo.zoo.data.data_file`.
    output : path
        The ensemble's file, JSON. Members are recorded relative to its folder.
    rule : str
        For the threshold, see `cfzoo.zoo.evaluation.thresholds`; "" leaves it at 0.5.

    Returns
    -------
    Ensemble

    Raises
    ------
    InputError, ArtifactError, EnvironmentProblem
        Something given cannot be used; see `cfzoo.runtime.classify`.
    """
    path = Path(output)
    _check(path, name, version)
    check_output(path.parent, [path.name], overwrite, [*map(str, data)])
    if rule:
        check_rule(rule)
    # In one order, whatever order they were named in.
    found = sorted(
        ((_artifact(model), model) for model in models), key=lambda pair: pair[0].card.digest
    )
    artifacts, models = [artifact for artifact, _ in found], [model for _, model in found]
    if twice := [a.source for a in artifacts if [b.card for b in artifacts].count(a.card) > 1]:
        raise InputError(f"{twice[0]} is given twice; expected each model once.")
    sources = read_data([Path(file) for file in data], Path(root) if root else None)
    read = {str(i): Ensemble.of([artifact]) for i, artifact in enumerate(artifacts)}
    predictions, _ = answer_all(read, sources, device=device, threads=threads, shake=False, say=say)
    labels, groups = predictions.labels, predictions.dataset
    check_classes(predictions)
    margins = np.concatenate([predictions.margin[key] for key in read])
    weights, temperatures = fit_mixture(labels, margins, groups)
    # As the file will hold them; the largest weight takes what rounding leaves.
    weights, temperatures = np.round(weights, 4), np.round(temperatures, 4)
    weights[np.argmax(weights)] += 1 - weights.sum()
    mixed = weights @ expit(margins / temperatures[:, None])
    kept = np.flatnonzero(weights).tolist()
    ensemble = Ensemble(
        members=tuple(
            Member(artifacts[i], float(weights[i]), float(temperatures[i])) for i in kept
        ),
        threshold=choose_threshold(labels, mixed, rule) if rule else 0.5,
        name=name,
        version=version,
        licence=combine_licences([artifacts[i].card for i in kept]),
        training={
            "fitted_on": {
                source: {"cells": int(part.sum()), "no_cells": int((part == 0).sum())}
                for source in predictions.names
                for part in [labels[predictions.rows(source)]]
            },
            "threshold_by": rule or "0.5",
            "left_out": [artifacts[i].source for i in np.flatnonzero(weights == 0)],
        },
        metrics=_measured(predictions, read, artifacts, mixed),  # of those left out, too
        source=path.name,
    )
    files = [_relative(models[i], path.parent) for i in kept]
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as file:
        file.write(ensemble_json(ensemble, files))
    return ensemble


def _check(path: Path, name: str, version: str) -> None:
    if path.suffix != ".json":
        raise InputError(f"The ensemble's file is {str(path)!r}; expected a name ending in .json.")
    if not is_name(name) or not is_version(version):
        raise InputError(
            f"The name is {name!r} and the version {version!r}; expected lower-case letters, "
            "digits, '_' and '-', and a version such as 1.0.0."
        )


def _artifact(model: str) -> Artifact:
    artifact = read_model(model).only_artifact
    if artifact is None:
        raise InputError(f"{model} is an ensemble itself: give its members.")
    return artifact


def _relative(model: str, folder: Path) -> str:
    """The member's file as seen from the ensemble's folder; a bundled one by its name."""
    path = find_model(model).resolve()
    if path.parent == BUNDLED:
        return path.name
    return Path(os.path.relpath(path, folder.resolve())).as_posix()


def _measured(predictions, read, artifacts, mixed) -> dict[str, Any]:
    """Of the members and of the ensemble, on the data that it was fitted on."""
    # A member may be so sure that the logarithm of what is left is none.
    odds = logit(np.clip(mixed, 1e-12, 1 - 1e-12))
    margins = {artifacts[int(key)].card.file_name: predictions.margin[key][0] for key in read}
    rows = {}
    for name, margin in {**margins, "ensemble": odds}.items():
        each = [
            measure(predictions.labels[part], margin[part], 0.5)
            for part in (predictions.rows(source) for source in predictions.names)
        ]
        keys = ("auc", "average_precision", "log_loss", "brier", "ece")
        rows[name] = {
            k: float(np.mean([row[k] for row in each if k in row]))
            for k in keys
            if any(k in row for row in each)
        }
    return {"on_the_data_it_was_fitted_on": rows}
