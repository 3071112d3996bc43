"""Measure what 5 to 100 labels of a block make of a model, against the model as it is.

    python benchmarks/few_labels.py --root FOLDER --models FOLDER [--draws 20] [--labels N]
                                    [--only BLOCK]

Fine-tunes, on each block, a model that was trained without it: the second folder is that of
stains.py, with without-BLOCK.safetensors. Trains on the labels as `cfzoo train --init` does, with
three further trainings for the probabilities. The labels, and the candidates that test, are those
of the draws of adapt.py, by chance. A training has 40 steps of 16 cubes; a draw of 20 labels on all
blocks takes five minutes of one core. Writes results/few_labels.json after each draw. A draw that
is stored there is not repeated, as long as the weights of its start are the same; after a change of
the training itself, delete ``runs``. arms.py stores there, too.
"""

import dataclasses
import gc
import hashlib
import json
import tempfile
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from multiprocessing import get_context
from pathlib import Path

import adapt
import click
import numpy as np
import torch
from adapt import COMPARED, WORSE, divide
from left_out import read_calibration

from cfzoo.runtime.files import atomic_write
from cfzoo.zoo.data import LabelledCubes, load, read_data
from cfzoo.zoo.recipe import Recipe
from cfzoo.zoo.registry import build
from cfzoo.zoo.training import (
    RunFolder,
    Start,
    TrainingPlan,
    answer_out_of_fold,
    choose_hardware,
    interpolate,
    predict_margins,
    settle,
    settle_blindly,
    silence_lightning,
    train,
)
from cfzoo.zoo.training.training_features import adjust_start
from cfzoo.zoo.weights import read_weights

HERE = Path(__file__).parent
STORED = HERE / "results" / "few_labels.json"
LABELS = (5, 10, 20, 50, 100)
SHORT = {"epochs": 1, "steps": 40, "batch_size": 16}
FOLDS = 3


def fine_tune(start: Start, cubes, seed: int) -> torch.nn.Module:
    """Train from the start, as `cfzoo train --init` does."""
    return train(start.recipe, [cubes], seed, start.weights, start.temperature, start.offset)[0]


def tune_and_settle(start: Start, cubes, seed: int):
    """Return network and settlement of a fine-tuning, as `cfzoo train --init` ends."""
    network = fine_tune(start, cubes, seed)
    with tempfile.TemporaryDirectory() as path:
        folder = RunFolder(Path(path), "few-1.0.0")
        folder.checkpoint.parent.mkdir()
        card = start.recipe.card()
        hardware = choose_hardware("cpu")
        plan = TrainingPlan(start, seed, [cubes], [], hardware, folder, card, {}, folds=FOLDS)
        answers = answer_out_of_fold(plan)
    if answers is None:  # a single label of a class
        settlement = settle_blindly(start, FOLDS)
    else:
        settlement = settle(answers, start.temperature, start.offset)
    network.load_state_dict(interpolate(start.weights, network.state_dict(), settlement.share))
    return network, settlement


def store(part: dict) -> None:
    """Store a part of the figures beside the others."""
    report = json.loads(STORED.read_text(encoding="utf-8")) if STORED.exists() else {}
    with atomic_write(STORED) as file:
        file.write(json.dumps({**report, **part}, indent=1) + "\n")


@dataclasses.dataclass(frozen=True)
class Block:
    """A block, the start of its fine-tunings, which did not see it, and the start's logits.

    ``digest`` tells fine-tunings from other ones.
    """

    cubes: LabelledCubes
    start: Start
    margin: np.ndarray
    digest: str


@cache
def read_block(name: str, root: Path, models: Path) -> Block:
    """Read block and start, which each process keeps for its next draws.

    The start's logits have the calibration that stains.py fitted.
    """
    path = models / f"without-{name}.safetensors"
    if not path.is_file():
        raise click.ClickException(f"{path} is missing: `stains.py --models` makes it.")
    weights, card = read_weights(path)
    recipe = Recipe.from_dict(card.training["recipe"])
    recipe = dataclasses.replace(recipe, lr=recipe.lr / 3, **SHORT)
    temperature, offset = read_calibration(card.name, name).values()
    start = Start(recipe, weights, "", temperature, offset, card.training_features)
    (source,) = [s for s in read_data([HERE / "stains.yaml"], root) if s.name == name]
    cubes = load(source, card)
    network = build(card).eval()
    network.load_state_dict(weights)
    margin = predict_margins(network, recipe, cubes, card.training_features)
    gc.collect()
    gc.freeze()  # each training collects what the one before has left, and need not look at these
    digest = hashlib.sha256(path.read_bytes() + f"{SHORT} {FOLDS}".encode()).hexdigest()
    return Block(cubes, start, margin / temperature + offset, digest[:16])


