"""The plan of a training: everything that the user asks for, checked before the long work."""

import os
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ...runtime.artifact import Card
from ...runtime.errors import EnvironmentProblem, InputError
from ..data import (
    LabelledCubes,
    LabelledVolume,
    Source,
    check_channels,
    describe_unused_backgrounds,
    load,
    read_data,
)
from ..evaluation import check_rule
from ..recipe import Recipe
from .card import draft_card, read_report
from .run_folder import RunFolder, describe_training
from .start import Start, prepare_start
from .training_features import adjust_start

FEW = 100  # labels, up to which adapting a head gained as much as fine-tuning, at less risk
FOLDS = 3  # trainings for held-out answers: the time of a training is multiplied by one more


@dataclass(frozen=True)
class TrainingRequest:
    """What the user asks to be trained, unchecked.

    Attributes
    ----------
    model : str
        A name in the zoo's table.
    data : sequence of paths
        YAML, see `cfzoo.zoo.data.data_file`.
    output : path
        Folder of the training.
    recipe, init, changes
        Recipe file, initial weights, and recipe fields that override both; see
        `cfzoo.zoo.training.prepare_start`.
    validation : sequence of str
        Names of data sets to validate with, besides those whose entry says so.
    root : path, optional
        Folder that relative paths in ``data`` start from; by default that of each data file.
    report : path, optional
        Cross-validation with the same recipe; the card takes its figures and its temperature.
        Without a report, temperature and offset are fitted to held-out answers.
    threshold_rule : str
        See `cfzoo.zoo.evaluation.thresholds`; without a rule, the threshold is 0.5.
    folds : int
        Without validation data and report, the number of trainings, each without a part of the
        labels, whose answers to that part the probabilities are fitted to; 0 for none.
    seed : int
    device, devices
        See `choose_hardware`.
    overwrite : bool
        Delete the training that is in ``output``.
    """

    model: str
    data: Sequence[str | os.PathLike]
    output: str | os.PathLike
    recipe: str | os.PathLike | None = None
    init: str | os.PathLike | None = None
    changes: Mapping[str, Any] = field(default_factory=dict)
    validation: Sequence[str] = ()
    root: str | os.PathLike | None = None
    report: str | os.PathLike | None = None
    threshold_rule: str = ""
    folds: int = FOLDS
    seed: int = 0
    device: str = "auto"
    devices: int | None = None
    overwrite: bool = False


@dataclass(frozen=True)
class TrainingPlan:
    """A training that can begin: its start, data, hardware, folder and card.

    Attributes
    ----------
    start : Start
        Recipe and initial weights.
    seed : int
    cubes : sequence of LabelledCubes
        Data to train on.
    validation : sequence of LabelledCubes
        Whole brains that are not in ``cubes``. Without any, training runs all its epochs and
        keeps the last.
    hardware : mapping
        Result of `choose_hardware`.
    folder : RunFolder
    card : Card
        Without the figures of the validation data.
    description : mapping
        Result of `describe_training`, with which the folder is claimed.
    threshold_rule : str
        See `cfzoo.zoo.evaluation.thresholds`.
    temperature : float, optional
        Temperature of the cross-validation; None if it is to be fitted.
    notes : tuple of str
        Which data sets have another voxel size, or a background that the model does not use;
        whether the labels are few.
    folds : int
        Number of trainings for held-out answers; 0 with validation data, or with a report.
    """

    start: Start
    seed: int
    cubes: Sequence[LabelledCubes]
    validation: Sequence[LabelledCubes]
    hardware: Mapping[str, Any]
    folder: RunFolder
    card: Card
    description: Mapping[str, Any]
    threshold_rule: str = ""
    temperature: float | None = None
    notes: tuple[str, ...] = ()
    folds: int = 0

    @property
    def recipe(self) -> Recipe:
        """Recipe of the start."""
        return self.start.recipe


