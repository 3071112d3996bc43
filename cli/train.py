"""``cfzoo train``: from labelled volumes or cubes to weights, card and artifact of a model."""

import sys

import click

from ..runtime.errors import EnvironmentProblem
from ..runtime.session import DEVICES


@click.command()
@click.argument("model")
@click.argument("data", nargs=-1, required=True)
@click.option("-o", "--output", required=True, metavar="DIR", help="Folder of this training.")
@click.option("--recipe", metavar="FILE", help="YAML, or a card's JSON [MODEL's].")
@click.option(
    "--init",
    metavar="WEIGHTS",
    help="Fine-tune X.safetensors with its card X.json, or a bundled model.",
)
@click.option("--validation", multiple=True, metavar="NAME", help="Data set held out; repeatable.")
@click.option("--root", metavar="DIR", help="Where relative paths in DATA start [DATA's folder].")
@click.option("--report", metavar="FILE", help="Cross-validation of this recipe, for the card.")
@click.option("--threshold-by", "threshold_rule", default="", help="f1, recall=R or fpr=R [0.5].")
@click.option("--seed", type=click.IntRange(0, 2**31 - 1), default=0, show_default=True)
@click.option("--epochs", type=click.IntRange(1), help="In place of the recipe's.")
@click.option("--steps", type=click.IntRange(1), help="Batches an epoch.")
@click.option("--batch-size", type=click.IntRange(1), help="Of each process.")
@click.option("--lr", type=float, help="Largest learning rate.")
@click.option("--name", help="Of the new model, for its card and files.")
@click.option("--model-version", metavar="X.Y.Z", help="Of the new model.")
@click.option("--device", type=click.Choice(DEVICES), default="auto", show_default=True)
@click.option("--devices", type=click.IntRange(1), help="GPUs [all], or processes on the CPU [1].")
@click.option("--overwrite", is_flag=True, help="Delete the training that is in DIR.")
@click.option("-q", "--quiet", is_flag=True, help="Print nothing but errors.")
def command(epochs, steps, batch_size, lr, name, model_version, quiet, **options):
    """Train MODEL on the data sets of DATA (YAML, as cellfinder's or cfzoo's own).

    DIR gets NAME-VERSION.safetensors, .json, .md and .onnx, metrics.csv, curves.png,
    tensorboard/ and checkpoints/. If it is stopped, the same command resumes the training.
    """
    try:
        from ..workflows.train import train_release
        from ..zoo.training import TrainingRequest
    except ImportError as error:
        raise EnvironmentProblem(f"{error}: pip install 'cfzoo[export]'.") from None
    changes = {"epochs": epochs, "steps": steps, "batch_size": batch_size, "lr": lr}
    changes |= {"name": name, "version": model_version}
    changes = {field: value for field, value in changes.items() if value is not None}
    try:
        train_release(
            TrainingRequest(changes=changes, **options),
            progress_bar=not quiet and sys.stdout.isatty(),
            say=(lambda text: None) if quiet else click.echo,
        )
    except BaseException as error:
        if not isinstance(error, Exception):  # Ctrl-C, SIGTERM
            click.echo("The same command resumes after the last complete epoch.", err=True)
        raise
