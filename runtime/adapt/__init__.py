"""Adapt an artifact's head to a brain by a few labels, with numpy alone."""

from .learner import DEVIATIONS, Lesson, Prior, fit_head, logistic, measure_scale
from .selection import BATCH, Pool, choose_next, make_pool

__all__ = [
    "BATCH",
    "DEVIATIONS",
    "Lesson",
    "Pool",
    "Prior",
    "choose_next",
    "fit_head",
    "logistic",
    "make_pool",
    "measure_scale",
]
