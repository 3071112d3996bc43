"""``cfzoo explain``: show why a model classified points as it did."""

import click

from ...runtime.errors import InputError
from ...runtime.options import Options
from .. import options
from ..terminal import Progress, echo, escape


@click.command()
@click.argument("volume")
@click.argument("points")
@click.option("--model", metavar="M", help="Artifact, bundled name or address [pyramid3d].")
@options.points_from
@options.background
@options.voxel_size
@click.option(
    "--point",
    "numbers",
    type=int,
    multiple=True,
    metavar="N",
    help="Number of a point, from 1; repeatable.",
)
@click.option(
    "--uncertain",
    type=click.IntRange(0),
    default=0,
    metavar="N",
    help="The N points nearest the threshold.",
)
@click.option(
    "--confident",
    type=click.IntRange(0),
    default=0,
    metavar="N",
    help="The N surest points of each class.",
)
@click.option(
    "--layer",
    metavar="NAME",
    help="Layer for the Grad-CAM, spread evenly over the cube; needs torch [the model's own].",
)
@click.option(
    "--weights", metavar="FILE", help="Safetensors of the model, for torch [beside the model]."
)
@click.option(
    "--torch/--no-torch",
    default=None,
    help="Make the maps that need torch [if torch is installed].",
)
@click.option(
    "--interpolate/--no-interpolate",
    default=False,
    show_default=True,
    help="Smooth between the voxels in the pictures.",
)
@click.option("--svg", is_flag=True, help="Also write each picture as SVG, its text as text.")
@options.threshold
@options.channel
@options.background_channel
@options.edges("pad", "classify on")
@options.outside
@options.batch_size()
@options.threads
@options.device
@click.option("-o", "--output", default="explained", show_default=True, metavar="DIR")
@click.option("--overwrite", is_flag=True, help="Replace the explanations in DIR.")
@options.require_signature
@options.quiet
@options.log
@options.gather("brain", options.BrainOptions)
@options.gather("run_options", Options)
def command(
    volume,
    points,
    points_from,
    model,
    brain,
    run_options,
    numbers,
    uncertain,
    confident,
    output,
    quiet,
    interpolate,
    svg,
    **maps,
):
    """Show why the model classified some POINTS of VOLUME as it did.

    Writes index.html, a picture (300 dpi) and a TIFF of maps per point, and explanations.json with
    their positions to DIR. By default: the 6 points nearest the threshold and the 3 surest of each
    class.
    """
    from ...workflows.explain import PictureStyle, PointChoice, explain_points

    if len(set(numbers)) < len(numbers):
        raise InputError("A point is named twice; expected each --point once.")
    if not (numbers or uncertain or confident):
        uncertain, confident = 6, 3
    with Progress("points", quiet) as progress:
        page, notes = explain_points(
            model,
            volume,
            points,
            output,
            PointChoice(numbers, uncertain, confident),
            points_from=points_from,
            background=brain.background,
            channels=(brain.channel, brain.background_channel),
            voxel_size=brain.voxel_size,
            style=PictureStyle(interpolate, svg),
            options=run_options,
            progress=progress.update,
            **maps,
        )
    if not quiet:
        for note in notes:
            echo(f"Note: {note}")
        echo(escape(page))
