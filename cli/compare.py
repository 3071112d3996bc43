"""``cfzoo compare``: compare models on labelled data and write a report."""

import shlex

import click

from ..runtime.errors import InputError
from . import options
from .terminal import Progress, echo, escape


@click.command()
@click.argument("models", nargs=-1)
@options.data(required=False)
@options.root
@click.option(
    "--predictions", metavar="FILE", help="A predictions.csv, in place of models and data."
)
@click.option("-o", "--output", default="report", show_default=True, metavar="DIR")
@click.option(
    "--shake/--no-shake",
    default=True,
    show_default=True,
    help="Also test the models on altered cubes.",
)
@click.option("--cost/--no-cost", default=True, show_default=True, help="Also time the models.")
@options.device
@options.batch_size(32)
@options.threads
@click.option("--overwrite", is_flag=True, help="Replace the report in DIR.")
@options.require_signature
@options.quiet
@options.log
def command(models, data, predictions, output, overwrite, quiet, root, **arguments):
    """Compare MODELS (artifacts, ensembles, bundled names, addresses) on labelled DATA.

    Writes index.html (a single page that needs no network), report.md, report.json and
    predictions.csv to DIR.
    """
    if bool(predictions) == bool(models) or bool(models) != bool(data):
        raise InputError("Expected MODELS and --data, or --predictions alone.")
    from ..workflows.compare import compare, compare_stored

    words = ["cfzoo", "compare", *models]
    paths = {"--data": data, "--root": [root], "--predictions": [predictions], "-o": [output]}
    words += [word for key, values in paths.items() for v in values if v for word in (key, v)]
    words += [f"--no-{name}" for name in ("shake", "cost") if models and not arguments[name]]
    line = shlex.join(words)
    if predictions:
        report = compare_stored(predictions, output, overwrite=overwrite, command=line)
    else:
        with Progress(quiet=quiet) as progress:
            report = compare(
                models,
                data,
                output,
                root=root,
                overwrite=overwrite,
                command=line,
                say=progress.show_step,
                **arguments,
            )
    if not quiet:
        echo(_table(report))
        echo(escape(f"{output}/index.html"))


def _table(report) -> str:
    width = max(len(model["name"]) for model in report["models"])
    lines = [f"{'':{width}}     AUC  average precision  log-loss"]
    for model in report["models"]:
        measures = [model["measures"].get(k) for k in ("auc", "average_precision", "log_loss")]
        cells = ["-" if m is None else f"{m['value']:.3f}" for m in measures]
        lines.append(f"{model['name']:{width}}  {cells[0]:>6}  {cells[1]:>17}  {cells[2]:>8}")
    return "\n".join(lines)
