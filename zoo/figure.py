"""Figures of matplotlib as PNG."""

import io

from matplotlib.figure import Figure


def png_bytes(figure: Figure) -> bytes:
    """Return a figure as PNG, at its own resolution.

    Matplotlib's version is left out of the file, so that the same figure gives the same bytes for
    longer.
    """
    stream = io.BytesIO()
    figure.savefig(stream, format="png", metadata={"Software": None})
    return stream.getvalue()
