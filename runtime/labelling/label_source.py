"""Labels from a file: a table or points of any format, or what a page or a viewer keeps."""

from pathlib import Path

import numpy as np

from ..adapt import match_labels
from ..errors import InputError
from ..points import CELL, NO_CELL, Points, read_points
from .history import Step, identify_candidates
from .labelling_session import LabellingSession

_LARGEST = 10**8  # bytes of a JSON file


def read_steps(path: str | Path, session: LabellingSession, shape: tuple[int, ...]) -> list[Step]:
    """Read the labels of a file that belong to the candidates of a session.

    Parameters
    ----------
    path : str or Path
        JSON that a page or `History` wrote; or points of type 2, a cell, or 1, no cell, at the
        positions of candidates, in any format of `read_points`.
    session : LabellingSession
    shape : (z, y, x)
        Of the volume.

    Returns
    -------
    list of (row, type)
        For `LabellingSession.take`.

    Raises
    ------
    InputError
        The file cannot be read, or belongs to other candidates.
    """
    path = Path(path)
    if path.suffix.lower() != ".json":
        nothing = np.zeros(len(session.zyx), np.int16)
        labels = match_labels(Points(session.zyx, nothing, "these candidates"), read_points(path))
        kinds = np.where(labels.cells, CELL, NO_CELL)
        return list(zip(labels.rows.tolist(), kinds.tolist(), strict=True))
    try:
        if path.stat().st_size > _LARGEST:
            raise InputError(f"{path} is larger than {_LARGEST // 10**6} MB: it holds no labels.")
        text = path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read ({error}). Choose another file.") from None
    # A page of all candidates knows only those with features.
    usable = np.flatnonzero(np.isfinite(session.margins))
    digest = identify_candidates(shape, session.zyx, usable)
    return session.history.read(text, str(path), (digest,))
