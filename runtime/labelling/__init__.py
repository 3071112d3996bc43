"""Labelling: a session that learns with each label, and a page that does without a viewer."""

from .history import SKIPPED, History, Step, identify_candidates, open_history
from .label_file import LabelFile, labels_folder
from .label_page import MOST_POOL, POOL, PageSummary, write_label_page
from .label_source import read_steps
from .labelling_session import LabellingSession
from .opening import open_labelling
from .page_text import hash_for_policy, json_for_html
from .planes import FIELD, FIELDS
from .quality import Verdict, describe_quality, judge

__all__ = [
    "FIELD",
    "FIELDS",
    "MOST_POOL",
    "POOL",
    "SKIPPED",
    "History",
    "LabelFile",
    "LabellingSession",
    "PageSummary",
    "Step",
    "Verdict",
    "describe_quality",
    "hash_for_policy",
    "identify_candidates",
    "json_for_html",
    "judge",
    "labels_folder",
    "open_history",
    "open_labelling",
    "read_steps",
    "write_label_page",
]
