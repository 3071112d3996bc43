"""``cfzoo compare``: models side by side on labelled data, as a report."""

import shlex
import sys

import click

from ..runtime.artifact import show_progress
from ..runtime.errors import EnvironmentProblem, InputError
from ..runtime.session import DEVICES


@click.command()
@click.argument("models", nargs=-1)
@click.option("--data", multiple=True, metavar="DATA", help="YAML as for train; repeatable.")
@click.option("--root", metavar="DIR", help="Where relative paths in DATA start [DATA's folder].")
@click.option("--predictions", metavar="FILE", help="In place of models: a predictions.csv.")
@click.option("-o", "--output", default="report", show_default=True, metavar="DIR")
@click.option("--shake/--no-shake", default=True, show_default=True, help="Also change the data.")
@click.option("--cost/--no-cost", default=True, show_default=True, help="Also time the models.")
@click.option("--device", type=click.Choice(DEVICES), default="auto", show_default=True)
@click.option("--batch-size", type=click.IntRange(1, 4096), default=32, show_default=True)
@click.option("--threads", type=click.IntRange(1, 1024), help="CPU threads [all allowed].")
@click.option("--overwrite", is_flag=True, help="Replace a report that is in DIR.")
@click.option("-q", "--quiet", is_flag=True, help="Print nothing but errors.")
def command(models, data, predictions, output, overwrite, quiet, root, **given):
    """Compare MODELS (artifacts, ensembles, bundled names, addresses) on labelled DATA.

    DIR gets index.html (one page, no network needed), report.md, report.json and predictions.csv.
    """
    show_progress.set(not quiet)
    if bool(predictions) == bool(models) or bool(models) != bool(data):
        raise InputError("Expected MODELS and --data, or --predictions alone.")
    try:
        from ..workflows.compare import compare, compare_stored
    except ImportError as error:
        raise EnvironmentProblem(f"{error}: pip install 'cfzoo[analysis]'.") from None
    words = ["cfzoo", "compare", *models]
    asked = {"--data": data, "--root": [root], "--predictions": [predictions], "-o": [output]}
    words += [word for key, values in asked.items() for v in values if v for word in (key, v)]
    words += [f"--no-{name}" for name in ("shake", "cost") if models and not given[name]]
    made_by = shlex.join(words)
    if predictions:
        report = compare_stored(predictions, output, overwrite=overwrite, command=made_by)
    else:
        report = compare(
            models,
            data,
            output,
            root=root,
            overwrite=overwrite,
            command=made_by,
            say=_line if not quiet and sys.stderr.isatty() else lambda text: None,
            **given,
        )
    if not quiet:
        click.echo(_table(report))
        click.echo(f"{output}/index.html")


def _line(text: str) -> None:
    """What is going on, over what was."""
    click.echo(f"\r\x1b[K{text}\r", nl=False, err=True)


def _table(report) -> str:
    width = max(len(model["name"]) for model in report["models"])
    lines = [f"{'':{width}}     AUC  average precision  log-loss"]
    for model in report["models"]:
        measures = [model["measures"].get(k) for k in ("auc", "average_precision", "log_loss")]
        cells = ["-" if m is None else f"{m['value']:.3f}" for m in measures]
        lines.append(f"{model['name']:{width}}  {cells[0]:>6}  {cells[1]:>17}  {cells[2]:>8}")
    return "\n".join(lines)
