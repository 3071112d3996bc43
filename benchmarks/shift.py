"""Measure the shift scores of brains that a training did and did not see.

    python benchmarks/shift.py --root FOLDER

Writes results/shift.json. FOLDER holds the blocks of stains.yaml and cellfinder_crop. It takes two
minutes of one core: the filters of filters3d are fixed, so that only their statistics differ
between trainings; a plain3d is trained without each c-Fos block, and its last map stands for
features that were learnt.
"""

import json
from collections.abc import Callable
from pathlib import Path

import click
import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import cross_val_predict
from torch import nn

from cfzoo.runtime.cubes import Grid, copy_cubes
from cfzoo.runtime.feature_statistics import NORMAL_MAD
from cfzoo.runtime.files import atomic_write
from cfzoo.runtime.points import read_points
from cfzoo.runtime.sample import VOXEL_SIZE, make_sample
from cfzoo.runtime.shift import FeatureCounts, Shift, measure_shift, measure_training
from cfzoo.runtime.volume import open_volume
from cfzoo.zoo.data import load, read_data
from cfzoo.zoo.recipe import recipe_for
from cfzoo.zoo.registry import build
from cfzoo.zoo.training import silence_lightning, train

HERE = Path(__file__).parent
STORED = HERE / "results" / "shift.json"
FOREIGN_VOLUMES = ("cellfinder_crop", "synthetic sample")
DRAWS, DRAWN = 200, (50, 100, 200)  # samples of a block that was left out, candidates in each
QUANTILES = np.linspace(0.05, 0.95, 19)
Block = tuple[str, np.ndarray, np.ndarray]  # name, features, whether each is a cell


def read_block(path: Path) -> np.ndarray:
    """Read a whole volume."""
    with open_volume(path) as volume:
        return volume.read(*(slice(0, n) for n in volume.shape))


