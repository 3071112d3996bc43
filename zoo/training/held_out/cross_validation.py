"""Cross-validation: leave one data set out, train on the others, measure on the one left out.

Data sets are never mixed: cubes of one brain resemble each other far more than those of the
next, and a split by cube would promise figures that no lab will see.
"""

from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from ....runtime.errors import InputError
from ....runtime.volume import open_volume
from ...data import LabelledCubes, LabelledVolume, Source, load
from ...evaluation import fit_temperature, local_contrast, mean_over_datasets, ranking_metrics
from ...recipe import Recipe
from ..card import count_classes
from .fold import Fold, FoldResult, run_fold

SPLIT = "leave one data set out; all labelled points, those at the faces included"


@dataclass(frozen=True)
class HeldOutData:
    """One data set, with the answers of the trainings that left it out.

    Attributes
    ----------
    index : int
        Index into the data sets of the cross-validation.
    cubes : LabelledCubes
    contrast : (N,) float32 or None
        Baseline without training; None for a data set that is not a volume.
    results : list of FoldResult
        One per seed.
    """

    index: int
    cubes: LabelledCubes
    contrast: np.ndarray | None
    results: Sequence[FoldResult]

    @property
    def scores_by_seed(self) -> list[dict[str, float]]:
        """Scores of the network, one dict per seed."""
        return [ranking_metrics(self.cubes.labels, result.margin) for result in self.results]


