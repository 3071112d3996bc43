"""Figures of `second_reading.py`: the readings beside published labels and held-out scores.

A reading is clear if it is "cell" or "no_cell" with a confidence of 2 or 3. Scores are those of
crossval: margins of models that were not trained on the block, and the local contrast.
"""

import csv
from collections import Counter
from pathlib import Path

import numpy as np
from scipy.stats import binomtest, rankdata
from sklearn.metrics import cohen_kappa_score

from cfzoo.analysis.predictions import read_predictions

HERE = Path(__file__).parent
STORED = HERE / "results" / "second_reading"
BLOCKS = ("695", "753", "969", "1008")
READINGS = ("cell", "no_cell", "unclear")
LABELS = ("cell", "no_cell", "none")
SCORES = ("attention3d", "contrast", "label")
CLEAR = 2  # confidence from which a reading is clear
RESAMPLED = 2000
Point = tuple[int, int, int]


def read_readings(path: Path) -> dict[tuple[int, ...], tuple[str, int]]:
    """Return the coordinates (z y x, after the block if there is one) -> reading, confidence."""
    with path.open(encoding="utf-8", newline="") as file:
        _, *rows = csv.reader(file)
    return {tuple(map(int, row[:-2])): (row[-2], int(row[-1])) for row in rows}


def read_scores(tables: dict, block: str) -> dict[Point, dict[str, np.ndarray]]:
    """Return the labelled points of a block -> each score, (runs,) float; of the label 0 or 1."""
    scores_of: dict[Point, dict[str, np.ndarray]] = {}
    for name, table in tables.items():
        for row in table.rows(f"cfos-{block}"):
            z, y, x = map(int, table.zyx[row])
            point = scores_of.setdefault((z, y, x), {"label": table.labels[row : row + 1]})
            point[name] = table.margin[name][:, row]
    return scores_of


def find_auc(truth: np.ndarray, score: np.ndarray, draws: np.ndarray) -> np.ndarray:
    """Return the AUC of a score in each draw, averaged over runs, (D,) float.

    It follows from the ranks (Mann and Whitney 1947), which ties share.

    Parameters
    ----------
    truth : (N,) bool
    score : (N, runs) float
    draws : (D, N) int
        Rows; those of cells come last in each draw.
    """
    cells = int(truth.sum())
    others = len(truth) - cells
    above = [
        rankdata(run[draws], axis=1)[:, others:].sum(axis=1) - cells * (cells + 1) / 2
        for run in score.T
    ]
    return np.mean(above, axis=0) / (cells * others)


