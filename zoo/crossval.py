"""Leave one volume out: train on the others, measure on the one never seen.

Volumes are never mixed: cubes of one brain resemble each other far more than those of the
next, and a split by cube would promise what no lab will see.
"""

import dataclasses
import json
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import lru_cache
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
from scipy.optimize import minimize_scalar
from scipy.special import log_expit
from sklearn.metrics import average_precision_score, f1_score, roc_auc_score, roc_curve
from torch.nn import functional as F

from ..runtime.volume import open_volume
from .contrast import contrast
from .data import LabelledCubes, LabelledVolume, load
from .recipe import Recipe, read_recipe
from .train import predict, quiet, train

Rows = dict[str, dict[str, float]]


def scores(labels: np.ndarray, margin: np.ndarray, threshold: float | None = 0.0) -> dict:
    """Ranking measures of a score, and F1 where it reaches ``threshold``.

    ``fpr_at_95`` and ``fpr_at_99``: share of no cells called cells where 95 or 99 % of the
    cells are found.
    """
    fpr, tpr, _ = roc_curve(labels, margin, drop_intermediate=False)
    measured = {
        "auc": roc_auc_score(labels, margin),
        "average_precision": average_precision_score(labels, margin),
        "fpr_at_95": fpr[np.argmax(tpr >= 0.95)],
        "fpr_at_99": fpr[np.argmax(tpr >= 0.99)],
    }
    if threshold is not None:
        measured["f1"] = f1_score(labels, margin >= threshold)
    return {k: float(v) for k, v in measured.items()}


def _noised(cubes: np.ndarray) -> np.ndarray:
    deviation = cubes.std(axis=(2, 3, 4), keepdims=True)
    noise = np.random.default_rng(0).standard_normal(cubes.shape, np.float32)
    return cubes + 0.3 * deviation * noise


def _blurred(cubes: np.ndarray) -> np.ndarray:
    padded = F.pad(torch.from_numpy(cubes), (1, 1, 1, 1, 0, 0), mode="replicate")
    return F.avg_pool3d(padded, (1, 3, 3), 1).numpy()


# What an unseen microscope may do to a volume. The first three must change next to nothing.
CORRUPTIONS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "times 0.25": lambda x: x * np.float32(0.25),
    "times 4": lambda x: x * np.float32(4),
    "plus 500": lambda x: x + np.float32(500),
    "blurred (3 x 3 box in the plane)": _blurred,
    "noised (0.3 of the cube's deviation)": _noised,
}


def temperature(labels: np.ndarray, margin: np.ndarray, groups: np.ndarray) -> float:
    """Divisor of the logits with the least log-loss (Guo et al. 2017), groups counted equally."""
    weights = 1 / np.bincount(groups)[groups]
    signed = np.where(labels == 1, margin, -margin).astype(np.float64)

    def loss(log_t: float) -> float:
        return float(-(weights * log_expit(signed / np.exp(log_t))).sum())

    found: Any = minimize_scalar(loss, bounds=(-3, 3), method="bounded")  # scipy has no types
    return float(np.exp(found.x))


def _fold(
    task: tuple[Recipe, tuple[LabelledVolume, ...], int, int],
) -> tuple[np.ndarray, dict[str, float]]:
    """Train without one volume; its margins, and its AUC when corrupted."""
    recipe, volumes, held, seed = task
    quiet()
    torch.set_num_threads(1)
    start = time.perf_counter()
    cubes = _loaded(recipe, volumes)
    unseen = cubes[held]
    net, _ = train(recipe, [c for c in cubes if c is not unseen], seed)
    x = unseen.cubes()
    margin = _margin(predict(net, recipe, x))
    shaken = {
        name: float(roc_auc_score(unseen.labels, _margin(predict(net, recipe, corrupt(x)))))
        for name, corrupt in CORRUPTIONS.items()
    }
    seconds, auc = time.perf_counter() - start, roc_auc_score(unseen.labels, margin)
    print(f"seed {seed}, without {unseen.name}: AUC {auc:.3f}, {seconds:.0f} s", flush=True)
    return margin, shaken


@lru_cache(maxsize=1)  # a worker trains several folds on the same cubes
def _loaded(recipe: Recipe, volumes: tuple[LabelledVolume, ...]) -> list[LabelledCubes]:
    card = recipe.card()
    return [load(volume, card) for volume in volumes]


