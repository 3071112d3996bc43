"""Training as a workflow: from a request to released weights, card, page and artifact."""

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.torch import save
from scipy.special import logit
from torch import nn

from ..analysis.report import list_suspects, render_suspects
from ..export.graph import export_artifact
from ..export.model_card import render_card, triple
from ..runtime.artifact import Card
from ..runtime.claim import FolderLock
from ..runtime.files import atomic_write, write_error
from ..runtime.shift import describe_training
from ..zoo.data import LabelledCubes
from ..zoo.registry import MODELS
from ..zoo.training import (
    HeldOutAnswers,
    Row,
    Settlement,
    TrainingPlan,
    TrainingRequest,
    answer_out_of_fold,
    answer_validation,
    copy_weights,
    describe_answers,
    interpolate,
    is_main_process,
    measure_training_features,
    plan_training,
    score_validation,
    settle,
    settle_blindly,
    silence_lightning,
    train_in_folder,
)

PROBES = 1000  # largest number of real cubes on which torch and onnxruntime must agree


def train_release(
    request: TrainingRequest,
    *,
    progress_bar: bool = False,
    say: Callable[[str], object] = lambda text: None,
) -> Path:
    """Train a model on data sets; its folder gets weights, card, artifact, log and curves.

    If an earlier call was stopped, training resumes after the last complete epoch; a finished
    training is left alone.

    Parameters
    ----------
    request : TrainingRequest
        See `cfzoo.zoo.training.TrainingRequest`.
    progress_bar : bool
        Show a progress bar instead of a line per epoch.
    say : callable
        Called with each message to the user.

    Returns
    -------
    Path
        File of the artifact.

    Raises
    ------
    InputError
        Part of the request cannot be used, which is found before the training; or the loss is
        not finite.
    ArtifactError
        The graph does not pass the checks.
    EnvironmentProblem
        The computer has too few GPUs, or memory or disk space ran out.
    """
    silence_lightning()
    if not is_main_process():  # another process of the same training
        progress_bar, say = False, lambda text: None
    plan = plan_training(request)
    with _lock_folder(plan.folder.path):
        return _train(plan, request.overwrite, progress_bar, say)


@contextmanager
def _lock_folder(path: Path) -> Iterator[None]:
    """Keep other trainings out of a folder; the processes of this one share its lock."""
    if not is_main_process():
        yield
        return
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise write_error(error, str(path)) from error
    lock = FolderLock(path)
    lock.acquire()
    try:
        yield
    finally:
        lock.release(is_finished=True)


def _train(
    plan: TrainingPlan, overwrite: bool, progress_bar: bool, say: Callable[[str], object]
) -> Path:
    folder, epochs = plan.folder, plan.recipe.epochs
    model_file = folder.results[-1]
    folder.claim(plan.description, overwrite)
    if folder.is_finished:
        say(f"{folder.path} holds this training, finished: nothing to do (--overwrite repeats it).")
        return model_file
    _announce(plan, say)
    network, rows = train_in_folder(
        plan,
        progress_bar=progress_bar,
        on_epoch=None if progress_bar else lambda row: say(_format_row(row, epochs)),
    )
    if not is_main_process():
        return model_file
    card = _complete_card(plan, network, rows, say)
    _release(plan, network, card)
    for name, row in card.metrics.get("validation", {}).items():
        say(f"{name}: average precision {row['average_precision']:.3f}, AUC {row['auc']:.3f}")
    if point := card.metrics.get("operating_point"):
        say(_format_point(card.training["calibration"], point))
    for path in (*folder.results, folder.metrics, folder.curves):
        say(str(path))
    return model_file


def _announce(plan: TrainingPlan, say: Callable[[str], object]) -> None:
    def count(datasets: Sequence[LabelledCubes]) -> str:
        return ", ".join(f"{cubes.name} ({len(cubes)})" for cubes in datasets)

    devices = f"{plan.hardware['devices']} x {plan.hardware['accelerator']}"
    say(_describe_card(plan))
    say(f"Training {plan.folder.stem} on {count(plan.cubes)}; {devices}.")
    if plan.validation:
        say(f"Validating with {count(plan.validation)}.")
    else:
        say(f"No validation data: {plan.recipe.epochs} epochs, without early stopping.")
    for note in plan.notes:
        say(f"Note: {note}")


def _describe_card(plan: TrainingPlan) -> str:
    """Say which card the training makes."""
    card, recipe = plan.card, plan.recipe
    channels = " and ".join(card.channels)
    cube = f"{triple(card.cube_shape)} voxels of {triple(card.voxel_size)} um (z y x)"
    length = f"{recipe.epochs} epochs of {recipe.steps} batches of {recipe.batch_size}"
    return (
        f"The card: {card.name} {card.version}, a {card.architecture} of {channels}, cubes of "
        f"{cube}, normalisation {card.normalisation}, resampling {card.resampling}; {length}."
    )


