"""``cfzoo calibrate``: fit an artifact's probabilities and threshold to your labels."""

import click

from . import options
from .terminal import Progress, echo, escape


@click.command()
@click.argument("model")
@options.data()
@options.root
@click.option(
    "--by",
    type=click.Choice(["line", "temperature"]),
    default="line",
    show_default=True,
    help="Fit slope and offset of the logits (line), or only their slope (temperature).",
)
@options.threshold_by("MODEL's")
@click.option("--name", default="", help="Name of the new artifact [MODEL's, with -calibrated].")
@click.option(
    "--model-version", "version", default="", help="Version of the new artifact [MODEL's]."
)
@click.option("-o", "--output", default=".", show_default=True, metavar="DIR")
@options.device
@options.threads
@click.option("--overwrite", is_flag=True, help="Replace the artifact in DIR.")
@options.require_signature
@options.quiet
@options.log
def command(model, data, output, quiet, **arguments):
    """Fit the probabilities and threshold of MODEL to DATA, and write the new artifact to DIR.

    DATA should be labelled like the brains to classify, and should not be MODEL's training data.
    """
    from ..workflows.calibrate import calibrate

    with Progress(quiet=quiet) as progress:
        path, measured = calibrate(model, data, output, say=progress.show_step, **arguments)
    if quiet:
        return
    for stage in ("before", "after", "each_fitted_on_the_others"):
        if stage in measured:
            row = ", ".join(f"{k} {v:.4f}" for k, v in measured[stage].items())
            echo(f"{stage.replace('_', ' ')}: {row}")
    echo(
        f"logits divided by {measured['factor']:g}, offset {measured['offset']:g}; "
        f"threshold {measured['threshold']:.4f}"
    )
    echo(escape(path))
