"""Scores of models on blocks that they were not trained on, with the calibration of a release."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import click
import numpy as np

from cfzoo.zoo.evaluation import fit_line, mean_over_datasets, ranking_metrics

STORED = Path(__file__).parent / "results" / "stains.json"
BINS = 10  # of equal counts, for the expected calibration error


class Answers(NamedTuple):
    """Labels and logits of a block that was left out, and its AUC against the second reading."""

    labels: np.ndarray
    margin: np.ndarray
    reading: dict[str, float]


def read_calibration(model: str, name: str) -> dict[str, float]:
    """Return the temperature and offset of a model that stains.py fitted without a block."""
    report = json.loads(STORED.read_text(encoding="utf-8"))
    if "calibration" not in report.get(model, {}):
        raise click.ClickException(f"{STORED} has no calibration of {model}: run stains.py first.")
    line = report[model]["calibration"][name]
    return {"temperature": line["temperature"], "offset": line["offset"]}


def calibrate(answers: Mapping[str, Answers]) -> tuple[float, float]:
    """Return the temperature and offset that fit blocks, each of which was left out."""
    labels, margins = zip(*(answer[:2] for answer in answers.values()), strict=True)
    groups = np.repeat(np.arange(len(labels)), [len(part) for part in labels])
    return fit_line(np.concatenate(labels), np.concatenate(margins), groups)[:2]


def stain_of(name: str) -> str:
    """Return the stain of a block such as ``cfos-695``."""
    return name.split("-")[0]


def score(labels: np.ndarray, margin: np.ndarray) -> dict[str, float]:
    """Return ranking and calibration of logits: those of `ranking_metrics`, log-loss and ECE."""
    margin = margin.astype(np.float64)
    probability = 1 / (1 + np.exp(-margin))
    loss = float(np.mean(np.logaddexp(0, margin) - labels * margin))
    bins = np.array_split(np.argsort(probability), BINS)
    gaps = [abs(probability[rows].mean() - labels[rows].mean()) * len(rows) for rows in bins]
    return {
        **ranking_metrics(labels, margin),
        "log_loss": loss,
        "ece": float(sum(gaps) / len(labels)),
    }


def summarise(rows: dict[str, dict[str, float]]) -> dict[str, dict[str, float]]:
    """Add the mean of each stain to the scores of the blocks."""
    means = {
        f"mean {stain}": mean_over_datasets(row for n, row in rows.items() if stain_of(n) == stain)
        for stain in sorted({stain_of(name) for name in rows})
    }
    return {**rows, **means}


def score_seed(by_kind: dict[str, dict[str, Answers]]) -> tuple[dict[str, dict], dict[str, dict]]:
    """Return the scores of one seed, as they are and calibrated, and the calibration of blocks.

    Parameters
    ----------
    by_kind
        Answers for ``block`` and ``stain`` that was left out, by block.

    Returns
    -------
    scores : dict
        By what is said of them (``block left out``, ``block left out, calibrated``, the same of
        ``stain``), and by block.
    lines : dict
        Temperature and offset that the other blocks, each left out, give to a block.
    """
    scores: dict[str, dict] = {}
    lines = {}
    for kind, answers in by_kind.items():
        plain = scores.setdefault(f"{kind} left out", {})
        calibrated = scores.setdefault(f"{kind} left out, calibrated", {})
        for name, (labels, margin, reading) in answers.items():
            others = {
                other: answer
                for other, answer in by_kind["block"].items()
                if (other != name if kind == "block" else stain_of(other) != stain_of(name))
            }
            temperature, offset = calibrate(others)
            plain[name] = {**score(labels, margin), **reading}
            calibrated[name] = {**score(labels, margin / temperature + offset), **reading}
            if kind == "block":
                lines[name] = {"temperature": round(temperature, 4), "offset": round(offset, 4)}
    return scores, lines


def list_scores(rows_of_seeds: list[dict[str, dict[str, float]]]) -> dict[str, dict]:
    """Return the scores of the blocks and their means as lists with a number a seed."""
    first, *_ = summaries = [rounded(summarise(rows)) for rows in rows_of_seeds]
    return {name: {key: [s[name][key] for s in summaries] for key in first[name]} for name in first}


def rounded(rows: dict[str, dict[str, float]]) -> dict[str, dict[str, float]]:
    """Round the scores to four digits, which is more than they bear."""
    return {name: {key: round(v, 4) for key, v in row.items()} for name, row in rows.items()}
