"""Measure a two-channel model where the truth is known, beside models of the signal alone.

    python benchmarks/two_channels.py --root FOLDER --pairs PAIRS [--model NAME]
    python benchmarks/two_channels.py --root FOLDER --artifact TWO.onnx --alone ONE.onnx
    python benchmarks/two_channels.py --root FOLDER --pairs PAIRS --left-out

FOLDER holds the blocks of stains.yaml and cellfinder_crop, PAIRS what benchmarks/pairs.py made.
Trains NAME on PAIRS, with two channels and with the signal alone, or takes two artifacts that were
trained elsewhere, and measures them through the runtime. Writes results/two_channels.json, where
each model has an entry. filters3d takes ten minutes of one core. --left-out trains the recipe of
the released filters3d-2ch without each block of PAIRS/real in turn, and measures AUC and F1 there,
with the released temperature, offset and threshold, and with and without the intercept of its kind.

The sample is that of `cfzoo sample`, whose generator and seeds share nothing with what trains.
"""

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import click
import numpy as np
import torch
from scipy.special import expit

from cfzoo.export.graph import export_artifact
from cfzoo.runtime import Artifact, Options, classify, open_volume, read_artifact, read_points
from cfzoo.runtime.artifact import CHANNELS, Card
from cfzoo.runtime.files import atomic_write
from cfzoo.runtime.points import CELL, NO_CELL
from cfzoo.runtime.results import Results, write_xml
from cfzoo.runtime.sample import VOXEL_SIZE, make_sample
from cfzoo.zoo.data import LabelledCubes, LabelledVolume, load, read_data
from cfzoo.zoo.evaluation import mean_over_datasets, ranking_metrics
from cfzoo.zoo.recipe import Recipe, recipe_for
from cfzoo.zoo.registry import MODELS
from cfzoo.zoo.training import (
    measure_training_features,
    predict_margins,
    silence_lightning,
    train,
)

HERE = Path(__file__).parent
STORED = HERE / "results" / "two_channels.json"
RELEASED, TWO_CHANNELS = "attention3d", "filters3d-2ch"
SEEDS = range(3)  # of samples; 0 is that of `cfzoo sample`
MOST = 150  # candidates of a data set that train, so that all fit into memory
LEAST = 2  # cubes of a data set in a batch
CROP_VOXEL_SIZE = (5.0, 2.0, 2.0)
EMPTY = {"zeros": 0, "constant": 500}


def load_some(source: LabelledVolume, card: Card, seed: int) -> LabelledCubes:
    """Load at most `MOST` candidates of a volume, drawn at random."""
    points = read_points(source.points, source.points_from)
    rows = np.flatnonzero(np.isin(points.types, (CELL, NO_CELL)))
    rows = np.sort(np.random.default_rng(seed).permutation(rows)[:MOST])
    ones, zeros = np.ones(len(rows), np.float32), np.zeros(len(rows), np.uint8)
    chosen = Results(points.zyx[rows], points.types[rows].astype(np.int8), ones, zeros)
    with TemporaryDirectory() as folder:
        write_xml(Path(folder) / "points.xml", chosen)
        points_file = Path(folder) / "points.xml"
        return load(dataclasses.replace(source, points=points_file, points_from=None), card)


def train_artifact(model: str, sources: Sequence[LabelledVolume], channels: int) -> Artifact:
    """Train a model of the zoo on data sets; return it as an artifact."""
    card_channels = CHANNELS[channels - 1]
    recipe: Recipe = dataclasses.replace(recipe_for(model), channels=card_channels)
    sets = [load_some(source, recipe.card(), number) for number, source in enumerate(sources)]
    recipe = dataclasses.replace(recipe, batch_size=max(recipe.batch_size, LEAST * len(sets)))
    network, _ = train(recipe, sets, seed=0)
    probes = np.concatenate([cubes.cubes(slice(0, 10)) for cubes in sets])
    return export_artifact(network, recipe.card(), probes, MODELS[model].explained_layer)


def read_crop(root: Path) -> tuple[list[np.ndarray], np.ndarray]:
    """Return signal and background of cellfinder_crop, and the points that are cells."""
    folder, volumes = root / "cellfinder_crop", []
    for name in ("signal", "background"):
        with open_volume(folder / name) as volume:
            volumes.append(volume.read(*(slice(0, n) for n in volume.shape)))
    return volumes, read_points(folder / "cells.xml").zyx


def answer(artifact: Artifact, zyx: np.ndarray, signal, background, size) -> np.ndarray:
    """Return the probabilities of a cell, (N,); a model of one channel gets the signal alone."""
    channels = [signal, background][: len(artifact.card.channels)]
    options = Options(threads=1)
    results = classify(zyx, *channels, model=artifact, voxel_size=size, options=options)
    return results.probability


def score(sample, probability: np.ndarray, threshold: float) -> dict[str, float]:
    """Return the figures of one sample."""
    is_cell, called = sample.types == 2, probability >= threshold
    # The logit, of which float32 has enough digits at both ends.
    margin = np.log(np.clip(probability.astype(float), 1e-30, None) / threshold)
    return {
        **ranking_metrics(is_cell.astype(int), margin),
        "precision": float(is_cell[called].mean()) if called.any() else 0.0,
        "recall": float(called[is_cell].mean()),
        "debris_rejected": float(1 - called[sample.is_debris].mean()),
    }


