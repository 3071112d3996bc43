"""Centre and spread of the features of candidates, by which a network's head standardises them.

Stain, microscope and tissue shift and scale a network's features. If each feature is measured from
the centre of its own brain's candidates, in units of their spread, much of that cancels, and no
label is needed (AdaBN, Li et al. 2016, arXiv:1603.04779, which replaces the statistics of batch
normalisation in the same way).
"""

import hashlib
from dataclasses import dataclass

import numpy as np

from .errors import InputError

# With k candidates, a median has a standard error of 1.25 / sqrt(k) spreads: 0.18 for 50, which is
# less than what the centres of two stains differ by. From there on the volume knows better than the
# training.
PRIOR_CANDIDATES = 50
NORMAL_MAD = 1.4826  # of a normal distribution, standard deviation / median absolute deviation
NORMAL_MEAN = 1.2533  # and / mean absolute deviation
# Share of the training's spread below which a feature is constant but for rounding.
SMALLEST_SPREAD = 1e-3
_FLOAT32 = np.finfo(np.float32)


@dataclass(frozen=True, eq=False)
class FeatureStatistics:
    """Centre and spread of each feature.

    Attributes
    ----------
    centre, spread : (F,) float32
        Finite, the spread positive.
    candidates : int
        Number of candidates of a volume that they were measured on; 0 for those of a training.

    Raises
    ------
    InputError
        The arrays have other shapes or types, or hold other numbers.
    """

    centre: np.ndarray
    spread: np.ndarray
    candidates: int = 0

    def __post_init__(self) -> None:
        for name in ("centre", "spread"):
            array: np.ndarray = getattr(self, name)
            if array.ndim != 1 or array.dtype != np.float32 or array.shape != self.centre.shape:
                raise InputError(
                    f"The {name} of the features is {array.dtype} {array.shape}; expected float32, "
                    "one number for each feature."
                )
        if not (np.isfinite(self.centre).all() and np.isfinite(self.spread).all()):
            raise InputError("The centre or spread of a feature is not finite; expected numbers.")
        if not (self.spread > 0).all():
            raise InputError(
                f"The smallest spread of a feature is {self.spread.min():g}; expected more than 0."
            )

    @property
    def digest(self) -> str:
        """SHA-256 of centre and spread, hexadecimal."""
        content = np.concatenate([self.centre, self.spread]).astype("<f4").tobytes()
        return hashlib.sha256(content).hexdigest()


def measure_features(features: np.ndarray, training: FeatureStatistics) -> FeatureStatistics:
    """Measure a volume's candidates, shrunk towards the statistics of the training.

    The centre is the median, the spread 1.4826 times the median absolute deviation from it: up to
    half of a volume's candidates may be debris, and their number must not matter. The spread is at
    least half of what the mean absolute deviation implies, since the median of the deviations is
    about 0 where nearly half of the values are equal, as behind a ReLU. A feature that does not
    vary says nothing of its spread and keeps that of the training.

    Parameters
    ----------
    features : (N, F) float32
        A row with NaN or infinity does not count.
    training : FeatureStatistics

    Returns
    -------
    FeatureStatistics
        (n volume + k training) / (n + k) for n candidates and k = 50, of spreads their logarithms.
        The order of the candidates changes no bit.
    """
    rows = np.isfinite(features.sum(axis=1, dtype=np.float64))
    n = int(rows.sum())
    centre = training.centre.astype(np.float64)
    spread = training.spread.astype(np.float64)
    share = n / (n + PRIOR_CANDIDATES)
    for j in range(features.shape[1] if n else 0):
        median, deviation = _measure(features[rows, j])
        centre[j] = share * median + (1 - share) * centre[j]
        if deviation > SMALLEST_SPREAD * spread[j]:
            spread[j] = np.exp(share * np.log(deviation) + (1 - share) * np.log(spread[j]))
    spread = np.clip(spread, _FLOAT32.tiny, _FLOAT32.max)
    return FeatureStatistics(centre.astype(np.float32), spread.astype(np.float32), n)


def _measure(values: np.ndarray) -> tuple[float, float]:
    """Return the median and spread of the numbers of one feature, (n,) float32."""
    values = np.sort(values).astype(np.float64)  # sorted, since a sum depends on the order
    median = float(np.median(values))
    deviations = np.abs(values - median)
    spread = NORMAL_MAD * float(np.median(deviations))
    return median, max(spread, 0.5 * NORMAL_MEAN * float(deviations.mean()))
