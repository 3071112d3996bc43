"""``cfzoo prototypes``: draw the prototypes of a pipnet3d on labelled data."""

from pathlib import Path

import click

from .. import options
from ..terminal import echo, escape


@click.command()
@click.argument("model")
@click.argument("data", nargs=-1, required=True)
@click.option("-o", "--output", default="prototypes.png", show_default=True, metavar="FILE")
@options.root
@click.option(
    "--best",
    type=click.IntRange(1, 50),
    default=8,
    show_default=True,
    help="Patches to draw per prototype.",
)
def command(model, data, output, root, best):
    """Draw the best-matching patches of each prototype and print the scoring sheet.

    MODEL is a bundled name or the X.safetensors of a pipnet3d; DATA is YAML as for `cfzoo train`.
    """
    from ...zoo.explain import render_prototypes

    files = [Path(name) for name in data]
    echo(render_prototypes(model, files, Path(output), Path(root) if root else None, best))
    echo(escape(output))
