"""``cfzoo import``: cellfinder's own weights -> one sealed ONNX artifact, without keras."""

import click

from ..runtime.artifact import NORMALISATIONS
from ..runtime.errors import EnvironmentProblem


@click.command()
@click.argument("weights")
@click.option(
    "--depth", type=click.Choice(["18", "34", "50", "101", "152"]), help="[found from the file]"
)
@click.option("--name", help="Of the artifact [resnetDEPTH].")
@click.option("--version", default="1.0.0", show_default=True, help="Of the artifact.")
@click.option(
    "--normalisation",
    type=click.Choice([n for n in NORMALISATIONS if n != "cube"]),
    default="none",
    show_default=True,
    help="dataset: for weights trained with cellfinder's normalize_channels.",
)
@click.option(
    "--cube-shape",
    nargs=3,
    type=int,
    default=(20, 50, 50),
    show_default=True,
    metavar="Z Y X",
    help="Network's cube, voxels.",
)
@click.option(
    "--voxel-size",
    nargs=3,
    type=float,
    default=(5, 1, 1),
    show_default=True,
    metavar="Z Y X",
    help="Network's voxel size, um.",
)
@click.option(
    "--licence", default="unknown", show_default=True, help="SPDX name, as the weights' owner says."
)
@click.option("-o", "--output", default=".", show_default=True, metavar="DIR")
@click.option("--overwrite", is_flag=True, help="Replace an artifact that is in DIR.")
def command(
    weights, depth, name, version, normalisation, cube_shape, voxel_size, licence, output, overwrite
):
    """Turn WEIGHTS of cellfinder's ResNet (.h5, .weights.h5, .keras) into DIR/NAME-VERSION.onnx.

    One or two channels, as the weights have them.
    """
    try:
        from ..export.import_cellfinder import import_cellfinder
    except ImportError as error:
        raise EnvironmentProblem(f"{error}: pip install 'cfzoo[export]'.") from None
    path = import_cellfinder(
        weights,
        int(depth) if depth else None,
        output,
        name=name,
        version=version,
        normalisation=normalisation,
        cube_shape=cube_shape,
        voxel_size=voxel_size,
        licence=licence,
        overwrite=overwrite,
    )
    click.echo(path)
