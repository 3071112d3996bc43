"""``cfzoo calibrate``: an artifact's probabilities and threshold, fitted to your labels."""

import sys

import click

from ..runtime.artifact import show_progress
from ..runtime.errors import EnvironmentProblem
from ..runtime.session import DEVICES


@click.command()
@click.argument("model")
@click.option("--data", multiple=True, required=True, metavar="DATA", help="YAML as for train.")
@click.option("--root", metavar="DIR", help="Where relative paths in DATA start [DATA's folder].")
@click.option(
    "--by",
    type=click.Choice(["line", "temperature"]),
    default="line",
    show_default=True,
    help="Slope and offset of the logits, or the slope alone.",
)
@click.option("--threshold-by", "rule", default="", help="f1, recall=R or fpr=R [as it is].")
@click.option("--name", default="", help="Of the new artifact [MODEL's, with -calibrated].")
@click.option("--model-version", "version", default="", help="Of the new artifact [MODEL's].")
@click.option("-o", "--output", default=".", show_default=True, metavar="DIR")
@click.option("--device", type=click.Choice(DEVICES), default="auto", show_default=True)
@click.option("--threads", type=click.IntRange(1, 1024), help="CPU threads [all allowed].")
@click.option("--overwrite", is_flag=True, help="Replace an artifact that is in DIR.")
@click.option("-q", "--quiet", is_flag=True, help="Print nothing but errors.")
def command(model, data, output, quiet, **given):
    """Write MODEL anew to DIR, with probabilities and threshold fitted to DATA.

    DATA should be labelled like the brains to classify, and not what MODEL was trained on.
    """
    show_progress.set(not quiet)
    try:
        from ..workflows.calibrate import calibrate
    except ImportError as error:
        hint = "pip install 'cfzoo[analysis,export]'"
        raise EnvironmentProblem(f"{error}: {hint}.") from None
    say = click.echo if not quiet and sys.stdout.isatty() else lambda text: None
    path, measured = calibrate(model, data, output, say=say, **given)
    if quiet:
        return
    for when in ("before", "after", "each_fitted_on_the_others"):
        if when in measured:
            row = ", ".join(f"{k} {v:.4f}" for k, v in measured[when].items())
            click.echo(f"{when.replace('_', ' ')}: {row}")
    click.echo(
        f"logits divided by {measured['factor']:g}, offset {measured['offset']:g}; "
        f"threshold {measured['threshold']:.4f}"
    )
    click.echo(path)
