"""Leave one data set out: train on the others, measure on the one never seen.

Data sets are never mixed: cubes of one brain resemble each other far more than those of the
next, and a split by cube would promise what no lab will see.
"""

import json
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import lru_cache
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch

from ..runtime.errors import InputError
from ..runtime.files import atomic_write
from ..runtime.volume import open_volume
from .contrast import contrast
from .data import LabelledCubes, LabelledVolume, Source, load
from .datasets import read_data
from .metrics import CORRUPTIONS, scores, temperature
from .recipe import Recipe, read_recipe
from .train import predict, quiet, train

Scores = dict[str, float]
SPLIT = "leave one data set out; all labelled points, those at the faces included"


def crossval(
    recipe: Recipe,
    sources: Sequence[Source],
    seeds: Sequence[int],
    held: Sequence[str] = (),
    jobs: int = 2,
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

    Returns
    -------
    report : dict
        JSON-ready: per data set and mean, for the network (mean over seeds, and their standard
        deviation) and, where there are volumes, the contrast.
    points : dict of arrays
        Per labelled point: data set, zyx, inside, label, contrast, logit margin (seeds, N).
    """
    names = [source.name for source in sources]
    if len(sources) < 2 or not set(held) <= set(names):
        raise InputError(
            f"Got the data sets {', '.join(names)}, to hold out {', '.join(held) or 'each'}; "
            "expected at least two, and names among them."
        )
    folds = [names.index(name) for name in held or names]
    tasks = [(recipe, tuple(sources), fold, seed) for seed in seeds for fold in folds]
    # Spawned, since a forked torch may hang in its thread pool.
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        results = list(pool.map(_fold, tasks))
    network, spread, trivial = {}, {}, {}
    shaken: dict[str, Scores] = {name: {} for name in CORRUPTIONS}
    points: dict[str, list[np.ndarray]] = {}
    card, counts = recipe.card(), {}
    for number, fold in enumerate(folds):
        cubes, name = load(sources[fold], card), names[fold]
        runs = results[number :: len(folds)]
        margin = np.stack([margin for margin, _ in runs])
        each = [scores(cubes.labels, one) for one in margin]
        network[name] = {k: float(np.mean([r[k] for r in each])) for k in each[0]}
        spread[name] = {k: float(np.std([r[k] for r in each])) for k in each[0]}
        for kind, row in shaken.items():
            row[name] = float(np.mean([aucs[kind] for _, aucs in runs]))
        base = _contrast(sources[fold], cubes)
        if base is not None:
            trivial[name] = scores(cubes.labels, base, None)
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
    table = {key: np.concatenate(columns) for key, columns in points.items()}
    table["margin"] = np.ascontiguousarray(table["margin"].T)
    groups = np.unique(table["dataset"], return_inverse=True)[1]
    tiled = (np.tile(column, len(seeds)) for column in (table["label"], groups))
    labels, groups = tiled
    report = {
        "split": SPLIT,
        "seeds": list(seeds),
        "network": _with_mean(network),
        "deviation_over_seeds": spread,
        "contrast": _with_mean(trivial),
        "robustness_auc": {k: row | {"mean": _mean(row)} for k, row in shaken.items()},
        "temperature": temperature(labels, table["margin"].ravel(), groups),
        "counts": counts,
        "recipe": recipe.to_dict(),
    }
    return report, table


def _fold(task: tuple[Recipe, tuple[Source, ...], int, int]) -> tuple[np.ndarray, Scores]:
    """Train without one data set; its margins, and its AUC when corrupted."""
    recipe, sources, held, seed = task
    quiet()
    torch.set_num_threads(1)
    start = time.perf_counter()
    cubes = _loaded(recipe, sources)
    unseen = cubes[held]
    net, _ = train(recipe, [c for c in cubes if c is not unseen], seed)
    x = unseen.cubes()
    margin = _margin(predict(net, recipe, x))
    shaken = {
        name: scores(unseen.labels, _margin(predict(net, recipe, corrupt(x))), None)["auc"]
        for name, corrupt in CORRUPTIONS.items()
    }
    auc, seconds = scores(unseen.labels, margin)["auc"], time.perf_counter() - start
    click.echo(
        f"{recipe.name}, seed {seed}, without {unseen.name}: AUC {auc:.3f}, {seconds:.0f} s",
        err=True,
    )
    return margin, shaken


@lru_cache(maxsize=1)  # a worker trains several folds on the same cubes
def _loaded(recipe: Recipe, sources: tuple[Source, ...]) -> list[LabelledCubes]:
    card = recipe.card()
    return [load(source, card) for source in sources]


def _margin(logits: np.ndarray) -> np.ndarray:
    return logits[:, 1] - logits[:, 0]


def _contrast(source: Source, cubes: LabelledCubes) -> np.ndarray | None:
    if not isinstance(source, LabelledVolume):
        return None
    with open_volume(source.signal) as volume:
        block = volume.read(*(slice(0, n) for n in volume.shape))
    return contrast(block, cubes.zyx, source.voxel_size)


def _mean(row: Mapping[str, float]) -> float:
    return float(np.mean(list(row.values())))


def _with_mean(rows: dict[str, Scores]) -> dict[str, Scores]:
    if not rows:
        return {}
    keys = next(iter(rows.values()))
    return rows | {"mean": {k: float(np.mean([r[k] for r in rows.values()])) for k in keys}}


def table(report: Mapping[str, Any]) -> str:
    """The report as text: network, then contrast in brackets."""
    lines = [f"{'held out':12}{'AUC':>15}{'AP':>15}{'FPR@95':>15}{'FPR@99':>15}{'F1':>8}"]
    for name, row in report["network"].items():
        other = report["contrast"].get(name, {})
        keys = ("auc", "average_precision", "fpr_at_95", "fpr_at_99")
        cells = "".join(f"{row[k]:8.3f} ({other.get(k, float('nan')):.2f})" for k in keys)
        lines.append(f"{name:12}{cells}{row['f1']:8.3f}")
    return "\n".join(lines)


@click.command()
@click.argument("recipe", type=click.Path(dir_okay=False, path_type=Path))
@click.argument("data", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--root", type=click.Path(path_type=Path), help="What paths in DATA start from.")
@click.option("--seeds", default=3, show_default=True, help="Number of seeds, from 0.")
@click.option("--held", multiple=True, metavar="NAME", help="Only hold this one out; repeatable.")
@click.option("--jobs", default=2, show_default=True, help="Trainings at once.")
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path))
def main(recipe, data, root, seeds, held, jobs, output) -> None:
    """Leave-one-data-set-out report of RECIPE (YAML, or a card) on DATA (YAML).

    Writes OUTPUT, JSON, and the points beside it as .npz.
    """
    quiet()
    sources = read_data(data, root)
    report, points = crossval(read_recipe(recipe), sources, range(seeds), held, jobs)
    with atomic_write(output, "w") as file:
        file.write(json.dumps(report, indent=1) + "\n")
    np.savez_compressed(output.with_suffix(".npz"), allow_pickle=False, **points)
    click.echo(table(report))


if __name__ == "__main__":
    main()
