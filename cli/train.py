"""``cfzoo train``: from labelled volumes or cubes to weights, card and artifact of a model."""

import sys
from functools import partial

import click

from ..runtime.artifact import CHANNELS
from . import options as shared
from .terminal import RunLog, echo, is_terminal


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
@shared.root
@click.option("--report", metavar="FILE", help="Cross-validation of this recipe, for the card.")
@click.option("--threshold-by", "threshold_rule", default="", help="f1, recall=R or fpr=R [0.5].")
@click.option(
    "--folds",
    type=click.IntRange(0, 20),
    default=3,
    show_default=True,
    help="Without validation data: trainings that leave out labels, for the probabilities.",
)
@click.option(
    "--seed", type=click.IntRange(0, 2**31 - 1), default=0, show_default=True, help="Random seed."
)
@click.option("--epochs", type=click.IntRange(1), help="Number of epochs [the recipe's].")
@click.option("--steps", type=click.IntRange(1), help="Batches per epoch [the recipe's].")
@click.option(
    "--batch-size", type=click.IntRange(1), help="Cubes per batch of each process [the recipe's]."
)
@click.option("--lr", type=float, help="Highest learning rate [the recipe's].")
@click.option(
    "--channels",
    type=click.IntRange(1, 2),
    help="1: the signal; 2: signal and background [the recipe's, or that of --init].",
)
@click.option("--name", help="Name of the new model, for its card and files.")
@click.option("--model-version", metavar="X.Y.Z", help="Version of the new model.")
@click.option(
    "--device",
    type=click.Choice(("auto", "cpu", "cuda")),
    default="auto",
    show_default=True,
    help="Device that trains; auto takes a GPU if there is one.",
)
@click.option("--devices", type=click.IntRange(1), help="GPUs [all], or processes on the CPU [1].")
@click.option("--overwrite", is_flag=True, help="Delete the training that is in DIR.")
@shared.quiet
@shared.log
def command(epochs, steps, batch_size, lr, channels, name, model_version, quiet, **options):
    """Train MODEL on the data sets of DATA (YAML, as cellfinder's or cfzoo's own).

    DIR gets NAME-VERSION.safetensors, .json, .md and .onnx, metrics.csv, curves.png,
    tensorboard/ and checkpoints/. If it is stopped, the same command resumes the training.
    """
    from ..workflows.train import train_release
    from ..zoo.training import TrainingRequest

    changes = {"epochs": epochs, "steps": steps, "batch_size": batch_size, "lr": lr}
    changes |= {"name": name, "version": model_version}
    changes |= {"channels": CHANNELS[channels - 1] if channels else None}
    changes = {field: value for field, value in changes.items() if value is not None}
    try:
        train_release(
            TrainingRequest(changes=changes, **options),
            # A log needs the line per epoch that a bar replaces.
            progress_bar=not quiet and is_terminal(sys.stdout) and not RunLog.is_open(),
            say=partial(_say, quiet),
        )
    except BaseException as error:
        if not isinstance(error, Exception):  # Ctrl-C, SIGTERM
            echo("The same command resumes after the last complete epoch.", err=True)
        raise


def _say(quiet: bool, text: str) -> None:
    RunLog.write(text)
    if not quiet:
        echo(text)
