"""``cfzoo classify``: classify the candidates of a volume and write the typed points."""

import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import click

from ..runtime.artifact import read_weighted
from ..runtime.claim import Claim, claim_folder
from ..runtime.errors import InputError
from ..runtime.explain import (
    INDEX,
    MAX_EXPLANATIONS,
    check_folder,
    check_maps,
    choose_nearest,
    explain,
    list_explanations,
    write_explanations,
)
from ..runtime.job import prepare
from ..runtime.options import Options
from ..runtime.output import RUN_FILES, write_run
from ..runtime.pipeline import run
from ..runtime.points import find_outside, read_points
from ..runtime.results import Flag
from . import options
from .terminal import Progress, RunLog, echo, escape


@click.command()
@click.argument("volume")
@click.argument("points")
@click.option(
    "--model",
    "models",
    multiple=True,
    metavar="M",
    help="Artifact, ensemble (.json), bundled name or address (https://, hf://) with #sha256=; "
    "repeat as M=WEIGHT to average several.",
)
@options.points_from
@options.background
@options.voxel_size
@options.channel
@options.background_channel
@options.threshold
@options.edges("pad", "classify on")
@options.outside
@options.device
@options.backend
@options.batch_size()
@options.threads
@options.memory
@click.option(
    "-o",
    "--output",
    default="classified",
    show_default=True,
    metavar="DIR",
    help="Folder for the results.",
)
@click.option(
    "--save-cams",
    type=click.IntRange(1, MAX_EXPLANATIONS),
    metavar="N",
    help="Also write Grad-CAMs of the N points nearest the threshold, to DIR/cams.",
)
@click.option("--overwrite", is_flag=True, help="Replace the results in DIR.")
@options.quiet
@options.log
@options.gather("brain", options.BrainOptions)
@options.gather("run_options", Options)
def command(
    volume, points, points_from, models, brain, run_options, output, save_cams, overwrite, quiet
):
    """Classify the candidates POINTS (cellfinder XML, YAML or CSV) of VOLUME.

    VOLUME is a TIFF stack, a folder of TIFF planes or an OME-Zarr. Writes points.xml, points.csv,
    points.yml and run.json to DIR.
    """
    started = time.time()
    paths = (volume, points, brain.background)
    with ExitStack() as stack:
        claim = stack.enter_context(claim_folder(Path(output), RUN_FILES, overwrite, paths))
        # Also without --save-cams: maps of an earlier run would mislead, and are not deleted
        # silently.
        cams = _claim_cams(claim.folder / "cams", save_cams, overwrite, paths, stack)
        candidates = read_points(points, points_from)
        if not len(candidates.zyx):
            raise InputError(f"{points} holds no points, so there is nothing to classify.")
        volumes = stack.enter_context(brain.open(volume))
        model = read_weighted(models) if models else None
        job = prepare(
            candidates, *volumes, model=model, voxel_size=brain.voxel_size, options=run_options
        )
        if save_cams:
            check_maps(job)
        RunLog.write(f"model {job.model.identity}")
        progress = stack.enter_context(Progress("points", quiet))
        progress.expect(job.n_to_classify)
        results = run(job, progress.update)
        inputs = {
            "volume": volume,
            "channel": brain.channel,
            "background": brain.background,
            "points": points,
            "points_from": points_from,
            "background_channel": brain.background_channel,
            "model": list(models),
        }
        write_run(claim.open_part(), job, results, inputs, started)
        claim.publish()  # before the maps, whose failure does not cost the results
        if cams:
            rows = choose_nearest(results, job.threshold, save_cams or 0)
            part = cams.open_part()
            if len(rows):
                write_explanations(part, explain(job, rows), job, results)
            cams.publish(list_explanations(cams.folder))
    summary = _summary(results, job, escape(output))
    RunLog.write(summary)
    if not quiet:
        echo(summary)


def _claim_cams(
    folder: Path,
    save_cams: int | None,
    overwrite: bool,
    inputs: Sequence[str | None],
    stack: ExitStack,
) -> Claim | None:
    """Claim the folder of the maps if this run writes some or an earlier one has."""
    if not save_cams and not folder.is_dir():
        check_folder(folder, overwrite, inputs)
        return None
    cams = stack.enter_context(claim_folder(folder, (INDEX,), overwrite, inputs))
    check_folder(folder, overwrite, inputs, cams.leftovers)
    return cams


def _summary(results, job, output: str) -> str:
    counts = results.counts()
    text = (
        f"{counts['points']} points: {counts['cells']} cells, {counts['no_cells']} no cells "
        f"({job.model.title}, threshold {job.threshold:g}) -> {output}"
    )
    notes = {
        "edge": "near a face, classified on padded cubes",
        "dropped": "near a face, dropped",
        "outside": "outside the volume by half a cube or more, not classified",
        "nan": "with NaN or infinite voxels, not classified",
        "absent": "where the volume holds no data or beside it, not classified",
    }
    for flag, note in notes.items():
        if counts[flag]:
            text += f"\n{counts[flag]} {note} (flag {flag!r} in points.csv)"
    outside = find_outside(results.zyx, job.volumes[0].shape) & (results.flags == Flag.EDGE)
    if outside.any():
        text += f"\n{outside.sum()} of those near a face lie outside, by less than half a cube"
    shifts = [shift.sentence for shift in results.shifts.values()]
    return "\n".join([text, *shifts, *(f"Note: {note}" for note in results.notes)])
