"""Results as brainglobe-utils' YAML, for brainmapper and napari."""

from pathlib import Path

import numpy as np

from ..files import atomic_write
from .flag import Flag
from .outcomes import Outcomes


def write_yaml(path: str | Path, outcomes: Outcomes) -> None:
    """Write the classified points as brainglobe-utils' YAML, in order.

    The ``metadata`` of a point hold its probability, and its uncertainty and flag if it has any.
    brainglobe-napari-io shows them as features of the layer.

    Parameters
    ----------
    path : str or Path
    outcomes : Outcomes

    Raises
    ------
    InputError, EnvironmentProblem
        See `atomic_write`.
    """
    rows = np.flatnonzero(outcomes.types)
    flags = {int(flag): f"      flag: {flag.text}\n" if flag else "" for flag in Flag}
    with atomic_write(path) as file:
        file.write(f"CellCounter_Marker_File: true\nnum_candidates: {len(rows)}\n")
        file.write("candidate_cells:\n" if len(rows) else "candidate_cells: []\n")
        uncertainty = "" if outcomes.uncertainty is None else "      uncertainty: {}\n"
        for columns in outcomes.format_chunks(rows):
            file.writelines(
                f"  - x: {a}\n    y: {b}\n    z: {c}\n    type: {t}\n    metadata:\n"
                f"      probability: {p}\n{uncertainty.format(u)}{flags[f]}"
                for a, b, c, t, p, f, u in zip(*columns, strict=True)
            )
