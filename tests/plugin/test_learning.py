"""A model that learns in the viewer: keys, colours, the next candidate, files, and a killed napari."""

import numpy as np
import pytest

pytestmark = pytest.mark.slow


def play(press, classified, sample, count):
    """Label what the viewer shows, as the truth is."""
    for _ in range(count):
        (row,) = classified.selected_data
        press("C" if sample.types[row] == 2 else "X")


def test_x(widget, learner, press, sample, labels):
    press("N")
    play(press, learner, sample, 20)
    print(widget.status.text(), widget.panel.learning.headline.text(), widget.panel.learning.verdict.text(), list(labels.iterdir()))
    print(widget.panel.counts.text())
    import time
    widget.grab().save("/tmp/h/napari/w.png")
