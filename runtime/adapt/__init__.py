"""Adapt an artifact's head to a brain by a few labels, with numpy alone."""

from .adaptation import Adaptation, adapt, check_head, make_adaptation
from .embedding import Embedding, embed_volumes
from .estimate import CONFIDENCE, Estimate, Range, estimate_quality
from .evidence import weigh_labels
from .labels import Labels, match_labels
from .learner import (
    DEVIATIONS,
    LEAST_PER_CLASS,
    Lesson,
    fit_head,
    measure_scale,
)
from .prior import Prior, logistic
from .selection import BATCH, Pool, choose_next, make_pool
from .volumes import (
    LabelledVolume,
    Measured,
    lab_statistics,
    measure_volume,
    prior_for,
    standardise,
)

__all__ = [
    "BATCH",
    "CONFIDENCE",
    "DEVIATIONS",
    "LEAST_PER_CLASS",
    "Adaptation",
    "Embedding",
    "Estimate",
    "LabelledVolume",
    "Labels",
    "Lesson",
    "Measured",
    "Pool",
    "Prior",
    "Range",
    "adapt",
    "check_head",
    "choose_next",
    "embed_volumes",
    "estimate_quality",
    "fit_head",
    "lab_statistics",
    "logistic",
    "make_adaptation",
    "make_pool",
    "match_labels",
    "measure_scale",
    "measure_volume",
    "prior_for",
    "standardise",
    "weigh_labels",
]
