"""Learning in the viewer: a curation whose model follows each label, and what it shows of it."""

from .learning_box import LearningBox
from .live_curation import LiveCuration

__all__ = ["LearningBox", "LiveCuration"]
