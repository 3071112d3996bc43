"""File of a part: what the networks gave for its candidates, and what was measured on the way.

It is an archive of numpy (``.npz``) without objects, whose bytes depend on its content alone.
"""

import json
import zipfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError
from ..files import atomic_write
from ..output import Circumstances
from ..shift import FeatureCounts


@dataclass(frozen=True, eq=False)
class Part:
    """Answers to the candidates of a part.

    Attributes
    ----------
    columns : list of (n, k) float32
        For each member of the model, as `AnswerTable.columns`.
    counts : dict of str to FeatureCounts
        As `AnswerTable.counts`.
    measures : dict of int to dict of str to (m,) float64
        As `Survey.measures`, in one piece; each measure is sorted by itself.
    circumstances : Circumstances
    """

    columns: list[np.ndarray]
    counts: dict[str, FeatureCounts]
    measures: Mapping[int, Mapping[str, np.ndarray]]
    circumstances: Circumstances


def write_part(path: Path, part: Part) -> None:
    """Write a part, atomically.

    Raises
    ------
    InputError, EnvironmentProblem
        See `atomic_write`.
    """
    arrays = {f"answers {number}": column for number, column in enumerate(part.columns)}
    for digest, counts in part.counts.items():
        arrays[f"below {digest}"] = counts.below
        arrays[f"candidates {digest}"] = np.array(counts.candidates)
    for spec, measures in part.measures.items():
        arrays |= {f"measure {spec} {name}": values for name, values in measures.items()}
    text = json.dumps(asdict(part.circumstances), sort_keys=True).encode()
    arrays["circumstances"] = np.frombuffer(text, np.uint8)
    with atomic_write(path, "wb") as file:
        np.savez(file, **arrays)  # pyright: ignore[reportArgumentType]  # arrays are no flags


def read_part(path: Path, rows: int) -> Part | None:
    """Read a part.

    Parameters
    ----------
    path : Path
    rows : int
        Number of its candidates.

    Returns
    -------
    Part or None
        None if there is no such file, or it is damaged: it has to be computed again.

    Raises
    ------
    InputError
        The file cannot be read.
    """
    try:
        with path.open("rb") as file:
            archive: Any = np.load(file, allow_pickle=False)
            return _parse({name: archive[name] for name in archive.files}, rows)
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile):
        return None
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}). Check the disk.") from error


def _parse(arrays: dict[str, np.ndarray], rows: int) -> Part:
    """Return the part in an archive; a `ValueError` or `KeyError` if it holds something else."""
    columns: list[np.ndarray] = []
    counts: dict[str, FeatureCounts] = {}
    measures: dict[int, dict[str, np.ndarray]] = {}
    for name, array in arrays.items():
        kind, _, rest = name.partition(" ")
        if kind == "answers":
            if array.ndim != 2 or len(array) != rows or array.dtype != np.float32:
                raise ValueError(name)
            columns.append(array)
        elif kind == "below":
            counts[rest] = FeatureCounts(array, int(arrays[f"candidates {rest}"]))
        elif kind == "measure":
            spec, _, measure = rest.partition(" ")
            measures.setdefault(int(spec), {})[measure] = array
    circumstances = Circumstances(**json.loads(arrays["circumstances"].tobytes()))
    return Part(columns, counts, measures, circumstances)
