"""From data files to a released model: train, measure, write weights, card and artifact."""

import dataclasses
import os
import shlex
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.torch import save
from scipy.special import logit

from ..export.graph import export_artifact
from ..export.model_card import render_card
from ..runtime.errors import InputError
from ..runtime.files import atomic_write
from ..zoo.data import LabelledCubes, Source, load, read_data
from ..zoo.evaluation import check_rule
from ..zoo.recipe import Recipe
from ..zoo.registry import MODELS
from ..zoo.training import (
    Row,
    RunFolder,
    card_of,
    describe,
    fitted,
    hardware,
    is_main_process,
    plain_state,
    prepare_start,
    read_report,
    silence_lightning,
    train_into,
    validation_scores,
)

PROBES = 1000  # real cubes at most, on which torch and onnxruntime must agree


def train_release(
    model: str,
    data: Sequence[str | os.PathLike],
    output: str | os.PathLike,
    *,
    recipe: str | os.PathLike | None = None,
    init: str | os.PathLike | None = None,
    seed: int = 0,
    changes: Mapping[str, Any] | None = None,
    validation: Sequence[str] = (),
    root: str | os.PathLike | None = None,
    report: str | os.PathLike | None = None,
    rule: str = "",
    device: str = "auto",
    devices: int | None = None,
    overwrite: bool = False,
    bar: bool = False,
    say: Callable[[str], object] = lambda text: None,
) -> Path:
    """Train ``model`` on data sets; ``output`` gets weights, card, artifact, log and curves.

    Called again after it was stopped, it goes on after the last whole epoch; when all is done,
    it does nothing.

    Parameters
    ----------
    model : str
        A name in the zoo's table.
    data : paths
        YAML, see `cfzoo.zoo.data.data_file`.
    output : folder
    recipe, init, changes
        See `cfzoo.zoo.training.prepare_start`.
    validation : sequence of str
        Data sets to validate with, besides those whose entry says so.
    root : folder, optional
        What relative paths in ``data`` start from.
    report : path, optional
        A cross-validation with the same recipe, for the card, which then has its temperature.
        Without one, the temperature is fitted on the validation data.
    rule : str
        For the threshold; see `cfzoo.zoo.evaluation.thresholds`. 0.5 without.
    device, devices
        See `cfzoo.zoo.training.hardware`.
    overwrite : bool
        Delete the training that is in ``output``.
    bar : bool
        Show a progress bar; ``say`` gets a line an epoch otherwise.
    say : callable
        Gets what to tell the user.

    Returns
    -------
    Path
        Of the artifact.

    Raises
    ------
    InputError
        Something given cannot be used, which is seen before the training; or the loss is not
        finite.
    ArtifactError
        The graph does not pass the checks.
    EnvironmentProblem
        There are not so many GPUs, or memory or disk space ran out.
    """
    silence_lightning()
    if not is_main_process():  # another process of the same training
        bar, say = False, lambda text: None
    begun = prepare_start(model, Path(recipe) if recipe else None, init, changes)
    settings = begun.recipe
    run = RunFolder(Path(output), f"{settings.name}-{settings.version}")
    run.check(overwrite)
    on = hardware(device, devices)
    measured = read_report(Path(report)) if report else None
    folder = Path(root) if root else None
    sources = read_data([Path(path) for path in data], folder)
    training, held = _split(sources, validation)
    if settings.share == "volume" and settings.batch_size < len(training):
        raise InputError(
            f"A batch of {settings.batch_size} cannot hold cubes of {len(training)} data sets: "
            "give a larger --batch-size."
        )
    if rule:
        check_rule(rule)
        if not held:
            raise InputError("A threshold by a rule needs validation data: give --validation.")
    cubes, unseen = _loaded(training, settings), _loaded(held, settings)
    _check_classes(cubes, unseen)
    base = folder or Path(data[0]).parent
    names = [Path(path).name for path in data]
    card = card_of(
        settings,
        cubes,
        unseen,
        [
            *(source.entry(base) for source in training),
            *({**source.entry(base), "split": "validation"} for source in held),
        ],
        seed,
        parent=begun.parent,
        command=_command(model, names, seed, run.stem, begun.parent, validation, rule),
        report=measured,
    )
    described = describe(settings, seed, cubes, unseen, begun.parent, on, rule, measured)
    run.claim(described, overwrite)
    if run.finished:
        say(f"{run.path} holds this training, finished: nothing to do (--overwrite repeats it).")
        return run.results[-1]
    counts = ", ".join(f"{c.name} ({len(c)})" for c in cubes)
    say(f"Training {run.stem} on {counts}; {on['devices']} x {on['accelerator']}.")
    if held:
        say(f"Validating with {', '.join(f'{c.name} ({len(c)})' for c in unseen)}.")
    else:
        say(f"No validation data: {settings.epochs} epochs, without early stopping.")
    network, rows = train_into(
        run,
        settings,
        cubes,
        unseen,
        seed,
        card,
        start=begun.weights,
        on=on,
        bar=bar,
        tell=None if bar else lambda row: say(_line(row, settings.epochs)),
    )
    if not is_main_process():
        return run.results[-1]
    if unseen:
        known = card.temperature if measured else None
        temperature, threshold = fitted(network, settings, unseen, rule, known)
        found = validation_scores(
            network, settings, unseen, rows, temperature * float(logit(threshold))
        )
        card = dataclasses.replace(
            card,
            temperature=temperature,
            threshold=threshold,
            metrics={**card.metrics, **found},
        )
    weights, card_file, page, model_file = run.results
    _write(weights, save(plain_state(network)))
    _write(card_file, f"{card.to_json()}\n".encode())
    # After the weights, which `cfzoo export` takes, should this computer fail at the export.
    explained_layer = MODELS[settings.architecture].explained_layer
    artifact = export_artifact(network, card, _probes([*cubes, *unseen]), explained_layer)
    _write(page, render_card(artifact).encode())
    _write(model_file, artifact.model)
    for name, row in card.metrics.get("validation", {}).items():
        say(f"{name}: average precision {row['average_precision']:.3f}, AUC {row['auc']:.3f}")
    for path in (*run.results, run.metrics, run.curves):
        say(str(path))
    return run.results[-1]