def resample(truth: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return rows drawn with replacement, as many of each class as there are, (D, N) int.

    The first draw is the sample itself.
    """
    parts = [np.flatnonzero(truth == value) for value in (False, True)]
    drawn = [rng.choice(part, (RESAMPLED, len(part))) for part in parts]
    return np.concatenate([np.concatenate(parts)[None], np.concatenate(drawn, axis=1)])


def interval(value: float, drawn, limits=(2.5, 97.5)) -> dict[str, float]:
    """Return a value with two percentiles of its resamples."""
    low, high = np.percentile(drawn, limits)
    return {"value": round(value, 4), "low": round(float(low), 4), "high": round(float(high), 4)}


def find_share(count: int, of: int) -> dict[str, float]:
    """Return a share with Wilson's interval (1927), which holds for a count of zero too."""
    limits = binomtest(count, of).proportion_ci(method="wilson")
    return interval(count / of, [limits.low, limits.high], (0, 100))


def judge_scores(blocks: list[tuple[np.ndarray, dict[str, np.ndarray]]], seed: int) -> dict:
    """Return the AUC of each score, averaged over blocks, with intervals over candidates.

    Parameters
    ----------
    blocks : list
        Truth, (N,) bool, and scores, name -> (N, runs), of each block.
    seed : int
        Of the resampling, in which every score sees the same candidates.
    """
    rng = np.random.default_rng(seed)
    draws = [resample(truth, rng) for truth, _ in blocks]
    figures = {}
    for name in blocks[0][1]:
        auc = np.mean(
            [
                find_auc(truth, scores[name], drawn)
                for drawn, (truth, scores) in zip(draws, blocks, strict=True)
            ],
            axis=0,
        )
        figures[name] = interval(float(auc[0]), auc[1:])
    return figures


def count_readings(answers: dict, labels: dict) -> dict:
    """Return the readings by label, and what the clear ones say about the labels."""
    table = Counter((labels[point], reading) for point, (reading, _) in answers.items())
    clear = Counter(
        (labels[point], reading) for point, (reading, sure) in answers.items() if sure >= CLEAR
    )
    cells = clear["cell", "cell"] + clear["no_cell", "cell"]
    no_cells = clear["cell", "no_cell"] + clear["no_cell", "no_cell"]
    return {
        "read": len(answers),
        "by_label": {
            label: {reading: table[label, reading] for reading in READINGS} for label in LABELS
        },
        "clear": {
            "cells": cells,
            "cells_labelled_no_cell": clear["no_cell", "cell"],
            "share_of_cells": find_share(clear["no_cell", "cell"], cells),
            "no_cells": no_cells,
            "no_cells_labelled_cell": clear["cell", "no_cell"],
            "share_of_no_cells": find_share(clear["cell", "no_cell"], no_cells),
        },
    }


def gather(answers: dict, scores: dict, least: int) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Return truth and scores of the labelled candidates read with at least some confidence."""
    points = [
        point
        for point, (reading, sure) in answers.items()
        if point in scores and reading != "unclear" and sure >= least
    ]
    truth = np.array([answers[point][0] == "cell" for point in points])
    return truth, {name: np.stack([scores[p][name] for p in points]) for name in SCORES}


def measure_repeats(first: dict[str, dict], again: dict) -> dict:
    """Return how well the reader agrees with the own first reading (Cohen 1960)."""
    pairs = [(first[str(b)][z, y, x][0], read) for (b, z, y, x), (read, _) in again.items()]
    a, b = np.array(pairs).T
    rng = np.random.default_rng(0)
    drawn = [cohen_kappa_score(a[rows], b[rows]) for rows in rng.integers(0, len(a), (400, len(a)))]
    both = (a != "unclear") & (b != "unclear")
    return {
        "count": len(a),
        "agreement": round(float(np.mean(a == b)), 4),
        "kappa": interval(float(cohen_kappa_score(a, b)), drawn),
        "changed_side": int(np.sum(a[both] != b[both])),
    }


def find_disagreements(block: str) -> list[Point]:
    """Return the points of a block whose clear reading is not the published label."""
    table = read_predictions(HERE / "crossval" / "contrast.csv")
    answers = read_readings(STORED / f"{block}.csv")
    shared = []
    for row in table.rows(f"cfos-{block}"):
        z, y, x = map(int, table.zyx[row])
        reading, sure = answers.get((z, y, x), ("unclear", 0))
        if sure >= CLEAR and reading == LABELS[int(table.labels[row])]:
            shared.append((z, y, x))
    return sorted(shared)


def make_figures() -> dict:
    """Return all figures, from the stored readings and crossval alone."""
    answers = {block: read_readings(STORED / f"{block}.csv") for block in BLOCKS}
    tables = {name: read_predictions(HERE / "crossval" / f"{name}.csv") for name in SCORES[:2]}
    scores = {block: read_scores(tables, block) for block in BLOCKS}
    labels = {
        (block, point): LABELS[1 - int(scores[block][point]["label"][0])]
        if point in scores[block]
        else "none"
        for block in BLOCKS
        for point in answers[block]
    }
    everything = {(block, p): answer for block in BLOCKS for p, answer in answers[block].items()}
    figures = {}
    for name in (*BLOCKS, "all"):
        part = {key: everything[key] for key in everything if name in ("all", key[0])}
        blocks = BLOCKS if name == "all" else (name,)
        clear = [gather(answers[b], scores[b], CLEAR) for b in blocks]
        guessed = [gather(answers[b], scores[b], 1) for b in blocks]
        figures[name] = {
            **count_readings(part, labels),
            "auc": judge_scores(clear, 0),
            "auc_with_guesses": judge_scores(guessed, 0),
            "auc_against_labels": judge_scores(
                [
                    (values["label"][:, 0] == 1, {n: values[n] for n in SCORES[:2]})
                    for _, values in clear
                ],
                0,
            ),
        }
    again = read_readings(STORED / "again.csv")
    clear = [reading != "unclear" and sure >= CLEAR for reading, sure in everything.values()]
    return {
        "clear_share": round(float(np.mean(clear)), 4),
        "blocks": figures,
        "again": measure_repeats(answers, again),
    }


def format_interval(figure: dict[str, float], digits: int = 2) -> str:
    """Return a value and its interval."""
    value, low, high = (figure[key] for key in ("value", "low", "high"))
    return f"{value:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"


def labels_table(figures: dict) -> str:
    """Return a table of readings by published label, in Markdown."""
    lines = [
        "| block | label cell | label no cell | no label | clear cells labelled no cell "
        "| clear no cells labelled cell |",
        "|---|---|---|---|---|---|",
    ]
    for name, row in figures["blocks"].items():
        cells = [
            " / ".join(str(row["by_label"][label][reading]) for reading in READINGS)
            for label in LABELS
        ]
        clear = row["clear"]
        for kind in ("cells", "no_cells"):
            other = "no_cell" if kind == "cells" else "cell"
            share = clear[f"share_of_{kind}"]
            cells.append(
                f"{clear[f'{kind}_labelled_{other}']} of {clear[kind]}, "
                f"{100 * share['value']:.0f} % ({100 * share['low']:.0f} to "
                f"{100 * share['high']:.0f})"
            )
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def scores_table(figures: dict) -> str:
    """Return a table of AUC against the clear readings, in Markdown."""
    lines = [
        "| block | attention3d | contrast | the published label "
        "| attention3d against the label | contrast against the label |",
        "|---|---|---|---|---|---|",
    ]
    for name, row in figures["blocks"].items():
        cells = [format_interval(row["auc"][score]) for score in SCORES]
        cells += [format_interval(row["auc_against_labels"][score]) for score in SCORES[:2]]
        lines.append(f"| {'mean' if name == 'all' else name} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"
