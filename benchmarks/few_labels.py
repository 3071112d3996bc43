"""Measure what 20, 50 and 100 labels of a block make of a model, against the model as it is.

    python benchmarks/few_labels.py choose --root FOLDER
    python benchmarks/few_labels.py verify --root FOLDER

``choose`` compares ways to train on 20 labels (`ARMS`) on three blocks. ``verify`` trains on 20, 50
and 100 labels of three others as `cfzoo train --init` does, with three further trainings for the
probabilities, and measures on the block's other candidates. Both write results/few_labels.json.
FOLDER holds the blocks of stains.yaml. A training has 40 steps of 16 cubes, so that all draws take
quarter of an hour of one core.
"""

import dataclasses
import json
import tempfile
from collections.abc import Callable
from pathlib import Path

import click
import numpy as np
import torch
from scipy.special import expit
from sklearn.metrics import roc_auc_score

from cfzoo.runtime.files import atomic_write
from cfzoo.runtime.volume import open_volume
from cfzoo.zoo.data import load, read_data
from cfzoo.zoo.evaluation import local_contrast
from cfzoo.zoo.objectives import LabelObjective
from cfzoo.zoo.recipe import recipe_for
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
from cfzoo.zoo.weights import find_weights, read_weights

HERE = Path(__file__).parent
STORED = HERE / "results" / "few_labels.json"
MODEL = "attention3d"
CHOSEN_ON = ("microglia-6506", "microglia-5298", "cfos-1008")
VERIFIED_ON = ("microglia-6871", "microglia-2433", "cfos-695")
LABELS = (20, 100, 50)  # in the order of their importance, for a run that is stopped
TESTED = 250  # candidates of a block, at most half of it
FOLDS = 3
PULL = 100.0  # of L2-SP, per unit of learning rate


def measure(labels: np.ndarray, margin: np.ndarray, threshold: float = 0.5) -> dict[str, float]:
    """Return AUC, log-loss and accuracy of calibrated logits."""
    margin = margin.astype(np.float64)
    return {
        "auc": round(float(roc_auc_score(labels, margin)), 4),
        "log_loss": round(float(np.mean(np.logaddexp(0, margin) - labels * margin)), 4),
        "accuracy": round(float(np.mean((expit(margin) >= threshold) == labels)), 4),
    }