def _write(path: Path, content: bytes) -> None:
    with atomic_write(path, "wb") as file:
        file.write(content)


def _split(sources: Sequence[Source], named: Sequence[str]) -> tuple[list[Source], list[Source]]:
    known = [source.name for source in sources]
    if unknown := [name for name in named if name not in known]:
        raise InputError(
            f"There is no data set {unknown[0]!r} to validate with; the data has "
            f"{', '.join(known)}."
        )
    held = [s for s in sources if s.split == "validation" or s.name in named]
    training = [s for s in sources if s not in held]
    if not training:
        raise InputError(
            f"All data sets are for validation ({', '.join(known)}); expected at least one to "
            "train on."
        )
    return training, held


def _loaded(sources: Sequence[Source], recipe: Recipe) -> list[LabelledCubes]:
    return [load(source, recipe.card()) for source in sources]


def _probes(cubes: Sequence[LabelledCubes]) -> np.ndarray:
    """Cubes of all data sets, (n, C, z, y, x) float32, raw intensities."""
    share = -(-PROBES // len(cubes))
    return np.concatenate(
        [c.cubes(np.unique(np.linspace(0, len(c) - 1, share, dtype=int))) for c in cubes]
    )


def _check_classes(cubes: Sequence[LabelledCubes], validation: Sequence[LabelledCubes]) -> None:
    names = "The training data"
    for name, labels in (
        (names, np.concatenate([c.labels for c in cubes])),
        *((f"The validation set {c.name!r}", c.labels) for c in validation),
    ):
        cells = int(labels.sum())
        if not 0 < cells < len(labels):
            raise InputError(
                f"{name} has {cells} cells and {len(labels) - cells} no cells; expected some of "
                "both."
            )


def _command(
    model: str,
    data: Sequence[str],
    seed: int,
    stem: str,
    parent: str,
    validation: Sequence[str],
    rule: str,
) -> str:
    """The command that makes the same network, without the paths of this computer."""
    words = ["cfzoo train", model, *data, f"--recipe {stem}.json", f"--seed {seed}"]
    if parent:
        words.append(f"--init {parent.split()[0]}.safetensors")
    words += [f"--validation {shlex.quote(name)}" for name in validation]
    if rule:
        words.append(f"--threshold-by {rule}")
    return " ".join([*words, "-o DIR"])


def _line(row: Row, epochs: int) -> str:
    values = ", ".join(f"{k} {v:.4g}" for k, v in row.items() if k != "epoch")
    return f"epoch {row['epoch']:.0f}/{epochs}: {values}"
