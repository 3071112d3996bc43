"""``cfzoo prototypes``: what a pipnet3d looks for, from its weights and labelled data."""

from pathlib import Path

import click

from ..runtime.errors import EnvironmentProblem


@click.command()
@click.argument("model")
@click.argument("data", nargs=-1, required=True)
@click.option("-o", "--output", default="prototypes.png", show_default=True, metavar="FILE")
@click.option("--root", metavar="DIR", help="Where relative paths in DATA start [DATA's folder].")
@click.option("--best", type=click.IntRange(1, 50), default=8, show_default=True)
def command(model, data, output, root, best):
    """Draw the best-matching patches of each prototype, and print the scoring sheet.

    MODEL is a bundled name or X.safetensors of a pipnet3d; DATA (YAML) as for `cfzoo train`.
    """
    try:
        from ..zoo.explain import render_prototypes
    except ImportError as error:
        raise EnvironmentProblem(f"{error}: pip install 'cfzoo[zoo]'.") from None
    files = [Path(name) for name in data]
    click.echo(render_prototypes(model, files, Path(output), Path(root) if root else None, best))
    click.echo(output)
