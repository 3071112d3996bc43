"""Models and labelled data in, a report out, as a page, as Markdown and as JSON."""

import csv
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..analysis.answers import CONTRAST, answer_all, contrast_all
from ..analysis.cost import costs
from ..analysis.predictions import Predictions, check_classes, read_predictions, write_predictions
from ..analysis.report import Entrant, candidate_gallery, render_html, render_markdown, report_of
from ..runtime.artifact import Ensemble, read_model
from ..runtime.errors import InputError
from ..runtime.files import atomic_write, check_output
from ..zoo.data import Source, load, read_data
from ..zoo.evaluation import cross_calibrate, platt_scaling

FILES = ("index.html", "report.md", "report.json", "predictions.csv")
TITLE = "Models side by side"
ABOUT_CONTRAST = "How far a candidate rises above its surround; no training."
SEEN = (
    "Of a data set that a model was trained on, its figures say nothing about the next brain. "
    "Curves, counts and calibration are of all data sets together, and of the first run."
)


def compare(
    models: Sequence[str],
    data: Sequence[str | Path],
    output: str | Path,
    *,
    root: str | Path | None = None,
    shake: bool = True,
    cost: bool = True,
    device: str = "auto",
    threads: int | None = None,
    batch_size: int = 32,
    overwrite: bool = False,
    command: str = "",
    say: Callable[[str], object] = lambda text: None,
) -> dict[str, Any]:
    """Compare models on labelled data; ``output`` gets the report.

    Parameters
    ----------
    models : sequence of str
        Files of artifacts or ensembles, or bundled names.
    data : sequence of paths
        YAML, see `cfzoo.zoo.data.data_file`.
    output : folder
    root : folder, optional
        What relative paths in ``data`` start from.
    shake, cost : bool
        Also change the data; also measure speed and memory.
    device, threads, batch_size
        As for `cfzoo.runtime.Session`.
    command : str
        What the report says that it was made by.

    Returns
    -------
    dict
        The report, as in report.json.

    Raises
    ------
    InputError, ArtifactError, EnvironmentProblem
        All that can be checked before the long work is.
    """
    folder = check_output(Path(output), FILES, overwrite, [str(path) for path in data])
    files = _named(models)
    read = {name: read_model(file) for name, file in files.items()}
    sources = read_data([Path(path) for path in data], Path(root) if root else None)
    options: dict[str, Any] = {"device": device, "threads": threads, "batch_size": batch_size}
    predictions, robustness = answer_all(read, sources, shake=shake, say=say, **options)
    check_classes(predictions)
    measured = costs(files, say=say, **options) if cost else {}
    entrants = {
        name: _entrant(files[name], model, robustness[name] or None, measured.get(name))
        for name, model in read.items()
    }
    predictions, entrants = _with_contrast(predictions, entrants, sources)
    say("pictures")
    first = next(iter(read.values())).members[0].artifact.card
    cubes = {source.name: load(source, first) for source in sources}
    pictures = candidate_gallery(
        predictions, cubes, {name: entrant.threshold for name, entrant in entrants.items()}
    )
    report = report_of(
        predictions, entrants, title=TITLE, command=command, notes=[SEEN], gallery=pictures
    )
    write_report(folder, report, predictions)
    return report


def compare_stored(
    path: str | Path, output: str | Path, *, overwrite: bool = False, command: str = ""
) -> dict[str, Any]:
    """The report of a table of predictions, of whatever program; no model is run.

    Parameters
    ----------
    path : path
        CSV, see `cfzoo.analysis.predictions`; the threshold is a probability of 0.5.
    output : folder

    Returns
    -------
    dict
        The report, as in report.json.

    Raises
    ------
    InputError, EnvironmentProblem
        The table is none, or the report cannot be written.
    """
    folder = check_output(Path(output), FILES, overwrite, [str(path)])
    predictions = read_predictions(path)
    check_classes(predictions)
    entrants = {name: Entrant() for name in predictions.margin}
    report = report_of(predictions, entrants, title=TITLE, command=command, notes=[SEEN])
    write_report(folder, report, predictions)
    return report


def write_report(folder: Path, report: Mapping[str, Any], predictions: Predictions) -> None:
    """Write all files of a report, each atomically."""
    pages = {
        "index.html": render_html(report),
        "report.md": render_markdown(report),
        "report.json": json.dumps(report, indent=1, allow_nan=False) + "\n",
    }
    folder.mkdir(parents=True, exist_ok=True)
    write_predictions(folder / "predictions.csv", predictions)
    for name, text in pages.items():
        with atomic_write(folder / name) as file:
            file.write(text)


def _named(models: Sequence[str]) -> dict[str, str]:
    """Name -> file: the name of the card, with the version or the file where it is not alone."""
    cards = [read_model(model) for model in models]
    for names in (
        [card.name for card in cards],
        [f"{card.name} {card.version}" for card in cards],
        list(models),
    ):
        if len(set(names)) == len(names):
            return dict(zip(names, models, strict=True))
    twice = next(model for model in models if models.count(model) > 1)
    raise InputError(f"{twice} is given twice; expected each model once.")


def _entrant(file: str, model: Ensemble, robustness, cost) -> Entrant:
    artifact = model.only_artifact
    if artifact is None:
        shares = (f"{m.weight:.3g} {m.artifact.card.name}" for m in model.members)
        return Entrant(
            about=model.description or " + ".join(shares),
            threshold=model.threshold,
            file=model.source,
            cost=cost,
            robustness=robustness,
        )
    metrics = artifact.card.metrics
    return Entrant(
        about=artifact.card.description,
        threshold=model.threshold,
        file=artifact.source,
        digest=artifact.card.digest,
        cost=cost,
        training_seconds=metrics.get("seconds_of_training"),
        training_memory_mb=metrics.get("training_memory_mb"),
        robustness=robustness,
        curves=_log(Path(file).parent / "metrics.csv") if Path(file).is_file() else None,
    )


def _log(path: Path) -> dict[str, list[float] | None] | None:
    """Columns of the log that `cfzoo train` leaves beside its artifact."""
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        columns = [c for c in ("epoch", "loss", "val_loss") if rows and c in rows[0]]
        found = {c: [float(row[c]) for row in rows] for c in columns}
    except (OSError, ValueError, TypeError, csv.Error):  # no log, or not one of ours
        return None
    if not {"epoch", "loss"} <= set(found) or not np.isfinite(list(found.values())).all():
        return None
    return {"val_loss": None, **found}


def _with_contrast(
    predictions: Predictions, entrants: Mapping[str, Entrant], sources: Sequence[Source]
) -> tuple[Predictions, dict[str, Entrant]]:
    """Beside the models what needs no model; as probabilities where other data sets teach how."""
    score = contrast_all(sources, predictions)
    if score is None:
        return predictions, dict(entrants)
    labels, groups = predictions.labels, predictions.dataset
    threshold = None
    mixed = [0 < labels[groups != g].sum() < (groups != g).sum() for g in np.unique(groups)]
    if len(sources) > 1 and all(mixed):
        score, threshold = cross_calibrate(labels, score, groups, platt_scaling), 0.5
    entrant = Entrant(about=ABOUT_CONTRAST, threshold=threshold)
    margin = {**predictions.margin, CONTRAST: np.asarray(score, np.float64)[None]}
    more = Predictions(**{**vars(predictions), "margin": margin})
    return more, {**entrants, CONTRAST: entrant}
