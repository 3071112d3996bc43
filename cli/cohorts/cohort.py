"""``cfzoo cohort``: classify the brains of a table, here or on the workers of dask."""

from pathlib import Path

import click

from ...runtime.errors import EnvironmentProblem, InputError
from ...runtime.options import Options
from ...workflows.cohort import (
    CohortFaults,
    Plan,
    Record,
    classify_cohort,
    estimate_durations,
    plan_cohort,
)
from .. import options
from ..terminal import Progress, RunLog, echo, escape, format_time


@click.command()
@click.argument("table")
@click.option("-o", "--output", required=True, metavar="DIR", help="Folder for the results.")
@click.option(
    "--model",
    "models",
    multiple=True,
    metavar="M",
    help="Model of the rows that name none; repeat as M=WEIGHT to average several.",
)
@click.option("--dry-run", is_flag=True, help="Check all brains and say what they take.")
@click.option(
    "--dask",
    metavar="WHERE",
    help="local: a worker for each CPU of this computer; the address of a scheduler; or a YAML "
    "file that says which jobs to submit.",
)
@options.threshold
@options.edges("pad", "classify on")
@options.outside
@options.device
@options.backend
@options.batch_size()
@options.threads
@options.memory
@click.option("--overwrite", is_flag=True, help="Start anew, and replace results in DIR.")
@options.require_signature
@options.quiet
@options.log
@options.gather("run_options", Options)
def command(table, output, models, dry_run, dask, run_options, overwrite, quiet):
    """Classify the brains of TABLE, a CSV with a row for each.

    Its columns are volume and points, perhaps brain, background, channel, background_channel,
    points_from, voxel_size ("5 2 2"), model and threshold, and any of your own. Everything is
    checked before anything runs. A run that was stopped goes on where it was; a brain that fails
    does not stop the others. DIR gets a folder for each brain, cohort.csv and index.html.
    """
    choices = {"models": models, "options": run_options, "overwrite": overwrite}
    if dry_run:
        plans = _name_faults(plan_cohort, table, output, **choices)
        durations = estimate_durations(plans)
        for plan, seconds in zip(plans, durations, strict=True):
            echo(f"{plan.describe()}" + (f", about {format_time(seconds)} here" if seconds else ""))
        total = sum(sum(plan.sizes) for plan in plans if not plan.record)
        rest = format_time(sum(durations))
        echo(f"{len(plans)} brains, {total} points to classify, about {rest} on this computer.")
        return
    with Progress("points", quiet) as progress:
        numbers = iter(range(1, 1 << 30))

        def plan_all(plans: list[Plan]) -> None:
            open_plans = [plan for plan in plans if not plan.record]
            progress.expect(sum(sum(plan.sizes) for plan in open_plans))
            _say(f"{len(plans)} brains, {len(plans) - len(open_plans)} done before", quiet)

        def finish(record: Record) -> None:
            _say(f"{next(numbers)}: {_describe(record)}", quiet)

        cohort = _name_faults(
            classify_cohort,
            table,
            output,
            **choices,
            dask=dask,
            planned=plan_all,
            finished=finish,
            progress=progress.update,
        )
    _say(f"{len(cohort.records)} brains -> {escape(Path(output) / 'index.html')}", quiet)
    if cohort.failures:
        names = ", ".join(record.name for record in cohort.failures)
        raise EnvironmentProblem(
            f"{len(cohort.failures)} of {len(cohort.records)} brains failed: {names}. The first: "
            f"{cohort.failures[0].failure} Run the same command again; what is done is skipped."
        )


def _name_faults(function, *words, **options):
    """Call a function; print the faults of a table a line each, and raise one error."""
    try:
        return function(*words, **options)
    except CohortFaults as error:
        for fault in error.faults:
            RunLog.write(fault)
            echo(" ".join(fault.split()), err=True)
        raise InputError(
            f"{words[0]} has {len(error.faults)} fault(s), which are named above; nothing was run."
        ) from None


def _describe(record: Record) -> str:
    if record.failure:
        return f"{record.name} failed: {record.failure}"
    counts = record.counts or {}
    shift = f", shift {record.shift:.2g}" if record.verdict else ""
    return (
        f"{record.name}: {counts['points']} points, {counts['cells']} cells ({record.share:.1%})"
        f"{shift}, {record.seconds:g} s"
    )


def _say(text: str, quiet: bool) -> None:
    RunLog.write(text)
    if not quiet:
        echo(text)
