"""``cfzoo ensemble``: combine several models into one, weighted on labelled data."""

import click

from . import options
from .terminal import Progress, echo, escape


@click.group()
def command():
    """Make an ensemble for `cfzoo classify --model ENS.json`."""


@command.command()
@click.argument("models", nargs=-1, required=True)
@options.data()
@options.root
@click.option("-o", "--output", required=True, metavar="FILE", help="The ensemble, a .json file.")
@click.option("--name", default="ensemble", show_default=True, help="Name of the ensemble.")
@click.option(
    "--model-version",
    "version",
    default="1.0.0",
    show_default=True,
    help="Version of the ensemble.",
)
@options.threshold_by("0.5")
@options.device
@options.threads
@click.option("--overwrite", is_flag=True, help="Replace FILE.")
@options.require_signature
@options.quiet
@options.log
def fit(models, data, output, quiet, **arguments):
    """Weight MODELS by log-loss on DATA, which none of them may have been trained on."""
    from ..workflows.fit_ensemble import fit_ensemble

    with Progress(quiet=quiet) as progress:
        ensemble = fit_ensemble(models, data, output, say=progress.show_step, **arguments)
    if quiet:
        return
    for member in ensemble.members:
        echo(f"{member.weight:.4f}  {member.artifact.source}, temperature {member.temperature:g}")
    for source in ensemble.training["left_out"]:
        echo(f"0       {source}, left out")
    for name, row in ensemble.metrics["on_the_data_it_was_fitted_on"].items():
        echo(f"{name}: " + ", ".join(f"{k} {v:.3f}" for k, v in row.items()))
    echo(f"threshold {ensemble.threshold:.3f} -> {escape(output)}")
