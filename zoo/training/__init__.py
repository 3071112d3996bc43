"""Training: from a request and labelled cubes to a network and its card."""

from .card import draft_card, measure_features
from .cross_validation import cross_validate, format_cross_validation
from .evaluate import fit_temperature_and_threshold, predict, predict_margins, score_validation
from .fit import silence_lightning, train, train_in_folder
from .journal import Row, copy_weights
from .plan import TrainingPlan, TrainingRequest, choose_hardware, plan_training
from .run_folder import RunFolder, describe_training, is_main_process
from .start import Start, prepare_start

__all__ = [
    "Row",
    "RunFolder",
    "Start",
    "TrainingPlan",
    "TrainingRequest",
    "choose_hardware",
    "copy_weights",
    "cross_validate",
    "describe_training",
    "draft_card",
    "fit_temperature_and_threshold",
    "format_cross_validation",
    "is_main_process",
    "measure_features",
    "plan_training",
    "predict",
    "predict_margins",
    "prepare_start",
    "score_validation",
    "silence_lightning",
    "train",
    "train_in_folder",
]