def split_block(cubes, seed: int = 99):
    """Return the candidates to test on, and those that labels are drawn from."""
    order = np.random.default_rng(seed).permutation(len(cubes))
    count = min(TESTED, len(cubes) // 2)
    return cubes.select(order[:count]), cubes.select(order[count:])


def draw_labels(pool, count: int, draw: int):
    """Return the labels that a person would give first: candidates in random order."""
    return pool.select(np.random.default_rng(1000 + draw).permutation(len(pool))[:count])


def read_start() -> tuple[Start, torch.nn.Module]:
    """Return recipe, weights and calibration of the released model, and its network."""
    weights, card = read_weights(find_weights(MODEL))
    recipe = recipe_for(MODEL)
    recipe = dataclasses.replace(recipe, epochs=1, steps=40, batch_size=16, lr=recipe.lr / 3)
    network = build(card).eval()
    network.load_state_dict(weights)
    return Start(recipe, weights, "", card.temperature, card.offset), network


def fine_tune(start: Start, cubes, seed: int) -> torch.nn.Module:
    """Train from the start, as `cfzoo train --init` does."""
    return train(start.recipe, [cubes], seed, start.weights, start.temperature, start.offset)[0]


def fine_tune_bare(start: Start, cubes, seed: int) -> torch.nn.Module:
    """Train on the network's bare logits, without contrast and temperature, as until now."""
    see, LabelObjective.start_from = LabelObjective.start_from, lambda *_: None
    try:
        return fine_tune(start, cubes, seed)
    finally:
        LabelObjective.start_from = see


def fine_tune_pulled(start: Start, cubes, seed: int) -> torch.nn.Module:
    """Train with a pull towards the initial weights (L2-SP, Xuhong et al. 2018, ICML)."""
    rate = start.recipe.lr * PULL

    @torch.no_grad()
    def after_step(self, net, progress):
        for name, tensor in net.named_parameters():
            tensor.lerp_(start.weights[name], rate * (1 - progress))

    before, LabelObjective.after_step = LabelObjective.after_step, after_step
    try:
        return fine_tune(start, cubes, seed)
    finally:
        LabelObjective.after_step = before


def fine_tune_head(start: Start, cubes, seed: int) -> torch.nn.Module:
    """Train the last layer alone, at ten times the rate."""

    def groups(self, net, lr, decay):
        for name, tensor in net.named_parameters():
            tensor.requires_grad_(name.startswith("head."))
        return [{"params": net.head.parameters(), "lr": 10 * lr, "weight_decay": decay}]

    before, LabelObjective.parameter_groups = LabelObjective.parameter_groups, groups
    try:
        return fine_tune(start, cubes, seed)
    finally:
        LabelObjective.parameter_groups = before


ARMS: dict[str, Callable] = {
    "bare logits": fine_tune_bare,
    "from its answers": fine_tune,
    "from its answers, pulled": fine_tune_pulled,
    "from its answers, head alone": fine_tune_head,
}


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


def measure_contrast(source, pool, test) -> dict[str, float]:
    """Return the AUC of the local contrast, which has no probability."""
    with open_volume(source.signal) as volume:
        block = volume.read(*(slice(0, n) for n in volume.shape))
    contrast = local_contrast(block, test.zyx, source.voxel_size)
    return {"auc": round(float(roc_auc_score(test.labels, contrast)), 4)}


def read_block(root: Path, name: str, start: Start):
    """Return a block's source, its candidates to test on, and those to draw labels from."""
    (source,) = [s for s in read_data([HERE / "stains.yaml"], root) if s.name == name]
    return source, *split_block(load(source, start.recipe.card()))


def summarise(runs: list[dict], untouched: dict[str, dict]) -> list[dict]:
    """Return, per block and number of labels, the means, and the worst draw against untouched."""
    rows = []
    for block, count in dict.fromkeys((run["block"], run["labels"]) for run in runs):
        part = [run for run in runs if (run["block"], run["labels"]) == (block, count)]
        row = {"block": block, "labels": count, "draws": len(part)}
        for name, sign in (("auc", 1), ("log_loss", -1), ("accuracy", 1)):
            values = [run[name] for run in part]
            row[name] = round(float(np.mean(values)), 4)
            row[f"{name}_worst"] = round(
                min(sign * (value - untouched[block][name]) for value in values), 4
            )
        row["share"] = round(float(np.mean([run["share"] for run in part])), 3)
        rows.append(row)
    return rows


def store(part: dict) -> None:
    """Store a part of the figures beside the others."""
    report = json.loads(STORED.read_text(encoding="utf-8")) if STORED.exists() else {}
    with atomic_write(STORED) as file:
        file.write(json.dumps({**report, **part}, indent=1) + "\n")


@click.group()
def main():
    """Measure what few labels of a block make of a model."""
    silence_lightning()
    torch.set_num_threads(1)


root_option = click.option("--root", required=True, type=click.Path(exists=True, path_type=Path))


@main.command()
@root_option
@click.option("--draws", default=2, show_default=True)
def choose(root, draws):
    """Compare the arms on 20 labels, without calibration: their AUC."""
    start, untouched = read_start()
    runs = []
    for name in CHOSEN_ON:
        _, test, pool = read_block(root, name, start)
        rows = {"untouched": predict_margins(untouched, start.recipe, test)}
        for draw in range(draws):
            few = draw_labels(pool, 20, draw)
            for arm, tune in ARMS.items():
                rows[f"{arm}/{draw}"] = predict_margins(tune(start, few, draw), start.recipe, test)
        for key, margin in rows.items():
            arm, _, draw = key.partition("/")
            row = measure(test.labels, margin / start.temperature + start.offset)
            runs.append({"block": name, "arm": arm, "draw": draw, **row})
            click.echo(json.dumps(runs[-1]))
    arms = {
        arm: {
            key: round(float(np.mean([r[key] for r in runs if r["arm"] == arm])), 4)
            for key in ("auc", "log_loss", "accuracy")
        }
        for arm in ("untouched", *ARMS)
    }
    store({"arms": arms, "arms_runs": runs})
    click.echo(json.dumps(arms, indent=1))


@main.command()
@root_option
@click.option("--draws", default=5, show_default=True)
@click.option("--only", multiple=True, help="Blocks; repeatable.")
def verify(root, draws, only):
    """Train on labels of blocks that chose nothing, and compare with the model as it is."""
    start, network = read_start()
    blocks = {name: read_block(root, name, start) for name in only or VERIFIED_ON}
    untouched = {
        name: measure(
            test.labels,
            predict_margins(network, start.recipe, test) / start.temperature + start.offset,
        )
        for name, (_, test, _) in blocks.items()
    }
    contrast = {
        name: measure_contrast(source, pool, test) for name, (source, test, pool) in blocks.items()
    }
    runs: list[dict] = []
    for count in LABELS:
        for name, (_, test, pool) in blocks.items():
            for draw in range(draws):
                tuned, fit = tune_and_settle(start, draw_labels(pool, count, draw), draw)
                margin = fit.calibrate(predict_margins(tuned, start.recipe, test))
                row = {"block": name, "labels": count, "draw": draw, "share": fit.share}
                runs.append({**row, **measure(test.labels, margin, fit.threshold)})
                click.echo(json.dumps(runs[-1]))
            few = {"untouched": untouched, "contrast": contrast, "runs": runs}
            store({**few, "rows": summarise(runs, untouched)})


if __name__ == "__main__":
    main()
