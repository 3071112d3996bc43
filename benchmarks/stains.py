"""Measure how well models hold on brains and stains that they were not trained on.

    python benchmarks/stains.py --root FOLDER [--only NAME] [--seeds N] [--models FOLDER]

Leaves out one block at a time, and then one stain at a time, and measures on what was left out.
Writes results/stains.json. FOLDER holds the blocks of stains.yaml. A seed of pyramid3d takes half
an hour of one core, attention3d twice as long. resnet50 is cellfinder's network with the grid, the
cubes and the steps of attention3d (two hours), resnet50-short with the time of pyramid3d. The
statistics of their batch normalisations are measured again after the training, see
settle_statistics. A model that was measured before is measured again.

"block left out" has the probabilities as they are, "block left out, calibrated" those with the
temperature and offset that a release would have: fitted to the answers on blocks that were left
out, but for those of the block, or the stain, that is scored.
With several seeds, "seeds" has the scores of each in a list; the others are those of the first,
unless it was stored before, as the card of a released model holds them. A training differs from one
kind of processor to another, as it does from seed to seed. On
c-Fos, where labels leave cells out, reading_auc is the AUC against the clear answers of the second
reading (second_reading.py).

--models keeps the models of one network and their weights for torch: without-NAME.onnx saw neither
that block nor, for a stain, any block of it (without-NAME-seed1.onnx is of the second seed); one
that is there already is not trained again.
"""

import json
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from multiprocessing import get_context
from pathlib import Path

import click
import numpy as np
import torch
from left_out import STORED, Answers, list_scores, rounded, score, score_seed, stain_of, summarise
from reading_figures import CLEAR, read_readings
from safetensors.torch import save
from sklearn.metrics import roc_auc_score
from torch import nn
from torch.optim.swa_utils import update_bn

from cfzoo.export.graph import export_artifact
from cfzoo.runtime.artifact import Artifact, read_artifact
from cfzoo.runtime.artifact.ensemble import margin_of
from cfzoo.runtime.files import atomic_write
from cfzoo.runtime.session import Session
from cfzoo.runtime.shift import FeatureCounts, describe_training
from cfzoo.runtime.volume import open_volume
from cfzoo.zoo.data import LabelledCubes, load, read_data
from cfzoo.zoo.evaluation import local_contrast, ranking_metrics
from cfzoo.zoo.models import make_input_norm
from cfzoo.zoo.recipe import Recipe, read_recipe, recipe_for
from cfzoo.zoo.registry import build
from cfzoo.zoo.training import (
    copy_weights,
    measure_training_features,
    predict_margins,
    silence_lightning,
    train,
)
from cfzoo.zoo.weights import find_weights, load_weights, read_weights

HERE = Path(__file__).parent
READINGS = HERE / "results" / "second_reading"
MODELS = ("filters3d", "pyramid3d", "attention3d", "resnet50", "resnet50-short")
BATCH = 256  # cubes
SETTLING = 20  # batches
PER_BLOCK = 6  # cubes of each block in such a batch: 72 where one block is left out


def choose_recipe(model: str) -> Recipe:
    """Return the recipe of a model: the bundled one, or this folder's where there is a file."""
    path = HERE / f"{model}.yaml"
    return read_recipe(path) if path.is_file() else recipe_for(model)


def list_splits(names: list[str]) -> list[tuple[str, list[str], list[str]]]:
    """Return (kind, blocks to train on, blocks to test on) of all trainings."""
    splits = [("block", [n for n in names if n != name], [name]) for name in names]
    for stain in sorted({stain_of(name) for name in names}):
        inside = [name for name in names if stain_of(name) == stain]
        splits.append(("stain", [n for n in names if n not in inside], inside))
    return splits


