"""``cfzoo classify``: classify the candidates of a volume and write the typed points."""

import dataclasses
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import click

from ..runtime.claim import Claim, claim_folder
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
from ..runtime.files import check_output
from ..runtime.job import Job
from ..runtime.options import Options
from ..runtime.output import RUN_FILES, write_run
from ..runtime.parts import (
    FOLDER,
    Manifest,
    Parts,
    Request,
    Shard,
    compute_parts,
    gather_parts,
)
from ..runtime.pipeline import run
from ..runtime.points import find_outside
from ..runtime.results import Flag, Results
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
    help="Also write Grad-CAM or HiResCAM of the N points nearest the threshold, to DIR/cams.",
)
@click.option(
    "--shard",
    metavar="I/N",
    help="Classify only shard I of N, into DIR/parts, for `cfzoo gather DIR`.",
)
@click.option(
    "--resume",
    is_flag=True,
    help="Keep the answers in DIR/parts on the way: a run that is stopped goes on with the rest.",
)
@click.option("--overwrite", is_flag=True, help="Replace the results in DIR.")
@options.require_signature
@options.quiet
@options.log
@options.gather("brain", options.BrainOptions)
@options.gather("run_options", Options)
def command(
    volume,
    points,
    points_from,
    models,
    brain,
    run_options,
    output,
    save_cams,
    shard,
    resume,
    overwrite,
    quiet,
):
    """Classify the candidates POINTS (cellfinder XML, YAML or CSV) of VOLUME.

    VOLUME is a TIFF stack, a folder of TIFF planes, an OME-Zarr or its address (https, s3, gs).
    Writes points.xml, points.csv,
    points.yml and run.json to DIR.
    """
    request = Request(
        volume,
        points,
        points_from,
        brain.background,
        brain.channel,
        brain.background_channel,
        models,
        brain.voxel_size,
        run_options,
    )
    if shard is None:
        _classify(request, Path(output), save_cams, resume, overwrite, quiet)
    elif save_cams or resume or overwrite:
        raise click.UsageError(
            "--shard goes with neither --save-cams, --resume nor --overwrite. A shard always "
            "skips what is there; remove DIR/parts to start anew."
        )
    else:
        _classify_shard(request, Path(output), Shard.parse(shard), quiet)


def _classify(
    request: Request,
    output: Path,
    save_cams: int | None,
    resume: bool,
    overwrite: bool,
    quiet: bool,
) -> None:
    started = time.time()
    with ExitStack() as stack:
        claim = stack.enter_context(claim_folder(output, RUN_FILES, overwrite, request.paths))
        # Also without --save-cams: maps of an earlier run would mislead, and are not deleted
        # silently.
        cams = _claim_cams(claim.folder / "cams", save_cams, overwrite, request.paths, stack)
        with request.prepare() as job, Progress("points", quiet) as progress:
            if save_cams:
                check_maps(job)
            RunLog.write(f"model {job.model.identity}")
            progress.expect(job.n_to_classify)
            circumstances, parts = None, None
            if resume:
                parts = _open_parts(request, job, output)
                compute_parts(job, parts, progress=progress.update)
                results, circumstances = gather_parts(job, parts)
            else:
                results = run(job, progress.update)
            write_run(claim.open_part(), job, results, request.describe(), started, circumstances)
            claim.publish()  # before the maps, whose failure does not cost the results
            if parts is not None:
                parts.remove()
            if cams:
                rows = choose_nearest(results, job.threshold, save_cams or 0)
                part = cams.open_part()
                if len(rows):
                    write_explanations(part, explain(job, rows), job, results)
                cams.publish(list_explanations(cams.folder))
        # Within the claim: a run that is stopped here may be run again.
        summary = summarise(results, job, escape(output))
        RunLog.write(summary)
        if not quiet:
            echo(summary)


def _classify_shard(request: Request, output: Path, shard: Shard, quiet: bool) -> None:
    check_output(output, RUN_FILES, True, request.paths)
    with request.prepare() as job, Progress("points", quiet) as progress:
        RunLog.write(f"model {job.model.identity}")
        parts = _open_parts(request, job, output)
        progress.expect(parts.count_points(shard))
        computed = compute_parts(job, parts, shard, progress.update)
    total = len(shard.select(len(parts.rows)))
    summary = (
        f"shard {shard.number}/{shard.total}: {parts.count_points(shard)} points in {total} of "
        f"{len(parts.rows)} parts, {computed} computed and {total - computed} there before -> "
        f"{escape(parts.folder)}"
    )
    RunLog.write(summary)
    if not quiet:
        echo(summary)


def _open_parts(request: Request, job: Job, output: Path) -> Parts:
    """Divide a job into parts, whose folder then says what they belong to."""
    parts = Parts.of(job, output / FOLDER)
    folder = str(Path.cwd())
    Manifest(parts.key, dataclasses.replace(request, folder=folder)).write(parts.folder)
    return parts


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


def summarise(results: Results, job: Job, output: str) -> str:
    """Return what ``cfzoo classify`` prints at its end."""
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
