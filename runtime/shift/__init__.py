"""Shift: how unlike the training data a volume is, by the features of its candidates."""

from .card_field import describe_training, read_training
from .feature_counts import FeatureCounts
from .score import Shift, measure_shift
from .training_features import FEWEST, LEVELS, TrainingFeatures, measure_training

__all__ = [
    "FEWEST",
    "LEVELS",
    "FeatureCounts",
    "Shift",
    "TrainingFeatures",
    "describe_training",
    "measure_shift",
    "measure_training",
    "read_training",
]