def plan_training(request: TrainingRequest) -> TrainingPlan:
    """Check a request and load its data; nothing is written.

    Raises
    ------
    InputError
        Part of the request cannot be used.
    EnvironmentProblem
        The computer has too few GPUs.
    """
    recipe_path = Path(request.recipe) if request.recipe else None
    start = prepare_start(request.model, recipe_path, request.init, request.changes)
    recipe, rule = start.recipe, request.threshold_rule
    folder = RunFolder(Path(request.output), f"{recipe.name}-{recipe.version}")
    folder.check(request.overwrite)
    hardware = choose_hardware(request.device, request.devices)
    report = read_report(Path(request.report)) if request.report else None
    if report is not None and start.weights is not None:  # its temperature is not theirs
        raise InputError(
            "Got initial weights, and a report of trainings from random ones. Leave out --report; "
            "temperature and offset are then fitted to labels that were left out."
        )
    root = Path(request.root) if request.root else None
    sources = read_data([Path(path) for path in request.data], root)
    training, held_out = _split(sources, request.validation)
    if recipe.share == "volume" and recipe.batch_size < len(training):
        raise InputError(
            f"A batch of {recipe.batch_size} cannot hold cubes of {len(training)} data sets: "
            "give a larger --batch-size."
        )
    if rule:
        check_rule(rule)
        if not held_out and (request.folds < 2 or report is not None):
            raise InputError(
                "A threshold by a rule needs labels that the network was not trained on: give "
                "--validation, or --folds 3 without --report."
            )
    check_channels(sources, recipe.card())  # of all, before any is loaded
    cubes = [load(source, recipe.card()) for source in training]
    validation = [load(source, recipe.card()) for source in held_out]
    _check_classes(cubes, validation)
    start = adjust_start(start, cubes)
    base = root or Path(request.data[0]).parent
    paths = [path for source in sources for path in source.paths.values()]
    entries = [source.entry(base, paths) for source in training]
    entries += [{**source.entry(base, paths), "split": "validation"} for source in held_out]
    notes = [f"{c.name}: {note}" for c in (*cubes, *validation) for note in c.notes]
    notes.append(describe_unused_backgrounds(sources, recipe.card()))
    notes.append(_describe_few(start, training, cubes))
    seed, parent = request.seed, start.parent
    command = _command(request, folder.stem, parent)
    card = draft_card(
        recipe, cubes, validation, entries, seed, parent=parent, command=command, report=report
    )
    folds = 0 if validation or report else request.folds
    description = describe_training(
        recipe, seed, cubes, validation, parent, hardware, rule, report, folds
    )
    return TrainingPlan(
        start=start,
        seed=seed,
        cubes=cubes,
        validation=validation,
        hardware=hardware,
        folder=folder,
        card=card,
        description=description,
        threshold_rule=rule,
        temperature=card.temperature if report else None,
        notes=tuple(filter(None, notes)),
        folds=folds,
    )


def choose_hardware(device: str = "auto", devices: int | None = None) -> dict[str, Any]:
    """Return Lightning's accelerator, devices and precision.

    Parameters
    ----------
    device : str
        ``auto``, ``cpu`` or ``cuda``; auto takes a GPU if there is one.
    devices : int, optional
        Number of GPUs, or of processes on the CPU; by default all GPUs, or one process.

    Raises
    ------
    EnvironmentProblem
        The computer has too few GPUs.
    """
    gpus = torch.cuda.device_count() if device != "cpu" and torch.cuda.is_available() else 0
    count = devices or 1
    if gpus < count and (gpus or device == "cuda"):
        raise EnvironmentProblem(
            f"torch can use {gpus} GPUs of this computer; {count} were asked for. Give fewer "
            "--devices, or --device cpu."
        )
    if not gpus:
        return {"accelerator": "cpu", "devices": count, "precision": "32-true"}
    half = "bf16-mixed" if torch.cuda.is_bf16_supported() else "16-mixed"
    return {"accelerator": "cuda", "devices": devices or gpus, "precision": half}


def _split(sources: Sequence[Source], names: Sequence[str]) -> tuple[list[Source], list[Source]]:
    """Split the data sets into those to train on and those to validate with."""
    all_names = [source.name for source in sources]
    for name in names:
        if name not in all_names:
            raise InputError(
                f"There is no data set {name!r} to validate with; the data has "
                f"{', '.join(all_names)}."
            )
    held_out = [s for s in sources if s.split == "validation" or s.name in names]
    training = [s for s in sources if s not in held_out]
    if not training:
        raise InputError(
            f"All data sets are for validation ({', '.join(all_names)}); expected at least one to "
            "train on."
        )
    return training, held_out


def _check_classes(cubes: Sequence[LabelledCubes], validation: Sequence[LabelledCubes]) -> None:
    """Check that the training data and each validation set have cells and no cells."""
    labels = {"The training data": np.concatenate([c.labels for c in cubes])}
    labels |= {f"The validation set {c.name!r}": c.labels for c in validation}
    for name, column in labels.items():
        cells = int(column.sum())
        if not 0 < cells < len(column):
            raise InputError(
                f"{name} has {cells} cells and {len(column) - cells} no cells; expected some of "
                "both."
            )


def _describe_few(start: Start, sources: Sequence[Source], cubes: Sequence[LabelledCubes]) -> str:
    """Return a note if there are so few labels that `cfzoo adapt` suits them better; "" else."""
    count = sum(map(len, cubes))
    is_adaptable = start.weights is not None and start.features is not None
    if not is_adaptable or count > FEW or not all(isinstance(s, LabelledVolume) for s in sources):
        return ""
    return (
        f"{count} labels are few, and fine-tuning may make the model worse. `cfzoo adapt` gains "
        "about as much from so few, in seconds, and does harm less often."
    )


def _command(request: TrainingRequest, stem: str, parent: str) -> str:
    """Return the command that repeats the training, without the paths of this computer."""
    names = [Path(path).name for path in request.data]
    words = ["cfzoo train", request.model, *names, f"--recipe {stem}.json"]
    words.append(f"--seed {request.seed}")
    if parent:
        words.append(f"--init {parent.split()[0]}.safetensors")
    words += [f"--validation {shlex.quote(name)}" for name in request.validation]
    if request.threshold_rule:
        words.append(f"--threshold-by {request.threshold_rule}")
    if request.folds != FOLDS:
        words.append(f"--folds {request.folds}")
    return " ".join([*words, "-o DIR"])
