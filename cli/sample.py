"""``cfzoo sample``: a small synthetic brain crop to try things on."""

from pathlib import Path
from shlex import quote

import click

from ..runtime.sample import write_sample


@click.command()
@click.argument("folder")
@click.option("--seed", type=click.IntRange(0, 2**32 - 1), default=0, show_default=True)
@click.option("--overwrite", is_flag=True, help="Replace a sample that is in FOLDER.")
def command(folder, seed, overwrite):
    """Write a synthetic two-channel brain crop with candidates and truth into FOLDER."""
    sample = write_sample(Path(folder), seed, overwrite)
    cells = int((sample.types == 2).sum())
    click.echo(
        f"{len(sample.types)} candidates, {cells} of them cells -> {folder}\n"
        f"Next: cfzoo classify {quote(folder)}/signal.tif {quote(folder)}/candidates.xml"
    )
