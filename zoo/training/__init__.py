"""Training: from labelled cubes to weights and a card."""

from .card import card_of, fitted, read_report, validation_scores
from .cross_validation import cross_validate, crossval_table
from .fit import hardware, margins, predict, silence_lightning, train, train_into
from .journal import Row, plain_state
from .run_folder import RunFolder, describe, is_main_process
from .start import prepare_start

__all__ = [
    "Row",
    "RunFolder",
    "card_of",
    "cross_validate",
    "crossval_table",
    "describe",
    "fitted",
    "hardware",
    "is_main_process",
    "margins",
    "plain_state",
    "predict",
    "prepare_start",
    "read_report",
    "silence_lightning",
    "train",
    "train_into",
    "validation_scores",
]
