"""Compare ways to fine-tune on 20 labels, before any calibration.

    python benchmarks/arms.py --root FOLDER [--draws 2]

Tunes the released attention3d on three blocks in each of the ways of `ARMS`, and measures on the
block's other candidates. Stores in results/few_labels.json. FOLDER holds the blocks of stains.yaml.
"""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import click
import numpy as np
import torch
from few_labels import SHORT, fine_tune, store
from scipy.special import expit
from sklearn.metrics import roc_auc_score

from cfzoo.zoo.data import load, read_data
from cfzoo.zoo.objectives import LabelObjective
from cfzoo.zoo.recipe import recipe_for
from cfzoo.zoo.registry import build
from cfzoo.zoo.training import Start, predict_margins, silence_lightning
from cfzoo.zoo.weights import find_weights, read_weights

HERE = Path(__file__).parent
MODEL = "attention3d"
CHOSEN_ON = ("microglia-6506", "microglia-5298", "cfos-1008")
TESTED = 250  # candidates of a block, at most half of it
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
    recipe = dataclasses.replace(recipe, lr=recipe.lr / 3, **SHORT)
    network = build(card).eval()
    network.load_state_dict(weights)
    return Start(recipe, weights, "", card.temperature, card.offset), network


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


def read_block(root: Path, name: str, start: Start):
    """Return a block's source, its candidates to test on, and those to draw labels from."""
    (source,) = [s for s in read_data([HERE / "stains.yaml"], root) if s.name == name]
    return source, *split_block(load(source, start.recipe.card()))


@click.command()
@click.option("--root", required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--draws", default=2, show_default=True)
def main(root, draws):
    """Measure and store the figures."""
    silence_lightning()
    torch.set_num_threads(1)
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


if __name__ == "__main__":
    main()