def play(task: tuple) -> list[dict]:
    """Fine-tune on the first labels of one draw; return a row for the start and each count.

    The rows that are stored stay as they are if the start is the same.
    """
    name, root, models, draw, counts, stored = task
    silence_lightning()
    torch.set_num_threads(1)
    block = read_block(name, root, models)
    offered, tested, chance = divide(len(block.cubes), draw)
    test = block.cubes.select(tested)
    first = {"block": name, "draw": draw, "labels": 0, "start": block.digest, "share": 0.0}
    rows = {0: first | score(test.labels, block.margin[tested])}
    if stored.get(0, {}).get("start") == block.digest:
        rows = {**stored, **rows}
    for count in counts:
        if count in rows or count > len(offered):
            continue
        few = block.cubes.select(offered[chance[:count]])
        start = adjust_start(block.start, [few])
        tuned, fit = tune_and_settle(start, few, draw)
        margin = fit.calibrate(predict_margins(tuned, start.recipe, test))
        row = {"block": name, "draw": draw, "labels": count, "share": fit.share}
        rows[count] = row | score(test.labels, margin, fit.threshold)
    return [rows[count] for count in sorted(rows)]


def score(labels: np.ndarray, margin: np.ndarray, threshold: float = 0.5) -> dict[str, float]:
    """Return the scores of adapt.py."""
    margin = margin.astype(np.float64)
    scores = adapt.score(labels.astype(bool), margin, threshold)
    return {key: round(value, 4) for key, value in scores.items()}


def summarise(runs: list[dict]) -> list[dict]:
    """Return, per block and number of labels, the means, and the worst draw against the start."""
    starts = {(run["block"], run["draw"]): run for run in runs if not run["labels"]}
    rows = []
    for name, count in sorted({(run["block"], run["labels"]) for run in runs}):
        part = [run for run in runs if (run["block"], run["labels"]) == (name, count)]
        row = {"block": name, "labels": count, "draws": len(part)}
        for key in part[0].keys() - {"block", "labels", "draw", "start"}:
            row[key] = round(float(np.mean([run[key] for run in part])), 4)
        if count:
            for key, sign in COMPARED.items():
                gains = [sign * (run[key] - starts[name, run["draw"]][key]) for run in part]
                row[f"{key}_worst"] = round(min(gains), 4)
                row[f"{key}_worse"] = sum(gain < -WORSE for gain in gains)
        rows.append(row)
    return rows


@click.command()
@click.option("--root", required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--models", required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--draws", default=20, show_default=True)
@click.option("--labels", "counts", type=int, multiple=True, help="Repeatable [5 to 100].")
@click.option("--only", multiple=True, help="Blocks; the others stay as stored. Repeatable.")
@click.option("--jobs", default=2, show_default=True, help="Draws at once.")
def main(root, models, draws, counts, only, jobs):
    """Measure and store the figures."""
    names = only or [source.name for source in read_data([HERE / "stains.yaml"], root)]
    stored = json.loads(STORED.read_text(encoding="utf-8")) if STORED.exists() else {}
    runs: dict[tuple, dict[int, dict]] = {}
    for row in stored.get("runs", []):
        runs.setdefault((row["draw"], row["block"]), {})[row["labels"]] = row
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        for draw in range(draws):
            tasks = [
                (name, root, models, draw, counts or LABELS, runs.get((draw, name), {}))
                for name in names
            ]
            for (name, *_), rows in zip(tasks, pool.map(play, tasks), strict=True):
                before = runs.get((draw, name), {}).get(0, {})
                if before.get("start") != rows[0]["start"]:  # later draws are of another model, too
                    runs = {(d, n): old for (d, n), old in runs.items() if n != name or d < draw}
                runs[draw, name] = {row["labels"]: row for row in rows}
                for row in rows:
                    click.echo(json.dumps(row))
            flat = [row for key in sorted(runs) for row in runs[key].values()]
            store({"runs": flat, "rows": summarise(flat)})  # of whole draws


if __name__ == "__main__":
    main()
