"""Record of a brain: the figures of its results, from which the cohort's table and page are made.

The last file of a brain's folder, so that it marks a complete set.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ...runtime.job import Job
from ...runtime.results import Results

RECORD = "brain.json"
BINS = 100  # of the probability, by which counts at each hundredth are exact
COLUMNS = (
    "brain",
    "points",
    "cells",
    "no_cells",
    "not_classified",
    "edge",
    "share",
    "expected",
    "mean_probability",
    "shift",
    "verdict",
    "threshold",
    "model",
    "seconds",
    "failure",
)
OUTLIER_COLUMN = "stands_out"  # which all brains together decide on


@dataclass(frozen=True)
class Record:
    """Figures of a brain.

    Attributes
    ----------
    name : str
    key : str
        Identity of the results: a run again with the same key does nothing.
    counts : mapping of str to int
        `Results.counts`.
    expected : float
        Sum of the probabilities: the number of cells, if they are calibrated.
    mean_probability : float
        Of the classified points; NaN without any.
    shift : float
        Largest shift score of the model's members; NaN if none is known.
    verdict : str
        Its verdict; "" if none is known.
    threshold : float
    model : str
    at_least : list of int
        Number of points whose probability is at least 0, 0.01, ..., 1.
    notes : list of str
    seconds : float
        Of computing and gathering, in the last run.
    failure : str
        Why the brain was not classified; "" if it was.
    """

    name: str
    key: str = ""
    counts: Mapping[str, int] | None = None
    expected: float = float("nan")
    mean_probability: float = float("nan")
    shift: float = float("nan")
    verdict: str = ""
    threshold: float = float("nan")
    model: str = ""
    at_least: tuple[int, ...] = ()
    notes: tuple[str, ...] = ()
    seconds: float = float("nan")
    failure: str = ""

    @classmethod
    def of(cls, name: str, key: str, job: Job, results: Results, seconds: float) -> "Record":
        """Return the record of results."""
        probability = results.probability[results.types > 0]
        # As float32, in which probabilities are compared with a threshold.
        edges = (np.arange(BINS + 1) / BINS).astype(np.float32)
        below = np.searchsorted(np.sort(probability), edges, side="left")
        scores = [shift for shift in results.shifts.values() if not np.isnan(shift.score)]
        farthest = max(scores, key=lambda shift: shift.score, default=None)
        total = float(probability.sum(dtype=np.float64))
        return cls(
            name,
            key,
            results.counts(),
            total,
            total / len(probability) if len(probability) else float("nan"),
            farthest.score if farthest else float("nan"),
            farthest.verdict if farthest else "",
            job.threshold,
            job.model.title,
            tuple((len(probability) - below).tolist()),
            results.notes,
            round(seconds, 1),
        )

    @classmethod
    def read(cls, folder: Path) -> "Record | None":
        """Read the record in a folder of results; None if there is none that can be read."""
        try:
            content: Any = json.loads((folder / RECORD).read_text(encoding="utf-8"))
            for name in ("at_least", "notes"):
                content[name] = tuple(content[name])
            for name in ("expected", "mean_probability", "shift", "threshold", "seconds"):
                content[name] = float("nan") if content[name] is None else float(content[name])
            return cls(**content)
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def to_json(self) -> str:
        """Return the record as JSON, NaN as null."""
        content = {name: _finite(value) for name, value in asdict(self).items()}
        return json.dumps(content, indent=1, allow_nan=False)

    @property
    def share(self) -> float:
        """Share of cells among the classified points; NaN without any."""
        counts = self.counts or {}
        classified = counts.get("cells", 0) + counts.get("no_cells", 0)
        return counts["cells"] / classified if classified else float("nan")

    def row(self) -> dict[str, Any]:
        """Return the values of `COLUMNS`; "" for those that are not known."""
        counts = self.counts or {}
        values = {name: counts.get(name, "") for name in COLUMNS}
        values |= {
            "brain": self.name,
            "share": _rounded(self.share),
            "expected": _rounded(self.expected, 1),
            "mean_probability": _rounded(self.mean_probability),
            "shift": _rounded(self.shift, 3),
            "verdict": self.verdict,
            "threshold": _rounded(self.threshold, 9),
            "model": self.model,
            "seconds": _rounded(self.seconds, 1),
            "failure": self.failure,
        }
        return values


def identify_results(job: Job, key: str) -> str:
    """Return the identity of a job's results: that of its answers, and what combines them.

    Parameters
    ----------
    job : Job
    key : str
        Identity of the answers, `Parts.key`.
    """
    members = [(member.weight, member.temperature) for member in job.model.members]
    content = json.dumps([key, members, job.threshold])
    return hashlib.sha256(content.encode()).hexdigest()


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not np.isfinite(value) else value


def _rounded(value: float, digits: int = 4) -> float | str:
    return round(value, digits) if np.isfinite(value) else ""
