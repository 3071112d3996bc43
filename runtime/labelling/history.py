"""The history: what a user did, in order.

The labels follow from it, undo takes the last step back, and it is what is stored: in the format
that the page of `write_label_page` saves and opens (``history.js``), so that labels can go from
one to the other.
"""

import hashlib
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, cast
from weakref import WeakValueDictionary

import numpy as np

from ..adapt import Labels
from ..errors import InputError
from ..points import CELL, NO_CELL
from .label_file import LabelFile

FORMAT, VERSION = "cfzoo labels", 1
SKIPPED = 0  # type of a candidate that the user cannot tell
_TYPES = frozenset({CELL, NO_CELL, SKIPPED})

Step = tuple[int, int]  # row of a candidate, and its type


def identify_candidates(shape: Sequence[int], zyx: np.ndarray, rows: np.ndarray) -> str:
    """Return the name under which labels of some candidates of a volume are kept.

    Neither the model nor the look count: labels stay right with another.

    Parameters
    ----------
    shape : (z, y, x)
        Of the volume.
    zyx : (N, 3) float64, z y x, voxels
        All candidates.
    rows : (n,) int
        Those that can be labelled.
    """
    content = hashlib.sha256(np.array(shape, "<i8").tobytes())
    content.update(np.ascontiguousarray(zyx, "<f8").tobytes())
    content.update(np.ascontiguousarray(rows, "<i8").tobytes())
    return content.hexdigest()


class History:
    """Steps of a user, each a candidate and its type: 2 cell, 1 no cell, 0 skipped.

    Parameters
    ----------
    count : int
        Number of candidates.
    digest : str
        From `identify_candidates`.
    file : LabelFile, optional
        Where it is kept, at once with each step; what it holds is taken over.

    Attributes
    ----------
    steps : list of (row, type)
    revision : int
        Grows with every change, so that the newer of two copies is known.

    Raises
    ------
    InputError
        The file cannot be read, or holds something else.
    """

    def __init__(self, count: int, digest: str, file: LabelFile | None = None):
        self.count, self.digest, self.file = count, digest, file
        self.steps: list[Step] = []
        self.revision = 0
        self._sizes: list[int] = []  # of the groups of steps that were taken at once
        self.reload()

    def reload(self) -> None:
        """Take over what the file holds, such as steps of another window."""
        text = None if self.file is None else self.file.read()
        if text is not None:
            assert self.file is not None
            state = _parse(text, str(self.file.path))
            self._adopt(self._check(state, str(self.file.path), (self.digest,)), state["revision"])

    def add(self, rows: Iterable[int], kind: int) -> None:
        """Add a step for each of some candidates; `undo` takes all of them back at once.

        Raises
        ------
        InputError, EnvironmentProblem
            The steps could not be written; nothing has changed then.
        """
        self.extend([(row, kind) for row in rows])

    def extend(self, steps: Sequence[Step]) -> None:
        """Add steps as one; see `add`."""
        if steps:
            self._write([*self.steps, *steps])
            self._sizes.append(len(steps))

    def undo(self) -> list[int]:
        """Take the last steps back, and return their candidates; an empty list if there are none.

        Raises
        ------
        InputError, EnvironmentProblem
            As for `add`.
        """
        if not self.steps:
            return []
        size = self._sizes[-1] if self._sizes else 1
        rows = [row for row, _ in self.steps[-size:]]
        self._write(self.steps[:-size])
        if self._sizes:
            self._sizes.pop()
        return rows

    def types(self) -> dict[int, int]:
        """Return the last type of each candidate that has one, in the order of the first steps."""
        return dict(self.steps)

    def labels(self) -> Labels:
        """Return the labels, without the skipped, in the order of the first steps."""
        pairs = [(row, kind) for row, kind in self.types().items() if kind != SKIPPED]
        rows = np.array([row for row, _ in pairs], np.int64)
        cells = np.array([kind == CELL for _, kind in pairs], bool)
        return Labels(rows, cells, "" if self.file is None else str(self.file.path))

    def to_json(self) -> str:
        """Return the text that the file holds."""
        return self._encode(self.steps, self.revision)

    def read(self, text: str, source: str, others: Sequence[str] = ()) -> list[Step]:
        """Return the steps of a text that `to_json`, or a page, wrote.

        Parameters
        ----------
        text : str
        source : str
            Its name, for messages.
        others : sequence of str
            Further digests that these candidates have, such as that of the page.

        Raises
        ------
        InputError
            It is something else, or of other candidates.
        """
        return self._check(_parse(text, source), source, (self.digest, *others))

    def _write(self, steps: list[Step]) -> None:
        if self.file is not None:
            self.file.write(self._encode(steps, self.revision + 1))
        self.steps, self.revision = steps, self.revision + 1

    def _encode(self, steps: Sequence[Step], revision: int) -> str:
        state = {
            "format": FORMAT,
            "version": VERSION,
            "candidates": self.digest,
            "revision": revision,
            "steps": [[row + 1, kind] for row, kind in steps],
        }
        return json.dumps(state)

    def _adopt(self, steps: list[Step], revision: int) -> None:
        if steps != self.steps:
            self.steps, self._sizes = steps, []
        self.revision = revision

    def _check(self, state: dict[str, Any], source: str, digests: Sequence[str]) -> list[Step]:
        if state["candidates"] not in digests:
            raise InputError(
                f"{source} belongs to other candidates, or to a page with a part of them. Save the "
                "labels there as a CSV, and open that."
            )
        return [self._check_step(step, source) for step in state["steps"]]

    def _check_step(self, step: Any, source: str) -> Step:
        if isinstance(step, list) and len(pair := cast(list[Any], step)) == 2:
            number, kind = pair
            is_row = type(number) is int and 1 <= number <= self.count
            if is_row and type(kind) is int and kind in _TYPES:
                return number - 1, kind
        raise InputError(
            f"{source} is damaged: the step {step!r:.40} is no candidate with a type. Move it away."
        )


_open: WeakValueDictionary[Path, History] = WeakValueDictionary()


def open_history(count: int, digest: str, folder: Path | None = None) -> History:
    """Open the history of some candidates, with the labels of an earlier visit.

    Within a process there is one history of each file, so that two sessions share their labels.

    Parameters
    ----------
    count, digest
        As for `History`.
    folder : Path, optional
        Where it is kept, under its digest; by default nowhere.

    Raises
    ------
    InputError
        The file cannot be read, or holds something else.
    """
    if folder is None:
        return History(count, digest)
    path = folder / f"{digest}.json"
    history = _open.get(path)
    if history is None:
        history = _open[path] = History(count, digest, LabelFile(path))
    else:
        history.reload()
    return history


def _parse(text: str, source: str) -> dict[str, Any]:
    """Return the state of a text, whose candidates and steps are not checked yet."""
    try:
        value: Any = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{source} is not valid JSON ({error}). Move it away.") from None
    state = cast(dict[str, Any], value) if isinstance(value, dict) else {}
    if state.get("format") != FORMAT:
        raise InputError(f"{source} is no file of labels of cfzoo; choose one, or a CSV.")
    if state.get("version") != VERSION:
        raise InputError(f"{source} has version {state.get('version')!r:.20}; expected {VERSION}.")
    is_whole = isinstance(state.get("steps"), list) and isinstance(state.get("revision"), int)
    if not is_whole or not isinstance(state.get("candidates"), str):
        raise InputError(f"{source} is damaged: a field is missing. Move it away.")
    return state
