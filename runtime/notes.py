"""Notes on a run: signs that a model does not suit a volume, for people to look at."""

from collections.abc import Mapping

import numpy as np

from .artifact import Card, describe_unused_background
from .cubes import MEASURES, RELATIVE, measure_appearance
from .job import Job
from .points import CELL, NO_CELL
from .shift import Shift
from .volume import describe_other_voxel_sizes

SAMPLE = 500  # candidates, spread over the points
FEWEST = 20  # candidates; fewer say little about a volume
_TYPES = {"cells": CELL, "no cells": NO_CELL}
NEARLY_ALL = 0.98  # share of the points of one type that calls for a note


class Survey:
    """The appearance of a sample of the candidates, measured while they are classified.

    Threads may call `add` at once: the order of the measures does not matter.

    Parameters
    ----------
    job : Job
    rows : (n,) int64
        Points to classify.

    Attributes
    ----------
    measures : dict of int to list
        By the number of a spec, the measures of the sample so far, in pieces.
    """

    def __init__(self, job: Job, rows: np.ndarray):
        self._job = job
        places = np.linspace(0, max(len(rows) - 1, 0), SAMPLE, dtype=np.int64)
        self._sample = rows[places] if len(rows) else rows
        members = zip(job.model.members, job.spec_of_member, strict=True)
        self._cards = [(m.artifact.card, spec) for m, spec in members if m.artifact.card.appearance]
        self.measures: dict[int, list[Mapping[str, np.ndarray]]] = {s: [] for _, s in self._cards}

    def add(self, rows: np.ndarray, cubes: list[np.ndarray]) -> None:
        """Measure the cubes of those points that are in the sample.

        Parameters
        ----------
        rows : (n,) int64
            Rows of the points.
        cubes : list of (n, C, z, y, x) float32
            Their cubes, one array for each spec of the job.
        """
        chosen = np.isin(rows, self._sample)
        if chosen.any():
            for spec, measures in self.measures.items():
                measures.append(measure_appearance(cubes[spec][chosen, 0]))

    def notes(self, types: np.ndarray, shifts: Mapping[str, Shift]) -> tuple[str, ...]:
        """Return the notes on a run, and what the backends remark, a line each.

        Parameters
        ----------
        types : (N,) int8
            Types of all points; 0 if not classified.
        shifts : mapping of str to Shift
            By the digest of an artifact; see `Results`. What looks unlike the training but is like
            it to the network needs no note.
        """
        notes = [*describe_other_voxel_sizes(self._job.volumes, self._job.voxel_size)]
        notes.append(_describe_majority(types, self._job.threshold))
        if len(self._job.volumes) > 1:
            notes.append(describe_unused_background(self._job.model))
        for card, spec in self._cards:
            if card.digest in shifts and shifts[card.digest].verdict == "like":
                continue
            medians = {name: _median(values) for name, values in self._pool(spec).items()}
            notes.append(_describe_difference(card, medians))
        for session in self._job.sessions:
            notes += session.backend.remarks
        return tuple(dict.fromkeys(filter(None, notes)))

    def appearance(self) -> dict[str, np.ndarray]:
        """Return each measure of the sample, for the first model whose card states an appearance.

        Returns
        -------
        dict of str to (m,) float64
            Empty if no card does.
        """
        return self._pool(self._cards[0][1]) if self._cards else {}

    def _pool(self, spec: int) -> dict[str, np.ndarray]:
        batches = self.measures[spec]
        return {
            name: np.concatenate([batch[name] for batch in batches] or [np.zeros(0)])
            for name in MEASURES
        }


def _median(values: np.ndarray) -> float:
    """Return the median of the finite values; NaN if there are few."""
    values = values[np.isfinite(values)]
    return float(np.median(values)) if len(values) >= FEWEST else np.nan


def _describe_majority(types: np.ndarray, threshold: float) -> str:
    """Return a note if nearly all classified points have one type, else ""."""
    counts = {name: int(np.sum(types == kind)) for name, kind in _TYPES.items()}
    total = sum(counts.values())
    name = max(counts, key=counts.__getitem__)
    if total < FEWEST or counts[name] < NEARLY_ALL * total:
        return ""
    return (
        f"{counts[name]} of {total} classified points are {name}. Look at some of them before you "
        f"use the counts: the model, its threshold ({threshold:g}) or the voxel size may not suit "
        "this volume."
    )


def _describe_difference(card: Card, medians: Mapping[str, float]) -> str:
    """Return a note if the candidates look unlike those that a model was trained on, else ""."""
    differences = [
        f"{MEASURES[name]} {medians[name]:.2g} instead of {low:.2g} to {high:.2g}"
        for name, (low, high) in card.appearance.items()
        if not (card.normalisation == "dataset" and name in RELATIVE)
        and name in medians
        and (medians[name] < low or medians[name] > high)
    ]
    if not differences:
        return ""
    return (
        f"The candidates look unlike those that {card.name} was trained on (median "
        f"{', '.join(differences)}). Look at some of the results; a model trained on labels of "
        "this kind of data is likely to be better."
    )
