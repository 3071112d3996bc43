"""Evaluation: metrics, thresholds, calibration, corruptions, and the untrained baseline."""

from .baseline import local_contrast
from .calibration import (
    cross_calibrate,
    fit_line,
    fit_platt,
    fit_temperature,
    platt_scaling,
    temperature_scaling,
)
from .corruptions import CORRUPTIONS, corrupt, list_corruptions, subsample
from .label_errors import find_label_errors
from .metrics import mean_over_datasets, ranking_metrics
from .mixture import fit_mixture
from .thresholds import check_rule, choose_threshold

__all__ = [
    "CORRUPTIONS",
    "check_rule",
    "choose_threshold",
    "corrupt",
    "cross_calibrate",
    "find_label_errors",
    "fit_line",
    "fit_mixture",
    "fit_platt",
    "fit_temperature",
    "list_corruptions",
    "local_contrast",
    "mean_over_datasets",
    "platt_scaling",
    "ranking_metrics",
    "subsample",
    "temperature_scaling",
]
