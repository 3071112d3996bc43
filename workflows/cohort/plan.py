"""Plan of a brain: checked, divided into parts, with what it will take; nothing is computed."""

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ...runtime.claim import LOCK
from ...runtime.errors import CfzooError, InputError
from ...runtime.output import RUN_FILES
from ...runtime.parts import FOLDER, Manifest, Parts, Request, no_sessions
from .record import RECORD, Record, identify_results
from .table import Brain

BRAIN_FILES = (*RUN_FILES, RECORD)


class CohortFaults(InputError):
    """All faults of a table and its brains.

    Attributes
    ----------
    faults : list of str
        A sentence or two each.
    """

    def __init__(self, table: str, faults: Sequence[str]):
        self.faults = list(faults)
        super().__init__(
            f"{table} has {len(faults)} fault(s), and nothing was run: {' | '.join(faults)}"
        )


@dataclass(frozen=True)
class Plan:
    """What has to be done for a brain.

    Attributes
    ----------
    brain : Brain
    folder : Path
        Of its results.
    key : str
        Identity of the answers, `Parts.key`.
    results_key : str
        Identity of the results.
    points : int
        Number of candidates.
    sizes : tuple of int
        Number of points of each part that will be classified.
    parts_present : int
        Number of parts that an earlier run has computed.
    memory : int
        Estimate of the peak memory of a process that computes it, bytes.
    record : Record or None
        Of an earlier run, which has finished it.
    """

    brain: Brain
    folder: Path
    key: str
    results_key: str
    points: int
    sizes: tuple[int, ...]
    parts_present: int
    memory: int
    record: Record | None

    @property
    def request(self) -> Request:
        """The classification."""
        return self.brain.request

    def remove_parts(self) -> None:
        """Remove what an earlier run has computed."""
        shutil.rmtree(self.folder / FOLDER, ignore_errors=True)

    def describe(self) -> str:
        """Return a line: how much there is to do, and what it takes."""
        state = "done" if self.record else f"{self.parts_present} of {len(self.sizes)} parts done"
        return (
            f"{self.brain.name}: {self.points} points, {sum(self.sizes)} to classify, about "
            f"{self.memory / 1e9:.1f} GB, {state}"
        )


def plan_brains(
    brains: Sequence[Brain], output: Path, overwrite: bool = False
) -> tuple[list[Plan], list[str]]:
    """Check every brain: its files, voxel size, model, points and memory.

    Parameters
    ----------
    brains : sequence of Brain
    output : Path
        Folder of the cohort.
    overwrite : bool
        Whether results of an earlier run count for nothing.

    Returns
    -------
    plans : list of Plan
    faults : list of str
        Of the brains that cannot be classified.
    """
    plans: list[Plan] = []
    faults: list[str] = []
    for brain in brains:
        try:
            plans.append(_plan(brain, output / brain.name, overwrite))
        except CfzooError as error:
            faults.append(f"{brain.name}: {error}")
    return plans, faults


def _plan(brain: Brain, folder: Path, overwrite: bool) -> Plan:
    with brain.request.prepare(no_sessions) as job:
        parts = Parts.of(job, folder / FOLDER)
        results_key = identify_results(job, parts.key)
        record = None if overwrite else _check_folder(folder, results_key)
        if not overwrite and not record:
            Manifest(parts.key, brain.request).check(parts.folder)
        names = set() if overwrite else _list_names(parts.folder)
        return Plan(
            brain,
            folder,
            parts.key,
            results_key,
            len(job.points.zyx),
            tuple(map(len, parts.rows)),
            len(names & set(parts.names)),
            job.memory.estimate,
            record,
        )


def _check_folder(folder: Path, results_key: str) -> Record | None:
    """Return the record of the same results; refuse a folder of others."""
    record = Record.read(folder)
    if record and record.key == results_key and all((folder / n).is_file() for n in RUN_FILES):
        return record
    existing = [name for name in BRAIN_FILES if os.path.lexists(folder / name)]
    if existing and not (folder / LOCK).exists():  # else those of a run that was killed
        raise InputError(
            f"{folder} holds results of another classification ({', '.join(existing)}). Give "
            "another -o, or --overwrite."
        )
    return None


def _list_names(folder: Path) -> set[str]:
    try:
        return {path.name for path in folder.iterdir()}
    except OSError:
        return set()