def score_reading(name: str, cubes: LabelledCubes, margin: np.ndarray) -> dict[str, float]:
    """Return ``reading_auc`` of a c-Fos block, and nothing of others."""
    path = READINGS / f"{name.partition('-')[2]}.csv"
    if not path.exists():
        return {}
    row_of = {tuple(map(int, zyx)): row for row, zyx in enumerate(cubes.zyx)}
    clear = [
        (reading == "cell", margin[row_of[point]])
        for point, (reading, confidence) in read_readings(path).items()
        if reading != "unclear" and confidence >= CLEAR and point in row_of
    ]
    return {"reading_auc": float(roc_auc_score(*zip(*clear, strict=True)))}


@cache
def load_block(model: str, root: Path, name: str) -> LabelledCubes:
    """Return the cubes of a block, which each process keeps for its next trainings."""
    (source,) = [s for s in read_data([HERE / "stains.yaml"], root) if s.name == name]
    return load(source, choose_recipe(model).card())


def run(task: tuple) -> dict[str, Answers]:
    """Train once; return the answers on each block that was left out."""
    model, root, (kind, trained, tested), seed, folder = task
    silence_lightning()
    torch.set_num_threads(1)
    recipe = choose_recipe(model)
    left_out = tested[0] if kind == "block" else stain_of(tested[0])
    path = folder and folder / f"without-{left_out}{f'-seed{seed}' if seed else ''}.onnx"
    artifact = network = training = None
    if path and path.exists():
        artifact = read_artifact(path)
    else:
        data = [load_block(model, root, name) for name in trained]
        network, _ = train(recipe, data, seed)
        if recipe.architecture == "resnet50":
            settle_statistics(network, recipe, data, seed)
        training = measure_training_features(network, recipe, data)
        if path:
            card = recipe.card(
                training={"recipe": recipe.to_dict(), "data": trained, "seed": seed},
                features=describe_training(training) if training else {},
            )
            for name, content in (
                (
                    path.with_suffix(".safetensors"),
                    save(copy_weights(network), {"card": card.to_json()}),
                ),
                (path, export_artifact(network, card).model),
            ):
                with atomic_write(name, "wb") as file:
                    file.write(content)
    answers = {}
    for name in tested:
        cubes = load_block(model, root, name)
        if network is None:
            margin = compute_margins(artifact, cubes)
        else:
            margin = predict_margins(network, recipe, cubes, training)
        answers[name] = Answers(cubes.labels, margin, score_reading(name, cubes, margin))
    return answers


def settle_statistics(
    network: nn.Module, recipe: Recipe, datasets: list[LabelledCubes], seed: int
) -> None:
    """Measure the statistics of batch normalisations again, with cubes that the network learnt.

    The running statistics of this network move by a hundredth a step, as keras' do (`PlaneNorm`).
    After a hundred steps, and averaged once more (`Recipe.ema`), more than half of them are still
    the initial 0 and 1. Settled ones are better on microglia, where the AUC on 6506 rises from
    0.07 to 0.96, and worse on c-Fos.
    """
    random, norm = np.random.default_rng(seed), make_input_norm(recipe.normalisation)

    def batch() -> torch.Tensor:
        rows = [(each, np.sort(random.choice(len(each), PER_BLOCK))) for each in datasets]
        return norm(torch.from_numpy(np.concatenate([each.cubes(r) for each, r in rows])))

    with torch.no_grad():
        update_bn((batch() for _ in range(SETTLING)), network)


def compute_margins(artifact: Artifact, cubes: LabelledCubes) -> np.ndarray:
    """Return the logits of a block, (N,), with the intercept that its candidates choose."""
    session = Session(artifact, "cpu", is_own=True)
    parts = [slice(start, start + BATCH) for start in range(0, len(cubes), BATCH)]
    if artifact.card.training_features is None:
        pairs = np.concatenate([session.run(cubes.cubes(part)) for part in parts])
        return margin_of(pairs)
    features = np.concatenate([session.compute_features(cubes.cubes(part)) for part in parts])
    training = artifact.card.training_features
    intercept = training.choose_intercept(FeatureCounts.of(features, training.edges))
    return artifact.head.margin(features) + intercept