def cross_validate(
    recipe: Recipe,
    sources: Sequence[Source],
    seeds: Sequence[int],
    held_out: Sequence[str] = (),
    jobs: int = 2,
    folder: Path | None = None,
    corrupted: int = 1000,
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Train once per data set and seed; no choice depends on the data set held out.

    Parameters
    ----------
    recipe : Recipe
    sources : sequence of Source
        Data sets, at least two.
    seeds : sequence of int
    held_out : sequence of str
        Names of the data sets to hold out; by default each of them.
    jobs : int
        Number of simultaneous trainings, each on one thread: the networks are too small for two
        threads to help each other.
    folder : Path, optional
        Folder that stores the result of each training; a stored result is not repeated.
    corrupted : int
        Largest number of candidates per data set that corruptions are tried on.

    Returns
    -------
    report : dict
        JSON-ready: per data set and mean, for the network (mean over seeds, and their standard
        deviation) and, for volumes, the contrast.
    points : dict of arrays (N,)
        Per labelled point: dataset (index into ``sources``), inside, label, contrast; zyx
        (N, 3), voxels; margin (seeds, N), the logit of cell minus that of no cell.

    Raises
    ------
    InputError
        There are fewer than two data sets, none of a name in ``held_out``, or `load` fails.
    """
    names = [source.name for source in sources]
    if len(sources) < 2 or not set(held_out) <= set(names):
        raise InputError(
            f"Got the data sets {', '.join(names)}, to hold out {', '.join(held_out) or 'each'}; "
            "expected at least two, and names among them."
        )
    indices = [names.index(name) for name in held_out or names]
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
    folds = [
        Fold(recipe, tuple(sources), index, seed, corrupted, folder)
        for seed in seeds
        for index in indices
    ]
    # Spawned, since a forked torch may hang in its thread pool.
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        results = list(pool.map(run_fold, folds))
    card, datasets = recipe.card(), []
    for number, index in enumerate(indices):
        cubes = load(sources[index], card)
        baseline = _measure_contrast(sources[index], cubes)
        datasets.append(HeldOutData(index, cubes, baseline, results[number :: len(indices)]))
    points = _tabulate_points(datasets)
    report = {
        "split": SPLIT,
        "seeds": list(seeds),
        **_report_scores(datasets),
        "temperature": _fit_temperature(points),
        "counts": {data.cubes.name: count_classes(data.cubes) for data in datasets},
        **_report_trainings(results),
        "recipe": recipe.to_dict(),
    }
    return report, points


def format_cross_validation(report: Mapping[str, Any]) -> str:
    """Format a report as a text table: the network's scores, with the contrast's in brackets."""
    lines = [f"{'held out':12}{'AUC':>15}{'AP':>15}{'FPR@95':>15}{'FPR@99':>15}{'F1':>8}"]
    for name, row in report["network"].items():
        baseline = report["contrast"].get(name, {})
        keys = ("auc", "average_precision", "fpr_at_95", "fpr_at_99")
        cells = "".join(f"{row[k]:8.3f} ({baseline.get(k, float('nan')):.2f})" for k in keys)
        lines.append(f"{name:12}{cells}{row['f1']:8.3f}")
    return "\n".join(lines)


def _measure_contrast(source: Source, cubes: LabelledCubes) -> np.ndarray | None:
    if not isinstance(source, LabelledVolume):
        return None
    with open_volume(source.signal) as volume:
        block = volume.read(*(slice(0, n) for n in volume.shape))
    return local_contrast(block, cubes.zyx, source.voxel_size)


def _tabulate_points(datasets: Sequence[HeldOutData]) -> dict[str, np.ndarray]:
    columns: dict[str, list[np.ndarray]] = {}
    for data in datasets:
        cubes, size = data.cubes, len(data.cubes)
        parts = {
            "dataset": np.full(size, data.index),
            "zyx": cubes.zyx,
            "inside": cubes.inside,
            "label": cubes.labels,
            "contrast": np.full(size, np.nan) if data.contrast is None else data.contrast,
        }
        for name, part in parts.items():
            columns.setdefault(name, []).append(part)
    points = {name: np.concatenate(parts) for name, parts in columns.items()}
    margins = [np.stack([result.margin for result in data.results]) for data in datasets]
    return points | {"margin": np.concatenate(margins, axis=1)}


def _fit_temperature(points: Mapping[str, np.ndarray]) -> float:
    """Fit one temperature to the margins of all seeds."""
    margin = points["margin"]
    groups = np.unique(points["dataset"], return_inverse=True)[1]
    labels, groups = (np.tile(column, len(margin)) for column in (points["label"], groups))
    return fit_temperature(labels, margin.ravel(), groups)


def _report_scores(datasets: Sequence[HeldOutData]) -> dict[str, Any]:
    network, deviation, baseline = {}, {}, {}
    robustness: dict[str, dict[str, float]] = {}
    for data in datasets:
        name, rows = data.cubes.name, data.scores_by_seed
        network[name] = mean_over_datasets(rows)
        deviation[name] = {k: float(np.std([row[k] for row in rows])) for k in rows[0]}
        aucs = mean_over_datasets(result.robustness for result in data.results)
        for corruption, auc in aucs.items():
            robustness.setdefault(corruption, {})[name] = auc
        if data.contrast is not None:
            baseline[name] = ranking_metrics(data.cubes.labels, data.contrast, None)
    return {
        "network": _add_mean(network),
        "deviation_over_seeds": deviation,
        "contrast": _add_mean(baseline),
        "robustness_auc": {
            corruption: row | {"mean": float(np.mean(list(row.values())))}
            for corruption, row in robustness.items()
        },
    }


def _add_mean(rows: dict[str, dict[str, float]]) -> dict[str, dict[str, float]]:
    return rows | {"mean": mean_over_datasets(rows.values())} if rows else {}


def _report_trainings(results: Sequence[FoldResult]) -> dict[str, Any]:
    """Report the mean course of the loss on augmented batches, and the cost."""
    losses = [[row["loss"] for row in result.rows] for result in results if result.rows]
    peaks = [result.peak_mb for result in results if result.peak_mb]
    return {
        "loss": np.mean(losses, axis=0).tolist() if losses else [],
        "seconds_of_training": float(np.mean([result.seconds for result in results])),
        "training_memory_mb": max(peaks, default=None),
    }
