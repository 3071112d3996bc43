"""Labelling without a viewer: one HTML page with pictures of candidates and a model that learns."""

from .label_page import MOST_POOL, POOL, PageSummary, write_label_page
from .planes import FIELD, FIELDS

__all__ = ["FIELD", "FIELDS", "MOST_POOL", "POOL", "PageSummary", "write_label_page"]