def measure(artifact: Artifact, samples: Sequence, crop, alone: Artifact | None) -> dict:
    """Return all figures of an artifact; those of odd backgrounds if it takes two channels."""
    (signal, background), zyx = crop
    threshold = artifact.card.threshold

    def of_sample(sample, channel) -> np.ndarray:
        return answer(artifact, sample.zyx, sample.signal, channel, VOXEL_SIZE)

    def of_crop(channel) -> np.ndarray:
        return answer(artifact, zyx, signal, channel, CROP_VOXEL_SIZE)

    rows = [score(sample, of_sample(sample, sample.background), threshold) for sample in samples]
    report = {
        "channels": len(artifact.card.channels),
        "threshold": threshold,
        "standardisation": artifact.card.standardisation,
        "sample": {**rows[0], "mean": mean_over_datasets(rows)},
        "cellfinder_crop_found": float((of_crop(background) >= threshold).mean()),
    }
    if alone is None:
        return report
    report["background_equal_to_signal"] = {
        "sample": float(np.mean([(of_sample(s, s.signal) >= threshold).mean() for s in samples])),
        "cellfinder_crop": float((of_crop(signal) >= threshold).mean()),
    }
    report["agreement_with_signal_alone"] = {}
    for name, level in EMPTY.items():
        same, correlation = [], []
        for sample in samples:
            mine = of_sample(sample, np.full_like(sample.background, level))
            other = answer(alone, sample.zyx, sample.signal, None, VOXEL_SIZE)
            same.append(np.mean((mine >= threshold) == (other >= alone.card.threshold)))
            correlation.append(np.corrcoef(mine, other)[0, 1])
        report["agreement_with_signal_alone"][name] = {
            "same_type": float(np.mean(same)),
            "correlation": float(np.mean(correlation)),
        }
    return report


def measure_left_out(pairs: Path) -> dict[str, dict[str, float]]:
    """Return the figures of each block of recorded signal, for the network trained without it.

    ``f1`` has the intercept of the block's kind, ``f1_without`` none; ``called`` and ``labelled``
    are shares of cells.
    """
    recipe, released = recipe_for(TWO_CHANNELS), read_artifact(TWO_CHANNELS).card
    files = [pairs / part / "data.yaml" for part in ("real", "synthetic")]
    data = {source.name: load(source, recipe.card()) for source in read_data(files)}
    rows = {}
    for name in [source.name for source in read_data(files[:1])]:
        rest = [cubes for other, cubes in data.items() if other != name]
        network, _ = train(recipe, rest, seed=0)
        training = measure_training_features(network, recipe, rest)
        cells, row = data[name].labels == 1, {}
        for key, known in (("f1_without", None), ("f1", training)):
            margin = predict_margins(network, recipe, data[name], known)
            called = expit(margin / released.temperature + released.offset) >= released.threshold
            row[key] = float(2 * (called & cells).sum() / (called.sum() + cells.sum()))
        auc = ranking_metrics(data[name].labels, margin, None)["auc"]
        rows[name] = {"auc": auc, **row, "called": called.mean(), "labelled": cells.mean()}
        click.echo(f"without {name}: {rows[name]}")
    for stain in ("cfos", "microglia"):
        means = [row for name, row in rows.items() if name.startswith(stain)]
        rows[f"mean {stain}"] = mean_over_datasets(means)
    return rows


def rounded(value):
    """Round all floats of a report to four digits."""
    if isinstance(value, dict):
        return {key: rounded(item) for key, item in value.items()}
    return round(value, 4) if isinstance(value, float) else value


@click.command()
@click.option("--root", required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--pairs", type=click.Path(exists=True, path_type=Path))
@click.option("--model", default="filters3d", show_default=True, type=click.Choice(list(MODELS)))
@click.option("--artifact", type=click.Path(exists=True, path_type=Path))
@click.option("--alone", type=click.Path(exists=True, path_type=Path))
@click.option("--left-out", is_flag=True, help="Only the blocks of PAIRS/real, each left out.")
@click.option("--keep", type=click.Path(path_type=Path), help="Folder for what was trained.")
def main(root, pairs, model, artifact, alone, left_out, keep):
    """Measure and store the figures."""
    silence_lightning()
    torch.set_num_threads(1)
    report = json.loads(STORED.read_text(encoding="utf-8")) if STORED.exists() else {}
    if left_out:
        if not pairs:
            raise click.UsageError("--left-out needs --pairs.")
        report[f"{TWO_CHANNELS}, block left out"] = measure_left_out(pairs)
        store(report)
        return
    if artifact and alone:
        two, one = read_artifact(artifact), read_artifact(alone)
        name = two.card.name
    elif pairs:
        name = model
        files = {part: pairs / part / "data.yaml" for part in ("real", "synthetic")}
        two = train_artifact(model, read_data(list(files.values())), 2)
        drawn = read_data([pairs / "synthetic-alone" / "data.yaml"])
        one = train_artifact(model, [*read_data([HERE / "stains.yaml"], root), *drawn], 1)
    else:
        raise click.UsageError("Give --pairs, or --artifact and --alone.")
    if keep:
        keep.mkdir(parents=True, exist_ok=True)
        for each, part in ((two, "two"), (one, "one")):
            (keep / f"{part}.onnx").write_bytes(each.model)
    samples, crop = [make_sample(seed) for seed in SEEDS], read_crop(root)
    report[f"{RELEASED}, released"] = measure(read_artifact(RELEASED), samples, crop, None)
    report[f"{name}, signal alone"] = measure(one, samples, crop, None)
    report[f"{name}, two channels"] = measure(two, samples, crop, one)
    store(report)
    click.echo(json.dumps(rounded(report), indent=1))


def store(report: dict) -> None:
    """Store the figures of all models."""
    with atomic_write(STORED) as file:
        file.write(json.dumps(rounded(report), indent=1) + "\n")


if __name__ == "__main__":
    main()
