"""``cfzoo explain``: why a model decided as it did, point by point."""

import click

from ..runtime.artifact import show_progress
from ..runtime.errors import EnvironmentProblem, InputError
from ..runtime.options import EDGES, OUTSIDE, Options
from ..runtime.session import DEVICES


@click.command()
@click.argument("volume")
@click.argument("points")
@click.option("--model", metavar="M", help="Artifact, bundled name or address [attention3d].")
@click.option("--background", metavar="VOLUME", help="Background channel.")
@click.option("--voxel-size", nargs=3, type=float, metavar="Z Y X", help="In um.")
@click.option("--point", "chosen", type=int, multiple=True, metavar="N", help="From 1; repeatable.")
@click.option(
    "--uncertain", type=click.IntRange(0), default=0, metavar="N", help="N nearest the threshold."
)
@click.option(
    "--confident", type=click.IntRange(0), default=0, metavar="N", help="N surest of each class."
)
@click.option("--layer", metavar="NAME", help="Of the Grad-CAM, by name; placed evenly.")
@click.option("--weights", metavar="FILE", help="The model's safetensors, for torch [beside it].")
@click.option("--torch/--no-torch", default=None, help="Maps that need torch [if it is there].")
@click.option("--threshold", type=float, help="Cell from this probability on [the card's].")
@click.option("--channel", type=int, help="Channel of VOLUME, when it holds several.")
@click.option("--background-channel", type=int, help="Channel of the background's file.")
@click.option("--edges", type=click.Choice(EDGES), default="pad", show_default=True)
@click.option("--outside", type=click.Choice(OUTSIDE), default="refuse", show_default=True)
@click.option("--batch-size", type=click.IntRange(1, 4096), help="[what suits the model]")
@click.option("--threads", type=click.IntRange(1, 1024), help="CPU threads [all allowed].")
@click.option("--device", type=click.Choice(DEVICES), default="auto", show_default=True)
@click.option("-o", "--output", default="explained", show_default=True, metavar="DIR")
@click.option("--overwrite", is_flag=True, help="Replace explanations that are in DIR.")
@click.option("-q", "--quiet", is_flag=True, help="Print nothing but errors.")
def command(
    volume,
    points,
    model,
    voxel_size,
    chosen,
    uncertain,
    confident,
    threshold,
    channel,
    background_channel,
    edges,
    outside,
    batch_size,
    threads,
    device,
    output,
    quiet,
    **given,
):
    """Show what the answers to some POINTS of VOLUME are made of.

    DIR gets index.html, a picture and a TIFF with the maps a point, and explanations.json with
    their places. Without a choice: the 6 nearest the threshold and the 3 surest of each class.
    """
    show_progress.set(not quiet)
    try:
        from ..workflows.explain import PointChoice, explain_points
    except ImportError as error:
        raise EnvironmentProblem(f"{error}: pip install 'cfzoo[analysis]'.") from None
    if len(set(chosen)) < len(chosen):
        raise InputError("A point is named twice; expected each --point once.")
    if not (chosen or uncertain or confident):
        uncertain, confident = 6, 3
    page, note = explain_points(
        model,
        volume,
        points,
        output,
        PointChoice(chosen, uncertain, confident),
        voxel_size=voxel_size or None,
        channels=(channel, background_channel),
        options=Options(threshold, edges, outside, device, batch_size, threads),
        **given,
    )
    if not quiet:
        if note:
            click.echo(note)
        click.echo(page)
