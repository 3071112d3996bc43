"""Gathering of parts: the results of the whole, as if one process had computed them."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from ..budget import memory_errors
from ..errors import InputError
from ..job import Job
from ..notes import Survey
from ..output import Circumstances
from ..pipeline import combine_answers
from ..results import Results
from ..session import AnswerTable
from .part_file import Part
from .parts import Parts


def gather_parts(job: Job, parts: Parts) -> tuple[Results, Circumstances]:
    """Gather the answers of all parts.

    A model that standardises its features by the volume is applied here, when those of all
    candidates are there.

    Parameters
    ----------
    job : Job
        From `prepare`, perhaps without sessions.
    parts : Parts
        Of the job.

    Returns
    -------
    results : Results
        Those of `cfzoo.runtime.classify`; with a note if different libraries or devices computed
        the parts.
    circumstances : Circumstances
        What ran the networks; "none" if no point could be classified.

    Raises
    ------
    InputError
        Parts are missing or damaged.
    EnvironmentProblem
        Memory runs out.
    """
    with memory_errors(job.memory):
        return _gather(job, parts)


def _gather(job: Job, parts: Parts) -> tuple[Results, Circumstances]:
    index = np.sort(np.concatenate([*parts.rows, np.zeros(0, np.int64)]))
    place = np.zeros(len(job.flags), np.int64)
    place[index] = np.arange(len(index))
    table, survey = AnswerTable(job.model, len(index), job.statistics), Survey(job, index)
    widths = [column.shape[1] for column in table.columns]
    missing: list[int] = []
    circumstances: list[Circumstances] = []
    for number, rows in enumerate(parts.rows):
        part = parts.read(number)
        if part is None or [column.shape[1] for column in part.columns] != widths:
            missing.append(number)
            continue
        _add(part, table, survey, place[rows])
        circumstances.append(part.circumstances)
    if missing:
        points = sum(len(parts.rows[number]) for number in missing)
        raise InputError(
            f"{len(missing)} of {len(parts.rows)} parts are missing in {parts.folder}, with "
            f"{points} of {len(index)} points. Run the same shards again; those parts that are "
            "there are skipped."
        )
    results = combine_answers(job, survey, table, index)
    return _describe(results, circumstances)


def _add(part: Part, table: AnswerTable, survey: Survey, places: np.ndarray) -> None:
    """Add the answers of a part to those of the whole."""
    table.store(places, part.columns)
    for digest, counts in part.counts.items():
        table.counts[digest] += counts
    for spec, measures in part.measures.items():
        survey.measures[spec].append(measures)


def _describe(
    results: Results, circumstances: Sequence[Circumstances]
) -> tuple[Results, Circumstances]:
    """Return what ran the networks, and say so in the results if it was not one and the same."""
    if not circumstances:  # no point could be classified
        return results, Circumstances("none", "none", "", 0, 0)
    kinds = {(c.provider, c.library, c.version) for c in circumstances}
    if len(kinds) == 1:
        return results, circumstances[0]
    names = sorted(f"{library} {version} on {provider}" for provider, library, version in kinds)
    note = (
        f"The parts were computed by {', '.join(names)}, whose probabilities agree to about 1e-6. "
        "Give --backend and --device to have them all by one."
    )
    provider = "; ".join(sorted({c.provider for c in circumstances}))
    first = dataclasses.replace(circumstances[0], provider=provider)
    return dataclasses.replace(results, notes=(*results.notes, note)), first
