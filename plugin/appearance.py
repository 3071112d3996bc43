"""The rings of candidates: orange for cells, blue for no cells, deeper the surer the model."""

from typing import Any

import numpy as np
import pandas as pd
from napari.layers import Points

from ..runtime.points import CELL, NO_CELL
from ..runtime.results import Flag
from .curation import Curation

SIZE_UM = 14.0  # diameter of a ring, about that of a soma
REACH_UM = 15.0  # farthest distance above and below its plane at which a ring is drawn, smaller
RING, CURATED_RING = 0.12, 0.3  # widths, as fractions of the diameter
TYPES = {0: "not classified", NO_CELL: "no cell", CELL: "cell"}
LABELS = {0: "", NO_CELL: "no cell", CELL: "cell"}
_GREY = (0.6, 0.6, 0.6, 1.0)
# Pale at the threshold, deep at 0 and 1. Colour-blind people can tell blue from orange.
_SCALE = {
    NO_CELL: ((0.72, 0.90, 1.00, 1.0), (0.10, 0.45, 1.00, 1.0)),
    CELL: ((1.00, 0.90, 0.65, 1.0), (1.00, 0.45, 0.00, 1.0)),
}


def colours(probability: np.ndarray, threshold: float, types: np.ndarray) -> np.ndarray:
    """Return the colour of each candidate: deeper the farther its probability from the threshold.

    Parameters
    ----------
    probability : (N,) float, 0 to 1
        NaN if not classified.
    threshold : float
    types : (N,)
        2 cell, 1 no cell, 0 not classified.

    Returns
    -------
    (N, 4) float32, red, green, blue, opacity, 0 to 1
    """
    rgba = np.empty((len(types), 4), np.float32)
    rgba[:] = _GREY
    for label, reach in ((CELL, 1 - threshold), (NO_CELL, threshold)):
        rows = types == label
        certainty = np.clip(np.abs(probability[rows] - threshold) / reach, 0, 1)[:, None]
        pale, deep = np.array(_SCALE[label], np.float32)
        rgba[rows] = pale + (deep - pale) * certainty
    return rgba


def ring_colours(curation: Curation) -> np.ndarray:
    """Return (N, 4) float32 as `colours` does; curated candidates have the deepest colour."""
    probability = curation.results.probability.copy()
    for label, certain in ((CELL, 1.0), (NO_CELL, 0.0)):
        probability[curation.labels == label] = certain
    return colours(probability, curation.threshold, curation.types)


def ring_widths(curation: Curation) -> np.ndarray:
    """Return (N,) float64 fractions of the diameter; curated candidates have thick rings."""
    return np.where(curation.labels > 0, CURATED_RING, RING)


def features(curation: Curation) -> pd.DataFrame:
    """Return a row per candidate: probability, type, flag, uncertainty (ensembles), curated."""
    results = curation.results
    table: dict[str, Any] = {
        "probability": results.probability,
        "type": _categories(curation.types, TYPES),
        "flag": _categories(results.flags, {int(flag): flag.text for flag in Flag}),
    }
    if results.uncertainty is not None:
        table["uncertainty"] = results.uncertainty
    return pd.DataFrame({**table, "curated": _categories(curation.labels, LABELS)})


def draw(layer: Points, curation: Curation, threshold_only: bool = False) -> None:
    """Show a curation in its layer; ring widths stay if only the threshold has moved."""
    layer.border_color = ring_colours(curation)
    if not threshold_only:
        layer.border_width = ring_widths(curation)
    layer.features = features(curation)


def _categories(codes: np.ndarray, names: dict[int, str]) -> pd.Categorical:
    return pd.Categorical.from_codes(codes.astype(np.int64), list(names.values()))
