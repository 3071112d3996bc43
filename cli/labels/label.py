"""``cfzoo label``: write a page on which to label candidates, without a viewer or a network."""

from pathlib import Path

import click

from ...runtime.errors import InputError
from ...runtime.files import check_output
from ...runtime.labelling import FIELD, FIELDS, MOST_POOL, POOL, write_label_page
from ...runtime.options import Options
from ...runtime.points import read_points
from .. import options
from ..terminal import Progress, echo, escape


@click.command()
@click.argument("volume")
@click.argument("points")
@click.option(
    "--model",
    metavar="M",
    help="Artifact with a head, bundled name or address [pyramid3d].",
)
@options.points_from
@options.background
@options.voxel_size
@options.channel
@options.background_channel
@options.edges("pad", "classify on")
@options.outside
@options.device
@options.backend
@options.batch_size()
@options.threads
@options.memory
@click.option(
    "--field",
    type=click.FloatRange(*FIELDS),
    default=FIELD,
    show_default=True,
    metavar="UM",
    help="Side of the pictures, um.",
)
@click.option(
    "--pool",
    type=click.IntRange(1, MOST_POOL),
    default=POOL,
    show_default=True,
    metavar="N",
    help="Candidates of the page, at most; about 5 kB each and channel.",
)
@click.option("-o", "--output", default="labels.html", show_default=True, metavar="FILE")
@click.option("--overwrite", is_flag=True, help="Replace FILE. Labels in a browser stay.")
@options.require_signature
@options.quiet
@options.log
@options.gather("brain", options.BrainOptions)
@options.gather("run_options", Options)
def command(
    volume, points, points_from, model, brain, run_options, field, pool, output, overwrite, quiet
):
    """Write a page on which you label candidates POINTS of VOLUME and see the model learn.

    FILE needs no other file and no network: open it in a browser. It asks for the candidates whose
    labels help most, and saves them as a CSV for `cfzoo adapt --labels`.
    """
    path = Path(output)
    inputs = (volume, points, brain.background)
    check_output(path.parent, [path.name], overwrite, inputs)
    candidates = read_points(points, points_from)
    if not len(candidates.zyx):
        raise InputError(f"{points} holds no points, so there is nothing to label.")
    with brain.open(volume) as volumes, Progress("points", quiet) as progress:
        summary = write_label_page(
            path,
            candidates,
            volumes,
            model,
            voxel_size=brain.voxel_size,
            options=run_options,
            field=field,
            pool=pool,
            progress=progress.update,
        )
    if quiet:
        return
    left_out = f", {summary.unclassified} cannot be classified" if summary.unclassified else ""
    text = (
        f"{summary.pool} of {summary.candidates} candidates{left_out} -> {escape(output)} "
        f"({summary.bytes / 1e6:.1f} MB). Open it in a browser."
    )
    echo("\n".join([text, *(f"Note: {note}" for note in summary.notes)]))
