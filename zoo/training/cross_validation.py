"""Leave one data set out: train on the others, measure on the one never seen.

Data sets are never mixed: cubes of one brain resemble each other far more than those of the
next, and a split by cube would promise what no lab will see.
"""

import json
import re
import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
from torch import nn

from ...runtime.errors import InputError
from ...runtime.files import atomic_write
from ...runtime.volume import open_volume
from ..data import LabelledCubes, LabelledVolume, Source, load
from ..evaluation import (
    corrupt,
    fit_temperature,
    list_corruptions,
    local_contrast,
    ranking_metrics,
    subsample,
)
from ..recipe import Recipe
from .fit import margins, silence_lightning, train
from .run_folder import hashed

Scores = dict[str, float]
SPLIT = "leave one data set out; all labelled points, those at the faces included"


def cross_validate(
    recipe: Recipe,
    sources: Sequence[Source],
    seeds: Sequence[int],
    held: Sequence[str] = (),
    jobs: int = 2,
    work: Path | None = None,
    shaken_with: int = 1000,
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Train once per data set and seed; nothing is chosen by looking at the one held out.

    Parameters
    ----------
    sources : sequence
        Data sets, at least two.
    held : sequence of str
        Names of those to hold out; all when empty.
    jobs : int
        Trainings at once, each on one thread: the networks are too small for two threads to
        help one another.
    work : Path, optional
        Folder that keeps each training's result; those that are there are not repeated.
    shaken_with : int
        Candidates of a data set, at most, that corruptions are tried on.

    Returns
    -------
    report : dict
        JSON-ready: per data set and mean, for the network (mean over seeds, and their standard
        deviation) and, where there are volumes, the contrast.
    points : dict of arrays
        Per labelled point, (N,): dataset (index into ``sources``), inside, label, contrast; zyx
        (N, 3), voxels; margin (seeds, N), the logit of a cell less that of no cell.

    Raises
    ------
    InputError
        There are fewer than two data sets, or none of a name; or see `load`.
    """
    names = [source.name for source in sources]
    if len(sources) < 2 or not set(held) <= set(names):
        raise InputError(
            f"Got the data sets {', '.join(names)}, to hold out {', '.join(held) or 'each'}; "
            "expected at least two, and names among them."
        )
    folds = [names.index(name) for name in held or names]
    if work is not None:
        work.mkdir(parents=True, exist_ok=True)
    tasks = [
        Task(recipe, tuple(sources), fold, seed, shaken_with, work)
        for seed in seeds
        for fold in folds
    ]
    # Spawned, since a forked torch may hang in its thread pool.
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        results = list(pool.map(_fold, tasks))
    network, spread, trivial = {}, {}, {}
    shaken: dict[str, Scores] = {}
    points: dict[str, list[np.ndarray]] = {}
    card, counts = recipe.card(), {}
    for number, fold in enumerate(folds):
        cubes, name = load(sources[fold], card), names[fold]
        runs = results[number :: len(folds)]
        margin = np.stack([run.margin for run in runs])
        each = [ranking_metrics(cubes.labels, one) for one in margin]
        network[name] = {k: float(np.mean([r[k] for r in each])) for k in each[0]}
        spread[name] = {k: float(np.std([r[k] for r in each])) for k in each[0]}
        for kind in runs[0].shaken:
            shaken.setdefault(kind, {})[name] = float(np.mean([r.shaken[kind] for r in runs]))
        base = _contrast(sources[fold], cubes)
        if base is not None:
            trivial[name] = ranking_metrics(cubes.labels, base, None)
        counts[name] = {
            "cells": int(cubes.labels.sum()),
            "no_cells": int((cubes.labels == 0).sum()),
        }
        columns = {
            "dataset": np.full(len(cubes), fold),
            "zyx": cubes.zyx,
            "inside": cubes.inside,
            "label": cubes.labels,
            "contrast": np.full(len(cubes), np.nan) if base is None else base,
            "margin": margin.T,
        }
        for key, column in columns.items():
            points.setdefault(key, []).append(column)
    columns_by_name = {key: np.concatenate(columns) for key, columns in points.items()}
    columns_by_name["margin"] = np.ascontiguousarray(columns_by_name["margin"].T)
    groups = np.unique(columns_by_name["dataset"], return_inverse=True)[1]
    tiled = (np.tile(column, len(seeds)) for column in (columns_by_name["label"], groups))
    labels, groups = tiled
    report = {
        "split": SPLIT,
        "seeds": list(seeds),
        "network": _with_mean(network),
        "deviation_over_seeds": spread,
        "contrast": _with_mean(trivial),
        "robustness_auc": {k: row | {"mean": _mean(row)} for k, row in shaken.items()},
        "temperature": fit_temperature(labels, columns_by_name["margin"].ravel(), groups),
        "counts": counts,
        "loss": _mean_loss([result.rows for result in results if result.rows]),
        "seconds_of_training": float(np.mean([r.seconds for r in results])),
        "training_memory_mb": max((r.peak_mb for r in results if r.peak_mb), default=None),
        "recipe": recipe.to_dict(),
    }
    return report, columns_by_name


@dataclass(frozen=True)
class Task:
    """One training of a cross-validation: all data sets but ``sources[held]``."""

    recipe: Recipe
    sources: tuple[Source, ...]
    held: int
    seed: int
    shaken_with: int = 1000
    work: Path | None = None

    @property
    def kept(self) -> Path | None:
        """Where its result is kept."""
        name = re.sub(r"[^\w.-]", "_", self.sources[self.held].name)
        return self.work and self.work / f"{self.seed}-{self.held}-{name}.json"

    def fingerprint(self, cubes: Sequence[LabelledCubes]) -> dict[str, Any]:
        """What must be the same for a kept result to hold; ``cubes`` of all its sources."""
        held, data = self.sources[self.held].name, {one.name: hashed(one) for one in cubes}
        recipe, size = self.recipe.to_dict(), self.shaken_with
        return {"recipe": recipe, "data": data, "held": held, "shaken_with": size}


@dataclass(frozen=True)
class Fold:
    """What one training gave, and what it cost.

    Attributes
    ----------
    margin : (N,) float32
        Logits of a cell less those of no cell, of the data set held out.
    shaken : dict of float
        Change -> AUC.
    seconds, peak_mb : float
        Of the training; most memory of its process so far, MiB, None where it is not told.
    rows : list of dict
        Of `train`.
    """

    margin: np.ndarray
    shaken: Scores
    seconds: float
    peak_mb: float | None
    rows: list[dict[str, float]]


def _fold(task: Task) -> Fold:
    """Train without one data set; look for the result of an earlier run first."""
    recipe = task.recipe
    cubes = _loaded(recipe, task.sources)
    if task.kept and task.kept.is_file():
        found = json.loads(task.kept.read_text())
        if found.pop("of") == task.fingerprint(cubes):
            return Fold(**{"rows": []} | found | {"margin": np.array(found["margin"], np.float32)})
    silence_lightning()
    torch.set_num_threads(1)
    unseen = cubes[task.held]
    start = time.perf_counter()
    net, rows = train(recipe, [c for c in cubes if c is not unseen], task.seed)
    seconds = time.perf_counter() - start
    peak = _peak_memory()
    margin = margins(net, recipe, unseen)
    sample = subsample(unseen, task.shaken_with)
    shaken = {"as it is": _auc(net, recipe, sample)}
    for kind, level in list_corruptions(sample):
        shaken[f"{kind} {level:g}"] = _auc(net, recipe, corrupt(sample, kind, level))
    auc = ranking_metrics(unseen.labels, margin)["auc"]
    click.echo(
        f"{recipe.name}, seed {task.seed}, without {unseen.name}: AUC {auc:.3f}, {seconds:.0f} s",
        err=True,
    )
    fold = Fold(margin, shaken, seconds, peak, rows)
    if task.kept:
        with atomic_write(task.kept) as file:
            kept = vars(fold) | {"margin": margin.tolist(), "of": task.fingerprint(cubes)}
            file.write(json.dumps(kept))
    return fold


def _peak_memory() -> float | None:
    """Peak memory of this process in MiB; None if the platform does not report it."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    # Bytes on macOS, KiB elsewhere.
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most / (2**20 if sys.platform == "darwin" else 2**10)


def _auc(net: nn.Module, recipe: Recipe, cubes: LabelledCubes) -> float:
    return ranking_metrics(cubes.labels, margins(net, recipe, cubes), None)["auc"]


@lru_cache(maxsize=1)  # a worker trains several folds on the same cubes
def _loaded(recipe: Recipe, sources: tuple[Source, ...]) -> list[LabelledCubes]:
    card = recipe.card()
    return [load(source, card) for source in sources]


def _contrast(source: Source, cubes: LabelledCubes) -> np.ndarray | None:
    if not isinstance(source, LabelledVolume):
        return None
    with open_volume(source.signal) as volume:
        block = volume.read(*(slice(0, n) for n in volume.shape))
    return local_contrast(block, cubes.zyx, source.voxel_size)


def _mean_loss(trainings: Sequence[Sequence[Mapping[str, float]]]) -> list[float]:
    """Of each epoch, over the trainings; on augmented batches."""
    losses = [[row["loss"] for row in rows] for rows in trainings]
    return np.mean(losses, axis=0).tolist() if losses else []


def _mean(row: Mapping[str, float]) -> float:
    return float(np.mean(list(row.values())))


def _with_mean(rows: dict[str, Scores]) -> dict[str, Scores]:
    if not rows:
        return {}
    keys = next(iter(rows.values()))
    return rows | {"mean": {k: float(np.mean([r[k] for r in rows.values()])) for k in keys}}


def crossval_table(report: Mapping[str, Any]) -> str:
    """The report as text: network, then contrast in brackets."""
    lines = [f"{'held out':12}{'AUC':>15}{'AP':>15}{'FPR@95':>15}{'FPR@99':>15}{'F1':>8}"]
    for name, row in report["network"].items():
        other = report["contrast"].get(name, {})
        keys = ("auc", "average_precision", "fpr_at_95", "fpr_at_99")
        cells = "".join(f"{row[k]:8.3f} ({other.get(k, float('nan')):.2f})" for k in keys)
        lines.append(f"{name:12}{cells}{row['f1']:8.3f}")
    return "\n".join(lines)
