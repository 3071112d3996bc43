"""``cfzoo import``: convert cellfinder's own weights to a sealed ONNX artifact, without keras."""

import click

from ..runtime.artifact import NORMALISATIONS
from . import options
from .terminal import echo, escape


@click.command()
@click.argument("weights")
@click.option(
    "--depth",
    type=click.Choice(["18", "34", "50", "101", "152"]),
    help="Depth of the ResNet [read from the file].",
)
@click.option("--name", help="Name of the artifact [resnetDEPTH].")
@click.option("--version", default="1.0.0", show_default=True, help="Version of the artifact.")
@click.option(
    "--normalisation",
    type=click.Choice([n for n in NORMALISATIONS if n != "cube"]),
    default="none",
    show_default=True,
    help="Use dataset for weights trained with cellfinder's normalize_channels.",
)
@click.option(
    "--cube-shape",
    nargs=3,
    type=int,
    default=(20, 50, 50),
    show_default=True,
    metavar="Z Y X",
    help="Cube of the network, in voxels.",
)
@click.option(
    "--voxel-size",
    nargs=3,
    type=options.Length(),
    default=(5, 1, 1),
    show_default=True,
    metavar="Z Y X",
    help="Voxel size of the network, in um.",
)
@click.option(
    "--licence",
    default="unknown",
    show_default=True,
    help="SPDX name of the licence of the weights, as stated by their owner.",
)
@click.option(
    "--tolerance",
    type=float,
    metavar="P",
    help="Largest difference of a probability from torch's, stated in the card [by rounding].",
)
@click.option("-o", "--output", default=".", show_default=True, metavar="DIR")
@click.option("--overwrite", is_flag=True, help="Replace the artifact in DIR.")
def command(weights, depth, output, **arguments):
    """Convert WEIGHTS of cellfinder's ResNet (.h5, .weights.h5, .keras) to DIR/NAME-VERSION.onnx.

    The artifact has one or two channels, as the weights have.
    """
    from ..export.import_cellfinder import import_cellfinder

    path = import_cellfinder(weights, int(depth) if depth else None, output, **arguments)
    echo(escape(path))
