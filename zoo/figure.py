"""What the figures of several rooms share: their files, and scale bars."""

import io

from matplotlib.figure import Figure

BARS_UM = tuple(step * 10**power for power in range(4) for step in (1, 2, 5))


def choose_bar(width_um: float) -> int:
    """Choose the length (um) of the scale bar of a picture: round, and at most a third of it.

    It is 1 um for a picture of less than 3 um.
    """
    return max((bar for bar in BARS_UM if bar <= width_um / 3), default=1)


def png_bytes(figure: Figure) -> bytes:
    """Return a figure as PNG, at its own resolution.

    Matplotlib's version is left out of the file, so that the same figure gives the same bytes for
    longer.
    """
    stream = io.BytesIO()
    figure.savefig(stream, format="png", metadata={"Software": None})
    return stream.getvalue()
