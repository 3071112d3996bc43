"""One training of a cross-validation: all data sets but one, measured on that one."""

import json
import re
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
from torch import nn

from ....runtime.files import atomic_write
from ...data import LabelledCubes, Source, load
from ...evaluation import corrupt, list_corruptions, ranking_metrics, subsample
from ...recipe import Recipe
from ..evaluate import predict_margins
from ..fit import silence_lightning, train
from ..training_features import measure_training_features


@dataclass(frozen=True)
class Fold:
    """A training on all data sets but ``sources[held_out]``.

    Attributes
    ----------
    recipe : Recipe
    sources : tuple of Source
    held_out : int
        Index of the data set to measure on.
    seed : int
    corrupted : int
        Largest number of candidates that corruptions are tried on.
    folder : Path, optional
        Folder of stored results.
    """

    recipe: Recipe
    sources: tuple[Source, ...]
    held_out: int
    seed: int
    corrupted: int = 1000
    folder: Path | None = None

    @property
    def result_file(self) -> Path | None:
        """JSON file of the stored result."""
        name = re.sub(r"[^\w.-]", "_", self.sources[self.held_out].name)
        return self.folder and self.folder / f"{self.seed}-{self.held_out}-{name}.json"

    def fingerprint(self, cubes: Sequence[LabelledCubes]) -> dict[str, Any]:
        """Return what must be unchanged for a stored result to be valid.

        Parameters
        ----------
        cubes : sequence of LabelledCubes
            Data of all ``sources``.
        """
        description: dict[str, Any] = {
            "recipe": self.recipe.to_dict(),
            "data": {c.name: c.digest() for c in cubes},
            "held": self.sources[self.held_out].name,
            "shaken_with": self.corrupted,
        }
        if drawn := [c.name for c in cubes if c.drawn]:
            description["drawn"] = drawn
        return description


@dataclass(frozen=True)
class FoldResult:
    """Answers of one training to the data set held out, and its cost.

    Attributes
    ----------
    margin : (N,) float32
        Logit of cell minus that of no cell, per candidate of the data set held out.
    robustness : dict of float
        AUC by name of the corruption.
    seconds : float
        Duration of the training.
    peak_mb : float or None
        Peak memory of the process in MiB; None if the platform does not report it.
    rows : list of dict
        Metrics of each epoch.
    """

    margin: np.ndarray
    robustness: dict[str, float]
    seconds: float
    peak_mb: float | None
    rows: list[dict[str, float]]

    @classmethod
    def read(cls, path: Path, fingerprint: dict[str, Any]) -> "FoldResult | None":
        """Read a stored result; None if it is damaged or has another fingerprint."""
        try:
            fields = json.loads(path.read_text(encoding="utf-8"))
            if fields["of"] != fingerprint:
                return None
            margin = np.array(fields["margin"], np.float32)
            seconds, peak_mb, rows = fields["seconds"], fields["peak_mb"], fields.get("rows", [])
            return cls(margin, fields["shaken"], seconds, peak_mb, rows)
        except (OSError, KeyError, TypeError, ValueError, AttributeError, RecursionError):
            return None

    def write(self, path: Path, fingerprint: dict[str, Any]) -> None:
        """Store the result as JSON."""
        fields = {
            "margin": self.margin.tolist(),
            "shaken": self.robustness,
            "seconds": self.seconds,
            "peak_mb": self.peak_mb,
            "rows": self.rows,
            "of": fingerprint,
        }
        with atomic_write(path) as file:
            file.write(json.dumps(fields))


def run_fold(fold: Fold) -> FoldResult:
    """Return the stored result of a fold, or train and store it."""
    recipe, path = fold.recipe, fold.result_file
    cubes = _load_all(recipe, fold.sources)
    fingerprint = fold.fingerprint(cubes)
    if path and path.is_file():
        result = FoldResult.read(path, fingerprint)
        if result is not None:
            return result
    silence_lightning()
    torch.set_num_threads(1)
    held_out = cubes[fold.held_out]
    start = time.perf_counter()
    rest = [c for c in cubes if c is not held_out]
    net, rows = train(recipe, rest, fold.seed)
    seconds, peak_mb = time.perf_counter() - start, _peak_memory()
    training = measure_training_features(net, recipe, rest)
    margin = predict_margins(net, recipe, held_out, training)
    sample = subsample(held_out, fold.corrupted)
    robustness = {"as it is": _auc(net, recipe, sample)}
    for kind, level in list_corruptions(sample):
        robustness[f"{kind} {level:g}"] = _auc(net, recipe, corrupt(sample, kind, level))
    auc = ranking_metrics(held_out.labels, margin)["auc"]
    click.echo(
        f"{recipe.name}, seed {fold.seed}, without {held_out.name}: AUC {auc:.3f}, {seconds:.0f} s",
        err=True,
    )
    result = FoldResult(margin, robustness, seconds, peak_mb, rows)
    if path:
        result.write(path, fingerprint)
    return result


@lru_cache(maxsize=1)  # a worker trains several folds on the same cubes
def _load_all(recipe: Recipe, sources: tuple[Source, ...]) -> list[LabelledCubes]:
    card = recipe.card()
    return [load(source, card) for source in sources]


def _auc(net: nn.Module, recipe: Recipe, cubes: LabelledCubes) -> float:
    return ranking_metrics(cubes.labels, predict_margins(net, recipe, cubes), None)["auc"]


def _peak_memory() -> float | None:
    """Peak memory of this process in MiB; None if the platform does not report it."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    # Bytes on macOS, KiB elsewhere.
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)
