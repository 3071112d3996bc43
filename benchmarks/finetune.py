"""Measure how many labels a new cell type needs: fine-tuning from c-Fos or training from scratch.

    python benchmarks/finetune.py --root FOLDER

Trains on 50, 100 and 250 labels of one microglia block, tests on the two others; writes
finetune.json and finetune.png to results. FOLDER holds the blocks of microglia.yaml. Both
arms get the same cubes, steps, schedule and seeds; fine-tuning has a third of the learning rate.
"""

import dataclasses
import json
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import click
import numpy as np
import torch

from cfzoo.runtime.files import atomic_write
from cfzoo.runtime.volume import open_volume
from cfzoo.zoo.data import load, read_data
from cfzoo.zoo.evaluation import local_contrast, ranking_metrics
from cfzoo.zoo.recipe import recipe_for
from cfzoo.zoo.training import predict_margins, silence_lightning, train
from cfzoo.zoo.weights import find_weights, read_weights

HERE = Path(__file__).parent
TRAINED, TESTED = "microglia-6506", ("microglia-6871", "microglia-7095")
LABELS = (50, 100, 250)
ARMS = {"from scratch": 1.0, "fine-tuned": 1 / 3}  # learning rate, in the recipe's


def run(task):
    """Train and test one network; return a row of the report."""
    model, root, number, arm, seed = task
    silence_lightning()
    torch.set_num_threads(1)
    recipe = recipe_for(model)
    recipe = dataclasses.replace(recipe, epochs=3, lr=recipe.lr * ARMS[arm])
    cubes = {s.name: load(s, recipe.card()) for s in read_data([HERE / "microglia.yaml"], root)}
    # The labels that a person would give first: candidates in random order, whatever their class.
    rows = np.random.default_rng(seed).permutation(len(cubes[TRAINED]))[:number]
    full = cubes[TRAINED]
    few = full.select(rows)
    start = read_weights(find_weights(model))[0] if arm == "fine-tuned" else None
    network, _ = train(recipe, [few], seed, start)
    tests = [
        ranking_metrics(cubes[n].labels, predict_margins(network, recipe, cubes[n])) for n in TESTED
    ]
    return {
        "model": model, "labels": number, "arm": arm, "seed": seed,
        **mean_scores(tests),
    }  # fmt: skip


def score_untouched(model, root):
    """Return the scores of the c-Fos model without fine-tuning."""
    recipe = recipe_for(model)
    from cfzoo.zoo.registry import build

    state, card = read_weights(find_weights(model))
    network = build(card).eval()
    network.load_state_dict(state)
    sources = [s for s in read_data([HERE / "microglia.yaml"], root) if s.name in TESTED]
    tests = [load(s, recipe.card()) for s in sources]
    return mean_scores(
        [ranking_metrics(t.labels, predict_margins(network, recipe, t)) for t in tests]
    )


def score_contrast(root):
    """Return the scores of the contrast, which needs no training."""
    sources = [s for s in read_data([HERE / "microglia.yaml"], root) if s.name in TESTED]
    tests = [load(s, recipe_for("attention3d").card()) for s in sources]
    rows = []
    for source, test in zip(sources, tests, strict=True):
        with open_volume(source.signal) as volume:
            block = volume.read(*(slice(0, n) for n in volume.shape))
        rows.append(
            ranking_metrics(test.labels, local_contrast(block, test.zyx, source.voxel_size), None)
        )
    return mean_scores(rows)


def mean_scores(rows):
    """Return the mean of each score over the test blocks."""
    return {key: float(np.mean([row[key] for row in rows])) for key in rows[0]}


def draw(report, path):
    """Plot average precision and AUC against the number of labels, with one dot per run."""
    from matplotlib.figure import Figure

    figure = Figure((7, 3.2), dpi=150, layout="constrained")
    for axis, (key, title) in zip(
        figure.subplots(1, 2),
        (("average_precision", "average precision"), ("auc", "AUC")),
        strict=True,
    ):
        for arm, colour in zip(ARMS, ("#4c72b0", "#dd8452"), strict=True):
            rows = [r for r in report["runs"] if r["arm"] == arm]
            axis.plot([r["labels"] for r in rows], [r[key] for r in rows], ".", color=colour)
            mean = [np.mean([r[key] for r in rows if r["labels"] == n]) for n in LABELS]
            axis.plot(LABELS, mean, color=colour, label=arm)
        axis.axhline(report["untouched"][key], color="0.5", ls="--", label="c-Fos model as it is")
        axis.set(xlabel="labels of microglia 6506", ylabel=f"{title}, 6871 and 7095", xscale="log")
        axis.set_xticks(LABELS, [str(n) for n in LABELS], minor=False)
        axis.minorticks_off()
        axis.spines[["top", "right"]].set_visible(False)
    axis.legend(frameon=False, fontsize=8)
    figure.savefig(path, metadata={"Software": None})


@click.command()
@click.option("--root", required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--model", default="attention3d", show_default=True)
@click.option("--seeds", default=3, show_default=True)
def main(root, model, seeds):
    tasks = [(model, root, n, arm, s) for n in LABELS for arm in ARMS for s in range(seeds)]
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        runs = list(pool.map(run, tasks))
    report = {
        "model": model,
        "untouched": score_untouched(model, root),
        "contrast": score_contrast(root),
    }
    report["runs"] = runs
    with atomic_write(HERE / "results" / "finetune.json") as file:
        file.write(json.dumps(report, indent=1) + "\n")
    draw(report, HERE / "results" / "finetune.png")
    for n in LABELS:
        for arm in ARMS:
            rows = [r for r in runs if r["labels"] == n and r["arm"] == arm]
            means = {k: np.mean([r[k] for r in rows]) for k in ("auc", "average_precision")}
            click.echo(
                f"{n:4d} labels, {arm:12}: " + ", ".join(f"{k} {v:.3f}" for k, v in means.items())
            )


if __name__ == "__main__":
    main()
