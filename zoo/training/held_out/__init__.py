"""Held-out answers: what networks say of candidates that they were not trained on."""

from .answers import HeldOutAnswers, answer_validation
from .cross_validation import cross_validate, format_cross_validation
from .interpolation import SHARES, interpolate
from .out_of_fold import answer_out_of_fold
from .settlement import Settlement, describe_answers, settle, settle_blindly

__all__ = [
    "SHARES",
    "HeldOutAnswers",
    "Settlement",
    "answer_out_of_fold",
    "answer_validation",
    "cross_validate",
    "describe_answers",
    "format_cross_validation",
    "interpolate",
    "settle",
    "settle_blindly",
]
