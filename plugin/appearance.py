"""How candidates look: a ring each, orange for cells and blue for no cells, deeper when surer."""

from typing import Any

import numpy as np
import pandas as pd

from ..runtime.points import CELL, NO_CELL
from ..runtime.results import Flag
from .curation import Curation

SIZE_UM = 14.0  # diameter of a ring, about that of a soma


REACH_UM = 15.0  # so far above and below its plane a ring is still drawn, ever smaller


RING, CURATED_RING = 0.12, 0.3  # width, of the diameter


TYPES = {0: "not classified", NO_CELL: "no cell", CELL: "cell"}


LABELS = {0: "", NO_CELL: "no cell", CELL: "cell"}


_GREY = (0.6, 0.6, 0.6, 1.0)


# Pale at the threshold, deep at 0 and 1; blue and orange, which the colour-blind can tell apart.
_SCALE = {
    NO_CELL: ((0.72, 0.90, 1.00, 1.0), (0.10, 0.45, 1.00, 1.0)),
    CELL: ((1.00, 0.90, 0.65, 1.0), (1.00, 0.45, 0.00, 1.0)),
}


def colours(probability: np.ndarray, threshold: float, types: np.ndarray) -> np.ndarray:
    """Colour of each candidate by its probability, as far as that is from the threshold.

    Parameters
    ----------
    probability : (N,) float, 0 to 1
        NaN where not classified.
    threshold : float
    types : (N,)
        2 cell, 1 no cell, 0 not classified.

    Returns
    -------
    (N, 4) float32, red, green, blue, opacity, 0 to 1
    """
    out = np.empty((len(types), 4), np.float32)
    out[:] = _GREY
    for kind, room in ((CELL, 1 - threshold), (NO_CELL, threshold)):
        rows = types == kind
        sure = np.clip(np.abs(probability[rows] - threshold) / room, 0, 1)[:, None]
        pale, deep = np.array(_SCALE[kind], np.float32)
        out[rows] = pale + (deep - pale) * sure
    return out


def ring_colours(curation: Curation) -> np.ndarray:
    """(N, 4) float32: as `colours`, those with a label as sure as can be."""
    probability = curation.results.probability.copy()
    for kind, sure in ((CELL, 1.0), (NO_CELL, 0.0)):
        probability[curation.labels == kind] = sure
    return colours(probability, curation.threshold, curation.types)


def ring_widths(curation: Curation) -> np.ndarray:
    """(N,) float64, shares of the diameter: thick rings have a label."""
    return np.where(curation.labels > 0, CURATED_RING, RING)


def features(curation: Curation) -> pd.DataFrame:
    """A row each: probability, type, flag, uncertainty of an ensemble, curated."""
    results = curation.results
    table: dict[str, Any] = {
        "probability": results.probability,
        "type": _named(curation.types, TYPES),
        "flag": _named(results.flags, {int(flag): flag.text for flag in Flag}),
    }
    if results.uncertainty is not None:
        table["uncertainty"] = results.uncertainty
    return pd.DataFrame({**table, "curated": _named(curation.labels, LABELS)})


def _named(codes: np.ndarray, names: dict[int, str]) -> pd.Categorical:
    return pd.Categorical.from_codes(codes.astype(np.int64), list(names.values()))
