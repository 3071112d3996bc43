"""``cfzoo classify``: candidates of a volume in, typed points out."""

import sys
import time
from contextlib import ExitStack
from pathlib import Path

import click
from tqdm import tqdm

from ..runtime.artifact import Ensemble, read_weighted, show_progress
from ..runtime.errors import InputError
from ..runtime.explain import (
    MOST,
    check_folder,
    check_maps,
    explain,
    forget,
    nearest,
    write_explanations,
)
from ..runtime.files import check_output
from ..runtime.job import prepare
from ..runtime.options import EDGES, OUTSIDE, Options
from ..runtime.output import RUN_FILES, write_run
from ..runtime.pipeline import run
from ..runtime.points import read_points
from ..runtime.session import BACKENDS, DEVICES
from ..runtime.volume import open_volume


@click.command()
@click.argument("volume")
@click.argument("points")
@click.option(
    "--model",
    "models",
    multiple=True,
    help="Artifact, ensemble (.json), bundled name or address (https://, hf://) with #sha256=; "
    "repeated, M=WEIGHT, for an average.",
    metavar="M",
)
@click.option("--background", help="Background channel, of the volume's shape.", metavar="VOLUME")
@click.option(
    "--voxel-size",
    nargs=3,
    type=float,
    metavar="Z Y X",
    help="In um; read from the volume's metadata when it is there.",
)
@click.option("--channel", type=int, help="Channel of VOLUME, when it holds several.")
@click.option("--background-channel", type=int, help="Channel of the background's file.")
@click.option("--threshold", type=float, help="Cell from this probability on [the card's].")
@click.option(
    "--edges",
    type=click.Choice(EDGES),
    default="pad",
    show_default=True,
    help="Points near a face: classify on a padded cube, or drop as cellfinder does.",
)
@click.option(
    "--outside",
    type=click.Choice(OUTSIDE),
    default="refuse",
    show_default=True,
    help="Points outside the volume: an error, or kept unclassified.",
)
@click.option("--device", type=click.Choice(DEVICES), default="auto", show_default=True)
@click.option(
    "--backend",
    type=click.Choice(BACKENDS),
    default="auto",
    show_default=True,
    help="What runs the network; auto is OpenVINO on the CPU where it is installed.",
)
@click.option("--batch-size", type=click.IntRange(1, 4096), help="[what suits the model]")
@click.option("--threads", type=click.IntRange(1, 1024), help="CPU threads [all allowed].")
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
    type=click.IntRange(1, MOST),
    metavar="N",
    help="Also a Grad-CAM of the N points nearest the threshold, in DIR/cams.",
)
@click.option("--overwrite", is_flag=True, help="Replace results that are in DIR.")
@click.option("-q", "--quiet", is_flag=True, help="Print nothing but errors.")
def command(
    volume,
    points,
    models,
    background,
    voxel_size,
    channel,
    background_channel,
    threshold,
    edges,
    outside,
    device,
    backend,
    batch_size,
    threads,
    output,
    save_cams,
    overwrite,
    quiet,
):
    """Classify the candidates POINTS (cellfinder XML, YAML or CSV) of VOLUME.

    VOLUME is a TIFF stack, a folder of TIFF planes or an OME-Zarr. DIR gets points.xml,
    points.csv, points.yml and run.json.
    """
    started = time.time()
    show_progress.set(not quiet)
    options = Options(threshold, edges, outside, device, batch_size, threads, backend)
    inputs = (volume, points, background)
    folder = check_output(Path(output), RUN_FILES, overwrite, inputs)
    # Also without --save-cams: maps of other results would mislead, and are not thrown away.
    check_folder(folder / "cams", overwrite, inputs)
    candidates = read_points(points)
    if not len(candidates.zyx):
        raise InputError(f"{points} holds no points, so there is nothing to classify.")
    with ExitStack() as opened:
        signal = opened.enter_context(open_volume(volume, channel=channel))
        other = None
        if background:
            other = opened.enter_context(open_volume(background, channel=background_channel))
        size = voxel_size or None  # click gives () where there is none
        model = read_weighted(models) if models else None
        job = prepare(candidates, signal, other, model=model, voxel_size=size, options=options)
        if save_cams:
            check_maps(job)
        bar = opened.enter_context(
            tqdm(
                total=job.n_to_classify,
                unit="points",
                unit_scale=True,
                disable=quiet or not sys.stderr.isatty(),
            )
        )
        results = run(job, bar.update)
        given = {"volume": volume, "channel": channel, "background": background, "points": points}
        given |= {"background_channel": background_channel, "model": list(models)}
        write_run(folder, job, results, given, started)
        forget(folder / "cams")
        near = nearest(results, job.threshold, save_cams or 0)
        if len(near):
            write_explanations(folder / "cams", explain(job, near), job, results)
    if not quiet:
        click.echo(_summary(results, job, output))


def _summary(results, job, output: str) -> str:
    counts = results.counts()
    text = (
        f"{counts['points']} points: {counts['cells']} cells, {counts['no_cells']} no cells "
        f"({_name(job.model)}, threshold {job.threshold:g}) -> {output}"
    )
    notes = {
        "edge": "near a face, classified on padded cubes",
        "dropped": "near a face, dropped",
        "outside": "outside the volume, not classified",
        "nan": "with NaN or infinite voxels, not classified",
    }
    for flag, note in notes.items():
        if counts[flag]:
            text += f"\n{counts[flag]} {note} (flag {flag!r} in points.csv)"
    return text


def _name(model: Ensemble) -> str:
    if model.name:
        return f"{model.name} {model.version}"
    cards = [(member.artifact.card, member.weight) for member in model.members]
    return " + ".join(f"{weight:.2g} {card.name} {card.version}" for card, weight in cards)
