"""Adapt an artifact's head to a brain by a few labels, with numpy alone."""

from .learner import DEVIATIONS, Lesson, Prior, fit_head, measure_scale

__all__ = ["DEVIATIONS", "Lesson", "Prior", "fit_head", "measure_scale"]
