"""``cfzoo page``: write a page that classifies candidates in a browser."""

from pathlib import Path

import click

from ..runtime.artifact import DEFAULT_MODELS
from ..runtime.files import check_output
from ..workflows.try_page import write_try_page
from . import options
from .terminal import echo, escape


@click.command()
@click.argument("models", metavar="[MODEL]...", nargs=-1)
@click.option(
    "--example/--no-example",
    default=True,
    show_default=True,
    help="Put a small synthetic crop into the page (0.7 MB), for those without data at hand.",
)
@click.option("-o", "--output", default="try.html", show_default=True, metavar="FILE")
@click.option("--overwrite", is_flag=True, help="Replace FILE.")
@options.require_signature
@options.quiet
def command(models, example, output, overwrite, quiet):
    """Write a page on which anybody classifies candidates in a browser, with the MODELs themselves.

    A MODEL is an artifact, bundled name or address [pyramid3d]. FILE needs no installation, no
    other file and no network; what a user drops into it stays on that computer.
    """
    path = Path(output)
    check_output(path.parent, [path.name], overwrite, models)
    page = write_try_page(path, models or [DEFAULT_MODELS[1]], example=example)
    if not quiet:
        echo(
            f"{', '.join(page.models)} -> {escape(output)} ({page.bytes / 1e6:.1f} MB). "
            "Open it in a browser."
        )
