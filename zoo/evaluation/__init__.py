"""Evaluation: scores, thresholds, calibration, and the baseline without training."""

from .baseline import contrast
from .calibration import by_line, by_temperature, calibrated, line
from .corruptions import CORRUPTIONS, corrupt, levels, subsample
from .metrics import mean_over_datasets, scores, temperature
from .mixture import fit_mixture
from .thresholds import check_rule, choose_threshold

__all__ = [
    "CORRUPTIONS",
    "by_line",
    "by_temperature",
    "calibrated",
    "check_rule",
    "choose_threshold",
    "contrast",
    "corrupt",
    "fit_mixture",
    "levels",
    "line",
    "mean_over_datasets",
    "scores",
    "subsample",
    "temperature",
]
