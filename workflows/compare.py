"""Compare models on labelled data: a report as a page, as Markdown and as JSON."""

import csv
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ..analysis.answers import CONTRAST, collect_answers, find_score_threshold, score_contrast
from ..analysis.cost import Cost, measure_costs
from ..analysis.measures import Figure
from ..analysis.predictions import Predictions, check_classes, read_predictions, write_predictions
from ..analysis.report import (
    ModelFacts,
    build_report,
    candidate_gallery,
    render_html,
    render_markdown,
)
from ..runtime.artifact import Ensemble, read_model
from ..runtime.claim import Claim, claim_folder
from ..runtime.errors import InputError
from ..runtime.files import atomic_write
from ..zoo.data import Source, read_data
from ..zoo.evaluation import cross_calibrate, platt_scaling

FILES = ("predictions.csv", "index.html", "report.md", "report.json")
TITLE = "Models side by side"
ABOUT_CONTRAST = "How far a candidate rises above its surround; no training."
ABOUT_SCORE_THRESHOLD = (
    " Its threshold is fitted to these labels, which flatters its decisions a little."
)
TRAINING_NOTE = (
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
    """Compare models on labelled data and write the report into ``output``.

    Parameters
    ----------
    models : sequence of str
        Files of artifacts or ensembles, or bundled names.
    data : sequence of paths
        YAML, see `cfzoo.zoo.data.data_file`.
    output : folder
    root : folder, optional
        Folder that relative paths in ``data`` start from.
    shake, cost : bool
        Whether to also change the data, and to measure speed and memory.
    device, threads, batch_size
        As for `cfzoo.runtime.Session`.
    command : str
        Command that made the report, to be shown in it.

    Returns
    -------
    dict
        The report, as in report.json.

    Raises
    ------
    InputError, ArtifactError, EnvironmentProblem
        An input cannot be used. Everything that can be checked before the long work is.
    """
    with claim_folder(Path(output), FILES, overwrite, [str(path) for path in data]) as claim:
        ensembles = [read_model(model) for model in models]
        names = _choose_names(models, ensembles)
        files = dict(zip(names, models, strict=True))
        named = dict(zip(names, ensembles, strict=True))
        sources = read_data([Path(path) for path in data], Path(root) if root else None)
        options: dict[str, Any] = {"device": device, "threads": threads, "batch_size": batch_size}
        answers = collect_answers(named, sources, shake=shake, keep_cubes=True, say=say, **options)
        check_classes(answers.predictions)
        costs = measure_costs(named, files, say=say, **options) if cost else {}
        facts = {
            name: _describe(files[name], model, answers.robustness[name] or None, costs.get(name))
            for name, model in named.items()
        }
        predictions, facts = _add_contrast(answers.predictions, facts, sources)
        say("pictures")
        thresholds = {name: fact.threshold for name, fact in facts.items()}
        report = build_report(
            predictions,
            facts,
            title=TITLE,
            command=command,
            notes=[TRAINING_NOTE],
            gallery=candidate_gallery(predictions, answers.cubes, thresholds),
        )
        write_report(claim, report, predictions)
    return report


def compare_stored(
    path: str | Path, output: str | Path, *, overwrite: bool = False, command: str = ""
) -> dict[str, Any]:
    """Report a table of predictions, from any program, without running a model.

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
        The file is not such a table, or the report cannot be written.
    """
    with claim_folder(Path(output), FILES, overwrite, [str(path)]) as claim:
        predictions = read_predictions(path)
        check_classes(predictions)
        facts = {name: ModelFacts() for name in predictions.margin}
        if CONTRAST in facts and not predictions.can_leave_one_out():  # no probability
            scores = predictions.margin[CONTRAST][0]
            facts[CONTRAST] = _describe_score(find_score_threshold(predictions, scores))
        report = build_report(
            predictions, facts, title=TITLE, command=command, notes=[TRAINING_NOTE]
        )
        write_report(claim, report, predictions)
    return report


def write_report(claim: Claim, report: Mapping[str, Any], predictions: Predictions) -> None:
    """Write and publish all files of a report."""
    pages = {
        "index.html": render_html(report),
        "report.md": render_markdown(report),
        "report.json": json.dumps(report, indent=1, allow_nan=False) + "\n",
    }
    folder = claim.open_part()
    write_predictions(folder / "predictions.csv", predictions)
    for name, text in pages.items():
        with atomic_write(folder / name) as file:
            file.write(text)
    claim.publish()


def _choose_names(files: Sequence[str], models: Sequence[Ensemble]) -> list[str]:
    """Name models by their cards, with the version, or else by their files, if they clash."""
    for names in (
        [model.name for model in models],
        [f"{model.name} {model.version}" for model in models],
        list(files),
    ):
        if len(set(names)) == len(names):
            return names
    repeated = next(file for file in files if files.count(file) > 1)
    raise InputError(f"{repeated} is given twice; expected each model once.")


def _describe(
    file: str, model: Ensemble, robustness: Mapping[str, float] | None, cost: Cost | None
) -> ModelFacts:
    artifact = model.only_artifact
    if artifact is None:
        shares = (f"{m.weight:.3g} {m.artifact.card.name}" for m in model.members)
        return ModelFacts(
            about=model.description or " + ".join(shares),
            threshold=model.threshold,
            file=model.source,
            cost=cost,
            robustness=robustness,
        )
    metrics = artifact.card.metrics
    return ModelFacts(
        about=artifact.card.description,
        threshold=model.threshold,
        file=artifact.source,
        digest=artifact.card.digest,
        cost=cost,
        training_seconds=metrics.get("seconds_of_training"),
        training_memory_mb=metrics.get("training_memory_mb"),
        robustness=robustness,
        curves=_read_log(Path(file).parent / "metrics.csv") if Path(file).is_file() else None,
    )


def _read_log(path: Path) -> dict[str, list[float] | None] | None:
    """Read the log that `cfzoo train` leaves beside its artifact; None if there is none."""
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        names = [c for c in ("epoch", "loss", "train_loss", "val_loss") if rows and c in rows[0]]
        columns = {c: [float(row[c]) for row in rows] for c in names}
    except (OSError, ValueError, TypeError, csv.Error):  # no log, or another program's
        return None
    if not {"epoch", "loss"} <= set(columns) or not np.isfinite(list(columns.values())).all():
        return None
    measured = columns.pop("train_loss", None)  # in evaluation mode, as the validation's
    return {"val_loss": None, **columns, **({"loss": measured} if measured else {})}


def _add_contrast(
    predictions: Predictions, facts: Mapping[str, ModelFacts], sources: Sequence[Source]
) -> tuple[Predictions, dict[str, ModelFacts]]:
    """Add the contrast score, as a probability where it can be fitted on other data sets."""
    score = score_contrast(sources, predictions)
    if score is None:
        return predictions, dict(facts)
    score_threshold = find_score_threshold(predictions, score)
    if predictions.can_leave_one_out():
        score = cross_calibrate(predictions.labels, score, predictions.dataset, platt_scaling)
        fact = ModelFacts(ABOUT_CONTRAST, 0.5, score_threshold)
    else:
        fact = _describe_score(score_threshold)
    margin = {**predictions.margin, CONTRAST: np.asarray(score, np.float64)[None]}
    return replace(predictions, margin=margin), {**facts, CONTRAST: fact}


def _describe_score(score_threshold: Figure | None) -> ModelFacts:
    """Describe the contrast of a single data set, a score that is not a probability."""
    about = ABOUT_CONTRAST + (ABOUT_SCORE_THRESHOLD if score_threshold else "")
    return ModelFacts(about, None, score_threshold)
