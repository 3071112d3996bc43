"""Measure whether held-out answers find the labels that the second reading calls wrong.

    python benchmarks/label_errors.py [--root FOLDER --page FILE]

The answers are those of crossval: attention3d, mean of three trainings without the block. They are
calibrated as `cfzoo train` calibrates them and judged by `find_label_errors`. Writes
results/label_errors.json: per block, how many labels are suspicious, and of the candidates with a
clear second reading, how many of the suspicious ones are wrong (precision) and how many of the
wrong ones are suspicious (recall). With FOLDER, which holds the blocks of cfos.yaml, the page that
`cfzoo train` would write goes to FILE.
"""

import json
import sys
from pathlib import Path

import click
import numpy as np
from scipy.special import expit

sys.path.insert(0, str(Path(__file__).resolve().parent))
from reading_figures import BLOCKS, CLEAR, STORED, find_share, read_readings

from cfzoo.analysis.predictions import Predictions, read_predictions
from cfzoo.runtime.files import atomic_write
from cfzoo.zoo.evaluation import find_label_errors, fit_line

HERE = Path(__file__).parent
MODEL = "attention3d"


def read_probabilities() -> tuple[Predictions, np.ndarray]:
    """Return the table of held-out answers, and calibrated probabilities of a cell, (N,)."""
    table = read_predictions(HERE / "crossval" / f"{MODEL}.csv")
    margin = table.margin[MODEL].mean(axis=0)
    temperature, offset, _ = fit_line(table.labels, margin, table.dataset)
    return table, expit(margin / temperature + offset)


def judge_block(table: Predictions, suspicious: np.ndarray, block: str) -> dict:
    """Compare the suspicious labels of a block with its clear second readings."""
    answers = read_readings(STORED / f"{block}.csv")
    rows = table.rows(f"cfos-{block}")
    counts = {"read": 0, "wrong": 0, "suspicious_and_read": 0, "suspicious_and_wrong": 0}
    for row in rows:
        z, y, x = map(int, table.zyx[row])
        reading, sure = answers.get((z, y, x), ("unclear", 0))
        if reading == "unclear" or sure < CLEAR:
            continue
        wrong = (reading == "cell") != (table.labels[row] == 1)
        counts["read"] += 1
        counts["wrong"] += int(wrong)
        counts["suspicious_and_read"] += int(suspicious[row])
        counts["suspicious_and_wrong"] += int(wrong and suspicious[row])
    no_cells = table.labels[rows] == 0
    return {
        "labels": len(rows),
        "suspicious": int(suspicious[rows].sum()),
        "suspicious_no_cells": int((suspicious[rows] & no_cells).sum()),
        **counts,
    }


def add_shares(row: dict) -> dict:
    """Add precision and recall with Wilson's intervals."""
    shares = {}
    for name, of in (("precision", "suspicious_and_read"), ("recall", "wrong")):
        if row[of]:
            shares[name] = find_share(row["suspicious_and_wrong"], row[of])
    return {**row, **shares}


def make_figures() -> dict:
    """Return the figures of each block and of all."""
    table, probability = read_probabilities()
    suspicious = np.zeros(len(table), bool)
    suspicious[find_label_errors(table.labels, probability, table.dataset)] = True
    blocks = {block: judge_block(table, suspicious, block) for block in BLOCKS}
    total = {key: sum(row[key] for row in blocks.values()) for key in blocks[BLOCKS[0]]}
    return {name: add_shares(row) for name, row in {**blocks, "all": total}.items()}


def label_errors_table(figures: dict) -> str:
    """Return the figures as a table in Markdown."""
    lines = [
        "| block | suspicious labels | of them no cells | read clearly, suspicious "
        "| wrong by the reading | precision | recall |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for name, row in figures.items():
        shares = [
            f"{row['suspicious_and_wrong']} of {row[of]}, {100 * row[key]['value']:.0f} %"
            if key in row
            else "–"
            for key, of in (("precision", "suspicious_and_read"), ("recall", "wrong"))
        ]
        lines.append(
            f"| {name} | {row['suspicious']} of {row['labels']} | {row['suspicious_no_cells']} "
            f"| {row['suspicious_and_read']} | {row['wrong']} | {' | '.join(shares)} |"
        )
    return "\n".join(lines) + "\n"


def write_page(root: Path, page: Path) -> None:
    """Write the page of suspicious labels of all blocks."""
    from cfzoo.analysis.report import list_suspects, render_suspects
    from cfzoo.zoo.data import load, read_data
    from cfzoo.zoo.recipe import recipe_for

    _, probability = read_probabilities()
    card = recipe_for(MODEL).card()
    datasets = [load(source, card) for source in read_data([HERE / "cfos.yaml"], root)]
    listed = list_suspects(datasets, probability)
    source = "three trainings per block without it"
    with atomic_write(page) as file:
        file.write(render_suspects(MODEL, source, datasets, listed))


@click.command()
@click.option("--root", type=click.Path(exists=True, path_type=Path))
@click.option("--page", type=click.Path(path_type=Path))
def main(root, page):
    """Store the figures, and write the page if there are volumes to draw."""
    figures = make_figures()
    with atomic_write(HERE / "results" / "label_errors.json") as file:
        file.write(json.dumps(figures, indent=1) + "\n")
    click.echo(label_errors_table(figures))
    if root and page:
        write_page(root, page)


if __name__ == "__main__":
    main()
