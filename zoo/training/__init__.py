"""Training: from a request and labelled cubes to a network and its card."""

from .card import draft_card
from .evaluate import predict, predict_margins, score_validation
from .fit import silence_lightning, train, train_in_folder
from .held_out import (
    HeldOutAnswers,
    Settlement,
    answer_out_of_fold,
    answer_validation,
    cross_validate,
    describe_answers,
    format_cross_validation,
    interpolate,
    settle,
    settle_blindly,
)
from .journal import Row, copy_weights
from .plan import TrainingPlan, TrainingRequest, choose_hardware, plan_training
from .run_folder import RunFolder, describe_training, is_main_process
from .start import Start, prepare_start
from .training_features import measure_training_features

__all__ = [
    "HeldOutAnswers",
    "Row",
    "RunFolder",
    "Settlement",
    "Start",
    "TrainingPlan",
    "TrainingRequest",
    "answer_out_of_fold",
    "answer_validation",
    "choose_hardware",
    "copy_weights",
    "cross_validate",
    "describe_answers",
    "describe_training",
    "draft_card",
    "format_cross_validation",
    "interpolate",
    "is_main_process",
    "measure_training_features",
    "plan_training",
    "predict",
    "predict_margins",
    "prepare_start",
    "score_validation",
    "settle",
    "settle_blindly",
    "silence_lightning",
    "train",
    "train_in_folder",
]
