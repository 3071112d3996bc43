"""Classification of a cohort: everything checked first, then brain after brain or by workers."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...runtime.claim import claim_folder
from ...runtime.errors import CfzooError
from ...runtime.options import Options
from ...runtime.parts import Shard
from .brain_run import close_brain, compute_shard, finish_brain, start_brain
from .cluster_file import ClusterFile
from .cohort_files import COHORT_FILES, MARK, write_cohort
from .plan import CohortFaults, Plan, plan_brains
from .record import Record
from .spread import describe_failure, open_client, run_plans
from .table import read_table


@dataclass(frozen=True)
class Cohort:
    """What has become of a cohort.

    Attributes
    ----------
    folder : Path
        Of the cohort: ``cohort.csv``, ``index.html``, and a folder for each brain.
    plans : list of Plan
        In the order of the table.
    records : list of Record
        Of the same brains.
    """

    folder: Path
    plans: list[Plan] = field(repr=False)
    records: list[Record]

    @property
    def failures(self) -> list[Record]:
        """Records of the brains that were not classified."""
        return [record for record in self.records if record.failure]


def plan_cohort(
    table: str | os.PathLike[str],
    output: str | os.PathLike[str],
    *,
    models: Sequence[str] = (),
    options: Options | None = None,
    overwrite: bool = False,
) -> list[Plan]:
    """Check a table and all its brains, without computing or writing anything.

    Parameters
    ----------
    table, output, models, options, overwrite
        As for `classify_cohort`.

    Returns
    -------
    list of Plan
        One for each row.

    Raises
    ------
    CohortFaults
        All faults of all rows: an `InputError`.
    InputError
        The table cannot be read.
    """
    brains, faults = read_table(Path(table), models, options)
    # Absolute, since workers may have been started in another folder.
    plans, further = plan_brains(brains, Path(output).absolute(), overwrite)
    if faults or further:
        raise CohortFaults(str(table), [*faults, *further])
    return plans


def classify_cohort(
    table: str | os.PathLike[str],
    output: str | os.PathLike[str],
    *,
    models: Sequence[str] = (),
    options: Options | None = None,
    dask: Any = None,
    overwrite: bool = False,
    planned: Callable[[list[Plan]], object] = lambda plans: None,
    finished: Callable[[Record], object] = lambda record: None,
    progress: Callable[[int], object] = lambda points: None,
) -> Cohort:
    """Classify the brains of a table.

    Everything is checked before anything runs. The answers are kept in parts on the way, so that
    the same call goes on where one was killed, and skips the brains that are done. A brain that
    fails does not stop the others.

    Parameters
    ----------
    table : path
        CSV with a row for each brain; see `read_table`.
    output : path
        Folder. Each brain gets a folder in it with the files of ``cfzoo classify``.
    models : sequence of str
        For rows without a model of their own; if empty, the default artifact.
    options : Options, optional
        For all brains.
    dask : str or distributed.Client, optional
        ``local``: one worker of dask.distributed for each CPU of this computer. Otherwise a client,
        the address of a scheduler, or a YAML file for dask-jobqueue (`ClusterFile`); their workers
        see the same files.
    overwrite : bool
        Whether to start anew and to replace results.
    planned : callable
        Called once with the plans, before anything runs.
    finished : callable
        Called with the record of each brain that was done or has failed in this run.
    progress : callable
        Called with numbers of points.

    Returns
    -------
    Cohort

    Raises
    ------
    CohortFaults
        All faults of all rows: an `InputError`.
    InputError
        The table cannot be read, or the folder is in use or holds something else.
    EnvironmentProblem
        dask is missing, or the disk is full.
    """
    if isinstance(dask, str) and dask.endswith((".yaml", ".yml")):
        dask = ClusterFile.read(dask)
    folder = Path(output)
    is_cohort = (folder / MARK).is_file()
    with claim_folder(folder, COHORT_FILES, overwrite or is_cohort, [os.fspath(table)]) as claim:
        plans = plan_cohort(table, folder, models=models, options=options, overwrite=overwrite)
        planned(plans)
        records: dict[str, Record] = {}

        def note(plan: Plan, record: Record) -> None:
            records[plan.brain.name] = record
            finished(record)

        for plan in plans:
            if plan.record:
                records[plan.brain.name] = plan.record
        open_plans = _start(plans, overwrite, note)
        if dask is None:
            for plan in open_plans:
                note(plan, _run_here(plan, overwrite, progress))
            close_brain()
        elif open_plans:
            with open_client(dask) as client:
                run_plans(client, open_plans, overwrite, note, progress)
        cohort = Cohort(folder, plans, [records[plan.brain.name] for plan in plans])
        write_cohort(claim.open_part(), Path(table).stem, plans, cohort.records)
        claim.publish()
    return cohort


def _start(
    plans: Sequence[Plan], overwrite: bool, note: Callable[[Plan, Record], object]
) -> list[Plan]:
    """Prepare the folders of those brains that are not done; return their plans."""
    started: list[Plan] = []
    for plan in plans:
        if plan.record:
            continue
        try:
            if overwrite:
                plan.remove_parts()
            start_brain(plan.request, plan.folder, plan.key)
        except CfzooError as error:
            note(plan, Record(plan.brain.name, failure=describe_failure(error)))
        else:
            started.append(plan)
    return started


def _run_here(plan: Plan, overwrite: bool, progress: Callable[[int], object]) -> Record:
    """Compute and gather a brain in this process; return the record of a failure if it fails."""
    try:
        seconds = compute_shard(plan.request, plan.folder, plan.key, Shard(), progress)
        return finish_brain(
            plan.brain.name, plan.request, plan.folder, plan.key, seconds, overwrite
        )
    except Exception as error:  # whatever it is, the other brains can be classified
        return Record(plan.brain.name, failure=describe_failure(error))