def crossval(
    recipe: Recipe, volumes: Sequence[LabelledVolume], seeds: Sequence[int], jobs: int = 2
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Train once per volume and seed; nothing is chosen by looking at the held-out volume.

    Returns
    -------
    report : dict
        JSON-ready: per volume and mean, for the network (mean over seeds) and the contrast.
    points : dict of arrays
        Per labelled point: volume index, zyx, label, contrast, logit margin (seeds, N).
    """
    card = recipe.card()
    cubes = [load(volume, card) for volume in volumes]
    baseline = [_contrast(v, c) for v, c in zip(volumes, cubes, strict=True)]
    tasks = [(recipe, tuple(volumes), held, s) for s in seeds for held in range(len(cubes))]
    # One thread each: the networks are too small for two threads to help one another.
    # Spawned, since a forked torch may hang in its thread pool.
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        results = list(pool.map(_fold, tasks))
    margins: list[list[np.ndarray]] = [[] for _ in cubes]
    shaken: dict[str, list[list[float]]] = {k: [[] for _ in cubes] for k in CORRUPTIONS}
    for (_, _, held, _), (margin, aucs) in zip(tasks, results, strict=True):
        margins[held].append(margin)
        for name, value in aucs.items():
            shaken[name][held].append(value)
    network, trivial, spread = {}, {}, {}
    for c, m, b in zip(cubes, margins, baseline, strict=True):
        runs = [scores(c.labels, one) for one in m]
        network[c.name] = {k: float(np.mean([r[k] for r in runs])) for k in runs[0]}
        spread[c.name] = float(np.std([r["auc"] for r in runs], ddof=min(1, len(runs) - 1)))
        trivial[c.name] = scores(c.labels, b, None)
    labels = np.concatenate([c.labels for c in cubes])
    groups = np.repeat(np.arange(len(cubes)), [len(c) for c in cubes])
    margin = np.concatenate([np.stack(m) for m in margins], axis=1)
    tiled = np.tile(labels, len(seeds)), margin.ravel(), np.tile(groups, len(seeds))
    report = {
        "split": "leave one volume out; all labelled points, those at the faces included",
        "seeds": list(seeds),
        "network": _with_mean(network),
        "auc_deviation_over_seeds": spread,
        "contrast": _with_mean(trivial),
        "robustness_auc": {
            name: _auc_mean(cubes, [float(np.mean(v)) for v in values])
            for name, values in shaken.items()
        },
        "temperature": temperature(*tiled),
        "counts": {
            c.name: {"cells": int(c.labels.sum()), "no_cells": int((c.labels == 0).sum())}
            for c in cubes
        },
        "recipe": json.loads(json.dumps(dataclasses.asdict(recipe))),
    }
    points = {
        "volume": groups,
        "zyx": np.concatenate([c.zyx for c in cubes]),
        "inside": np.concatenate([c.inside for c in cubes]),
        "label": labels,
        "contrast": np.concatenate(baseline),
        "margin": margin,
    }
    return report, points


def table(report: Mapping[str, Any]) -> str:
    """The report as text: network, then contrast in brackets."""
    lines = [f"{'held out':12}{'AUC':>15}{'AP':>15}{'FPR@95':>15}{'FPR@99':>15}{'F1':>8}"]
    for name, row in report["network"].items():
        other = report["contrast"][name]
        keys = ("auc", "average_precision", "fpr_at_95", "fpr_at_99")
        cells = "".join(f"{row[k]:8.3f} ({other[k]:.2f})" for k in keys)
        lines.append(f"{name:12}{cells}{row['f1']:8.3f}")
    return "\n".join(lines)


def _margin(logits: np.ndarray) -> np.ndarray:
    return logits[:, 1] - logits[:, 0]


def _contrast(volume: LabelledVolume, cubes: LabelledCubes) -> np.ndarray:
    with open_volume(volume.signal) as source:
        block = source.read(*(slice(0, n) for n in source.shape))
    return contrast(block, cubes.zyx, volume.voxel_size)


def _with_mean(rows: Rows) -> Rows:
    keys = next(iter(rows.values()))
    return rows | {"mean": {k: float(np.mean([r[k] for r in rows.values()])) for k in keys}}


def _auc_mean(cubes: Sequence[LabelledCubes], values: Sequence[float]) -> dict[str, float]:
    named = {c.name: v for c, v in zip(cubes, values, strict=True)}
    return named | {"mean": float(np.mean(values))}


@click.command()
@click.argument("recipe", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--data", type=click.Path(path_type=Path), help="Folder of the volumes.")
@click.option("--seeds", default=3, show_default=True, help="Number of seeds, from 0.")
@click.option("--jobs", default=2, show_default=True, help="Trainings at once.")
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path))
def main(recipe: Path, data: Path | None, seeds: int, jobs: int, output: Path) -> None:
    """Leave-one-volume-out report of RECIPE (JSON); points go beside it as .npz."""
    quiet()
    settings, volumes = read_recipe(recipe, data)
    report, points = crossval(settings, volumes, range(seeds), jobs)
    output.write_text(json.dumps(report, indent=1), encoding="utf-8")
    np.savez_compressed(output.with_suffix(".npz"), allow_pickle=False, **points)
    click.echo(table(report))


if __name__ == "__main__":
    main()