def cut(card, block: np.ndarray, zyx: np.ndarray, voxel_size) -> np.ndarray:
    """Cut the cubes of candidates as the runtime does, padded at the faces."""
    grid = Grid.of(card, voxel_size)
    cubes = np.empty((len(zyx), *grid.data_shape), block.dtype)
    copy_cubes(block, grid.starts(zyx), cubes)
    parts = np.array_split(cubes, -(-len(cubes) // 128))
    return np.concatenate([grid.resample(part[:, None].astype(np.float32)) for part in parts])


@torch.inference_mode()
def compute(features: Callable[[torch.Tensor], torch.Tensor], cubes: np.ndarray) -> np.ndarray:
    """Compute the features of cubes, (N, F) float32."""
    return torch.cat([features(part) for part in torch.from_numpy(cubes).split(128)]).numpy()


def learnt_features(network: nn.Module) -> Callable[[torch.Tensor], torch.Tensor]:
    """Return the function from cubes to what the head of a plain3d reads."""
    return lambda x: network.features(network.maps(x)).flatten(1)


def shift_of(blocks: list[Block], features: np.ndarray) -> Shift:
    """Measure the shift of a volume against training blocks."""
    training = measure_training(blocks)
    assert training is not None
    return measure_shift(FeatureCounts.of(features, training.edges), training)


# Other distances of a volume (N, F) from training blocks, for comparison.


def scale_of(blocks: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Return centre and spread of the features over blocks of equal weight, (F,) each."""
    middle = np.mean([np.median(block, axis=0) for block in blocks], axis=0)
    return middle, NORMAL_MAD * np.mean(
        [np.median(np.abs(block - middle), axis=0) for block in blocks], axis=0
    )


def wasserstein(blocks: list[np.ndarray], volume: np.ndarray) -> float:
    """Mean over features of the difference of quantiles from the mean block, in spreads."""
    mean = np.mean([np.quantile(block, QUANTILES, axis=0) for block in blocks], axis=0)
    gap = np.abs(np.quantile(volume, QUANTILES, axis=0) - mean)
    return float((gap / scale_of(blocks)[1]).mean())


def mahalanobis(blocks: list[np.ndarray], volume: np.ndarray) -> float:
    """Distance of the medians by the covariance within blocks, shrunk by a tenth."""
    centre, spread = scale_of(blocks)
    rows = [np.clip((block - np.median(block, axis=0)) / spread, -4, 4) for block in blocks]
    covariance = np.mean([np.cov(block.T) for block in rows], axis=0) + 0.1 * np.eye(len(centre))
    gap = (np.median(volume, axis=0) - centre) / spread
    return float(np.sqrt(gap @ np.linalg.solve(covariance, gap) / len(gap)))


def two_samples(blocks: list[np.ndarray], volume: np.ndarray) -> float:
    """AUC above 0.5 of a logistic regression that tells volume from training, cross-validated."""
    centre, spread = scale_of(blocks)
    x = np.clip((np.concatenate([*blocks, volume]) - centre) / spread, -6, 6)
    y = np.repeat([0, 1], [sum(map(len, blocks)), len(volume)])
    weight = np.concatenate([np.full(len(b), len(volume) / len(b) / len(blocks)) for b in blocks])
    weight = np.append(weight, np.ones(len(volume)))
    model, options = LogisticRegression(), {"params": {"sample_weight": weight}}
    answer = cross_val_predict(model, x, y, cv=5, method="predict_proba", **options)[:, 1]
    return max(0.0, roc_auc_score(y, answer, sample_weight=weight) - 0.5)


def ours(mixed: bool) -> Callable[[list[Block], np.ndarray], float]:
    """Return our distance; not mixed: the cells and no cells of a block in its own shares."""

    def measure(blocks: list[Block], volume: np.ndarray) -> float:
        if not mixed:
            blocks = [(name, x, np.zeros(len(x), bool)) for name, x, _ in blocks]
        training = measure_training(blocks)
        assert training is not None
        counts = FeatureCounts.of(volume, training.edges)
        return training.find_nearest(counts.shares, counts.candidates)[0]

    return measure


METHODS: dict[str, Callable[[list[Block], np.ndarray], float]] = {
    "shares at five quantiles, nearest block, classes mixed (used)": ours(True),
    "the same, each block as it is": ours(False),
    "Wasserstein-1, all blocks": lambda b, v: wasserstein([x for _, x, _ in b], v),
    "Mahalanobis of the medians, all blocks": lambda b, v: mahalanobis([x for _, x, _ in b], v),
    "Mahalanobis of the medians, nearest block": lambda b, v: min(
        mahalanobis([x], v) for _, x, _ in b
    ),
    "two-sample classifier, all blocks": lambda b, v: two_samples([x for _, x, _ in b], v),
}


def compare(blocks: dict[str, Block], volumes: dict[str, np.ndarray]) -> dict[str, dict]:
    """Return, for each method, scores in units of the training block farthest from the others."""

    def scores(measure, trained: list[str], tested: list[str]) -> dict[str, float]:
        inside = [
            measure([blocks[n] for n in trained if n != name], blocks[name][1]) for name in trained
        ]
        chosen = [blocks[name] for name in trained]
        return {name: measure(chosen, volumes[name]) / max(inside) for name in tested}

    cfos = [name for name in blocks if name.startswith("cfos")]
    microglia = [name for name in blocks if name not in cfos]
    table = {}
    for method, measure in METHODS.items():
        own, lowest = [], []
        for name in cfos:
            rest = [n for n in cfos if n != name]
            row = scores(measure, rest, [name, *microglia])
            own.append(row.pop(name))
            lowest.append(min(row.values()) / own[-1])
        cells = scores(measure, cfos, [*microglia, "cellfinder_crop"])
        crop = cells.pop("cellfinder_crop")
        both = scores(measure, list(blocks), ["cellfinder_crop"])
        table[method] = {
            "cfos_left_out": max(own),
            "microglia": min(cells.values()),
            "microglia_over_left_out": min(lowest),
            "crop": crop,
            "crop_both_stains": both["cellfinder_crop"],
        }
    return table


def measure_few(blocks: dict[str, Block], volumes: dict[str, np.ndarray]) -> dict[str, dict]:
    """Return how often samples of a c-Fos block that was left out are unlike, or foreign."""
    rng, rows = np.random.default_rng(0), {str(n): [] for n in DRAWN}
    cfos = [name for name in blocks if name.startswith("cfos")]
    for name in cfos:
        training = measure_training([blocks[n] for n in cfos if n != name])
        assert training is not None
        for n in DRAWN:
            for _ in range(DRAWS):
                drawn = volumes[name][rng.permutation(len(volumes[name]))[:n]]
                counts = FeatureCounts.of(drawn, training.edges)
                rows[str(n)].append(measure_shift(counts, training).verdict)
    return {
        n: {verdict: words.count(verdict) / len(words) for verdict in ("unlike", "foreign")}
        for n, words in rows.items()
    }


def measure_filters(root: Path, sources: dict) -> dict:
    """Measure filters3d: scores by training, the other distances, and small samples."""
    card = recipe_for("filters3d").card()
    features = build(card).eval().features
    blocks, volumes = {}, {}
    for name, source in sources.items():
        cubes = load(source, card)
        blocks[name] = (name, compute(features, cubes.cubes()), cubes.labels == 1)
        zyx = read_points(source.signal.parent / "candidates.xml").zyx
        cubes = cut(card, read_block(source.signal), zyx, source.voxel_size)
        volumes[name] = compute(features, cubes)
    crop, sample = root / "cellfinder_crop", make_sample()
    for name, block, zyx, size in (
        (
            FOREIGN_VOLUMES[0],
            read_block(crop / "signal"),
            read_points(crop / "cells.xml").zyx,
            (5, 2, 2),
        ),
        (FOREIGN_VOLUMES[1], sample.signal, sample.zyx, VOXEL_SIZE),
    ):
        volumes[name] = compute(features, cut(card, block, zyx, size))

    def scores(stain: str) -> dict[str, float]:
        trained = {n: b for n, b in blocks.items() if n.startswith(stain)}
        return {
            name: shift_of([b for n, b in trained.items() if n != name], volume).score
            for name, volume in volumes.items()
        }

    return {
        "filters3d, c-Fos": scores("cfos"),
        "filters3d, microglia": scores("microglia"),
        "filters3d, both stains": scores(""),
        "methods": compare(blocks, volumes),
        "few": measure_few(blocks, volumes),
    }


def measure_learnt(sources: dict) -> dict[str, float]:
    """Return scores by the features of plain3d, trained on the c-Fos blocks but the one tested."""
    recipe, rows = recipe_for("plain3d"), {}
    cubes = {name: load(source, recipe.card()) for name, source in sources.items()}
    cfos = [name for name in sources if name.startswith("cfos")]
    for left_out in (None, *cfos):
        trained = [name for name in cfos if name != left_out]
        network, _ = train(recipe, [cubes[name] for name in trained], 0)
        features = learnt_features(network)
        blocks = [(n, compute(features, cubes[n].cubes()), cubes[n].labels == 1) for n in trained]
        for name in [left_out] if left_out else [n for n in sources if n not in cfos]:
            rows[name] = shift_of(blocks, compute(features, cubes[name].cubes())).score
    return {name: rows[name] for name in sources}


def rounded(node):
    """Round all numbers to three digits after the point."""
    if isinstance(node, dict):
        return {key: rounded(value) for key, value in node.items()}
    return round(float(node), 3)


@click.command()
@click.option("--root", required=True, type=click.Path(exists=True, path_type=Path))
def main(root):
    """Measure and store the figures."""
    silence_lightning()
    torch.set_num_threads(1)
    sources = {source.name: source for source in read_data([HERE / "stains.yaml"], root)}
    report = rounded(measure_filters(root, sources))
    report["plain3d, c-Fos"] = rounded(measure_learnt(sources))
    with atomic_write(STORED) as file:
        file.write(json.dumps(report, indent=1) + "\n")
    click.echo(json.dumps(report))


if __name__ == "__main__":
    main()
