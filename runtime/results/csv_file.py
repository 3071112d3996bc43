"""Results as a CSV file, which holds every point."""

from pathlib import Path

import numpy as np

from ..files import atomic_write
from ..points import CELL, NO_CELL, OWN_COLUMNS
from .flag import Flag
from .outcomes import Outcomes


def write_csv(path: str | Path, outcomes: Outcomes) -> None:
    """Write all points, in order, to a CSV file.

    Its columns are ``x,y,z,type,probability,flag``, ``uncertainty`` for an ensemble, and then the
    further columns of the table that the points come from. Type, probability and uncertainty of a
    point that was not classified are empty. Coordinates (voxels) and probabilities are the
    shortest texts that read back as the same float64 and float32.

    Parameters
    ----------
    path : str or Path
    outcomes : Outcomes

    Raises
    ------
    InputError, EnvironmentProblem
        See `atomic_write`.
    """
    types = {0: "", NO_CELL: str(NO_CELL), CELL: str(CELL)}
    flags = {int(flag): flag.text for flag in Flag}
    has_uncertainty = outcomes.uncertainty is not None
    extra = outcomes.columns
    names = OWN_COLUMNS if has_uncertainty else OWN_COLUMNS[:-1]
    title = ",".join(names) if extra is None else ",".join((*names, extra.title()))
    with atomic_write(path, "wb") as file:  # bytes, since the further columns need not be UTF-8
        file.write(f"{title}\n".encode("utf-8", "surrogateescape"))
        start = 0
        for columns in outcomes.format_chunks(np.arange(len(outcomes.types))):
            lines = [
                f"{a},{b},{c},{types[t]},{p if t else ''},{flags[f]}"
                + (f",{u if t else ''}" if has_uncertainty else "")
                for a, b, c, t, p, f, u in zip(*columns, strict=True)
            ]
            if extra is not None:
                rows = extra.rows(start, start + len(lines))
                lines = [f"{line},{row}" for line, row in zip(lines, rows, strict=True)]
            start += len(lines)
            file.write("\n".join([*lines, ""]).encode("utf-8", "surrogateescape"))
