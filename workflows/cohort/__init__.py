"""Cohorts: many brains in one table, classified one after another or by many workers."""

from .cohort import Cohort, classify_cohort, plan_cohort
from .duration import estimate_durations
from .plan import CohortFaults, Plan
from .record import Record
from .table import Brain, read_table

__all__ = [
    "Brain",
    "Cohort",
    "CohortFaults",
    "Plan",
    "Record",
    "classify_cohort",
    "estimate_durations",
    "plan_cohort",
    "read_table",
]