def measure_released(root: Path) -> dict[str, dict[str, float]]:
    """Return the scores of the released attention3d, which c-Fos alone trained, on other stains."""
    state, card = read_weights(find_weights("attention3d"))
    network, recipe = build(card), recipe_for("attention3d")
    load_weights(network, state, "attention3d")
    rows = {}
    for source in read_data([HERE / "stains.yaml"], root):
        if stain_of(source.name) != "cfos":
            cubes = load(source, card)
            rows[source.name] = score(cubes.labels, predict_margins(network.eval(), recipe, cubes))
    return rows


def measure_contrast(root: Path) -> dict[str, dict[str, float]]:
    """Return the scores of the local contrast, which has no threshold and no probability."""
    card, rows = recipe_for(MODELS[0]).card(), {}
    for source in read_data([HERE / "stains.yaml"], root):
        cubes = load(source, card)
        with open_volume(source.signal) as volume:
            block = volume.read(*(slice(0, n) for n in volume.shape))
        contrast = local_contrast(block, cubes.zyx, source.voxel_size)
        rows[source.name] = {
            **ranking_metrics(cubes.labels, contrast, threshold=None),
            **score_reading(source.name, cubes, contrast),
        }
    return rows


@click.command()
@click.option("--root", required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--only", type=click.Choice(MODELS), multiple=True, help="Repeatable.")
@click.option("--baselines", is_flag=True, help="Only the contrast and the released attention3d.")
@click.option("--models", "folder", type=click.Path(file_okay=False, path_type=Path))
@click.option("--seeds", default=1, show_default=True)
@click.option("--jobs", default=2, show_default=True, help="Trainings at once.")
def main(root, only, baselines, folder, seeds, jobs):
    """Measure and store the figures."""
    if folder is not None:
        if len(only) != 1:
            raise click.UsageError("--models keeps the models of one network; name it with --only.")
        folder.mkdir(parents=True, exist_ok=True)
    report = json.loads(STORED.read_text(encoding="utf-8")) if STORED.exists() else {}
    report["contrast"] = rounded(summarise(measure_contrast(root)))
    report["attention3d, released"] = {"stain left out": rounded(summarise(measure_released(root)))}
    splits = list_splits([source.name for source in read_data([HERE / "stains.yaml"], root)])
    with atomic_write(STORED) as file:
        file.write(json.dumps(report, indent=1) + "\n")
    for model in () if baselines else only or MODELS:
        tasks = [(model, root, split, seed, folder) for seed in range(seeds) for split in splits]
        # Spawned, since a forked torch may hang in its thread pool.
        with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
            results = []
            for task, answers in zip(tasks, pool.map(run, tasks), strict=True):
                results.append(answers)
                aucs = {
                    name: round(float(roc_auc_score(labels, margin)), 3)
                    for name, (labels, margin, _) in answers.items()
                }
                click.echo(f"{model}, {task[2][0]} left out, seed {task[3]}: AUC {aucs}")
        by_seed = []
        for seed in range(seeds):
            by_kind: dict[str, dict[str, Answers]] = {"block": {}, "stain": {}}
            for (_, _, (kind, *_), of, _), answers in zip(tasks, results, strict=True):
                if of == seed:
                    by_kind[kind] |= answers
            by_seed.append(score_seed(by_kind))
        first, lines = by_seed[0]
        if seeds == 1 or model not in report:
            rows = {kind: rounded(summarise(scores)) for kind, scores in first.items()}
            seeds_before = report.get(model, {}).get("seeds")
            report[model] = {"calibration": lines, **rows}
            if seeds_before:
                report[model]["seeds"] = seeds_before
        else:
            click.echo(f"{model}: the stored scores of one training stay as they are.")
        if seeds > 1:
            lists = {kind: list_scores([scores[kind] for scores, _ in by_seed]) for kind in first}
            report[model]["seeds"] = lists
        with atomic_write(STORED) as file:
            file.write(json.dumps(report, indent=1) + "\n")
        click.echo(f"{model}: {json.dumps(report[model])}")


if __name__ == "__main__":
    main()
