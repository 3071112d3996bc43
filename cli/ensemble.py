"""``cfzoo ensemble``: several models to one, by their answers to labelled data."""

import sys

import click

from ..runtime.artifact import show_progress
from ..runtime.errors import EnvironmentProblem
from ..runtime.session import DEVICES


@click.group()
def command():
    """Make an ensemble that `cfzoo classify --model ENS.json` takes."""


@command.command()
@click.argument("models", nargs=-1, required=True)
@click.option("--data", multiple=True, required=True, metavar="DATA", help="YAML as for train.")
@click.option("--root", metavar="DIR", help="Where relative paths in DATA start [DATA's folder].")
@click.option("-o", "--output", required=True, metavar="FILE", help="The ensemble, a .json.")
@click.option("--name", default="ensemble", show_default=True)
@click.option("--model-version", "version", default="1.0.0", show_default=True)
@click.option("--threshold-by", "rule", default="", help="f1, recall=R or fpr=R [0.5].")
@click.option("--device", type=click.Choice(DEVICES), default="auto", show_default=True)
@click.option("--threads", type=click.IntRange(1, 1024), help="CPU threads [all allowed].")
@click.option("--overwrite", is_flag=True, help="Replace FILE.")
@click.option("-q", "--quiet", is_flag=True, help="Print nothing but errors.")
def fit(models, data, output, quiet, **given):
    """Weigh MODELS by log-loss on DATA, which none of them may have been trained on."""
    show_progress.set(not quiet)
    try:
        from ..workflows.fit_ensemble import fit_ensemble
    except ImportError as error:
        raise EnvironmentProblem(f"{error}: pip install 'cfzoo[analysis]'.") from None
    say = click.echo if not quiet and sys.stdout.isatty() else lambda text: None
    ensemble = fit_ensemble(models, data, output, say=say, **given)
    if quiet:
        return
    for member in ensemble.members:
        click.echo(
            f"{member.weight:.4f}  {member.artifact.source}, temperature {member.temperature:g}"
        )
    for source in ensemble.training["left_out"]:
        click.echo(f"0       {source}, left out")
    for name, row in ensemble.metrics["on_the_data_it_was_fitted_on"].items():
        click.echo(f"{name}: " + ", ".join(f"{k} {v:.3f}" for k, v in row.items()))
    click.echo(f"threshold {ensemble.threshold:.3f} -> {output}")