def _format_row(row: Row, epochs: int) -> str:
    values = ", ".join(f"{k} {v:.4g}" for k, v in row.items() if k != "epoch")
    return f"epoch {row['epoch']:.0f}/{epochs}: {values}"


def _format_point(calibration: Mapping[str, Any], point: Mapping[str, float]) -> str:
    values = ", ".join(f"{k.replace('_', ' ')} {v:.3f}" for k, v in point.items())
    return f"On {calibration['candidates']} labels, by {calibration['from']}: {values}"


def _complete_card(
    plan: TrainingPlan, network: nn.Module, rows: Sequence[Row], say: Callable[[str], object]
) -> Card:
    """Add what held-out answers tell: calibration, threshold and scores.

    The network gets the weights that they choose, between the initial and the tuned ones.
    """
    card, start, rule = plan.card, plan.start, plan.threshold_rule
    measure = partial(
        measure_training_features, network, plan.recipe, plan.cubes, start.weights is not None
    )
    training_features = measure()
    if plan.validation:
        answers = answer_validation(
            network, plan.recipe, plan.validation, start.weights, training_features
        )
    else:
        answers = answer_out_of_fold(plan, say)
    if answers is None:
        settlement = settle_blindly(start, plan.folds)
        if plan.folds:
            say("Too few labels of a class to leave some out: the probabilities are not fitted.")
    else:
        settlement = settle(answers, start.temperature, start.offset, rule, plan.temperature)
    if start.weights is not None:
        tuned = copy_weights(network)
        network.load_state_dict(interpolate(start.weights, tuned, settlement.share))
        training_features = measure()
    card = dataclasses.replace(
        card,
        features=describe_training(training_features) if training_features else {},
        temperature=plan.temperature or settlement.temperature,
        offset=settlement.offset if plan.temperature is None else 0.0,
        threshold=settlement.threshold,
    )
    if answers is None:
        source = "no held-out answers" if plan.temperature is None else "the report"
        blind: dict[str, Any] = {"from": source}
        if start.weights is not None:
            blind["share_of_tuned_weights"] = settlement.share
        return dataclasses.replace(card, training={**card.training, "calibration": blind})
    calibration, point = describe_answers(answers, settlement, rule)
    _report_labels(plan, answers, settlement, say)
    metrics = {**card.metrics, "operating_point": point}
    if plan.validation:
        margin = (float(logit(settlement.threshold)) - settlement.offset) * settlement.temperature
        metrics |= score_validation(
            network, plan.recipe, plan.validation, rows, margin, training_features
        )
    training = {**card.training, "calibration": calibration}
    return dataclasses.replace(card, training=training, metrics=metrics)


def _report_labels(
    plan: TrainingPlan,
    answers: HeldOutAnswers,
    settlement: Settlement,
    say: Callable[[str], object],
) -> None:
    """Write the page of the labels that are probably wrong."""
    datasets = plan.validation or plan.cubes
    listed = list_suspects(datasets, settlement.probability(answers))
    page = render_suspects(plan.folder.stem, answers.source, datasets, listed)
    _write(plan.folder.labels, page.encode())
    counts = ", ".join(f"{len(row['suspects'])} in {row['name']}" for row in listed)
    say(f"Labels to look at again: {counts}. See {plan.folder.labels}")


def _release(plan: TrainingPlan, network: nn.Module, card: Card) -> None:
    """Write weights, card, page and artifact."""
    weights_file, card_file, page_file, model_file = plan.folder.results
    _write(weights_file, save(copy_weights(network)))
    _write(card_file, f"{card.to_json()}\n".encode())
    # After the weights, so that `cfzoo export` can take them if the export fails here.
    probes = _select_probes([*plan.cubes, *plan.validation])
    artifact = export_artifact(
        network, card, probes, MODELS[plan.recipe.architecture].explained_layer
    )
    _write(page_file, render_card(artifact).encode())
    _write(model_file, artifact.model)


def _write(path: Path, content: bytes) -> None:
    with atomic_write(path, "wb") as file:
        file.write(content)


def _select_probes(datasets: Sequence[LabelledCubes]) -> np.ndarray:
    """Return cubes of all data sets, (n, C, z, y, x) float32, raw intensities."""
    share = -(-PROBES // len(datasets))
    return np.concatenate(
        [c.cubes(np.unique(np.linspace(0, len(c) - 1, share, dtype=int))) for c in datasets]
    )
