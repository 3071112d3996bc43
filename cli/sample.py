"""``cfzoo sample``: write a small synthetic brain crop to try cfzoo on."""

from pathlib import Path
from shlex import quote

import click

from ..runtime.sample import write_sample
from .terminal import echo, escape


@click.command()
@click.argument("folder")
@click.option(
    "--seed",
    type=click.IntRange(0, 2**32 - 1),
    default=0,
    show_default=True,
    help="Seed of the random numbers.",
)
@click.option("--overwrite", is_flag=True, help="Replace the sample in FOLDER.")
def command(folder, seed, overwrite):
    """Write a synthetic two-channel brain crop with candidates and their true types to FOLDER."""
    sample = write_sample(Path(folder), seed, overwrite)
    name = escape(quote(folder))
    cells = int((sample.types == 2).sum())
    echo(
        f"{len(sample.types)} candidates, {cells} of them cells -> {escape(folder)}\n"
        f"Next: cfzoo classify {name}/signal.tif {name}/candidates.xml"
    )
