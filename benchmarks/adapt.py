"""Measure what a few labels bring on brains that a model was not trained on, by simulated users.

    python benchmarks/adapt.py --root FOLDER --models FOLDER [--forest] [--draws N] [--block NAME]
                               [--features FOLDER]
    python benchmarks/adapt.py --times

The second folder holds ``without-BLOCK.onnx`` for the blocks of stains.yaml: an artifact with a
head that was trained without this block. In each draw half of the labelled candidates are those
that a user may label, by chance or by the strategy, and the other half tests. All candidates
standardise the features, which ``--features`` keeps for the next run. Writes results/adapt.json
after each block; one that was measured before is measured again. ``--times`` measures the time of
a refit instead.
"""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import click
import numpy as np
import yaml
from left_out import STORED as STAINS
from left_out import read_calibration
from refits import time_refits

from cfzoo.runtime.adapt import (
    BATCH,
    LabelledVolume,
    Labels,
    Prior,
    choose_next,
    estimate_quality,
    fit_head,
    lab_statistics,
    logistic,
    make_pool,
    measure_scale,
    measure_volume,
    prior_for,
    standardise,
    weigh_labels,
)
from cfzoo.runtime.artifact import Artifact, read_artifact
from cfzoo.runtime.files import atomic_write
from cfzoo.runtime.options import Options
from cfzoo.runtime.points import CELL, Points, read_points
from cfzoo.zoo.evaluation import ranking_metrics

HERE = Path(__file__).parent
STORED = HERE / "results" / "adapt.json"
STOPS = (5, 10, 20, 50, 100)
BINS = 10  # of equal counts, for the expected calibration error
WORSE = 0.01  # of a score, beyond which a draw counts as worse than the untouched model
COMPARED = {"auc": 1, "log_loss": -1, "accuracy": 1}  # 1 where more is better
FOREST = "forest by chance"


def score(labels: np.ndarray, margin: np.ndarray, threshold: float = 0.5) -> dict[str, float]:
    """Return ranking and calibration of logits, and F1 at a threshold."""
    probability = logistic(margin)
    calls = probability >= threshold
    bins = np.array_split(np.argsort(probability, kind="stable"), BINS)
    gaps = [abs(probability[rows].mean() - labels[rows].mean()) * len(rows) for rows in bins]
    ranks = ranking_metrics(labels, margin, threshold=None)
    return {
        "auc": ranks["auc"],
        "average_precision": ranks["average_precision"],
        "log_loss": float(np.mean(np.logaddexp(0, margin) - labels * margin)),
        "ece": float(sum(gaps) / len(labels)),
        "f1": float(2 * (calls & labels).sum() / max(1, calls.sum() + labels.sum())),
        "accuracy": float(np.mean((probability >= 0.5) == labels)),
    }


def read_block(entry: dict, root: Path) -> tuple[LabelledVolume, np.ndarray, np.ndarray]:
    """Return a block with all its candidates, and the rows and labels of those with a label."""
    folder = (root / entry["points"]).parent
    points = read_points(folder / "candidates.xml")
    truth = read_points(root / entry["points"])
    row_of = {tuple(zyx): row for row, zyx in enumerate(points.zyx.tolist())}
    extra = [zyx for zyx in truth.zyx.tolist() if tuple(zyx) not in row_of]
    row_of |= {tuple(zyx): len(points.zyx) + i for i, zyx in enumerate(extra)}
    zyx = np.concatenate([points.zyx, np.array(extra).reshape(-1, 3)])
    everything = Points(zyx, np.zeros(len(zyx), np.int16), points.source)
    none = Labels(np.zeros(0, np.int64), np.zeros(0, bool), "")
    volume = LabelledVolume(
        root / entry["signal"], everything, none, voxel_size=entry["voxel_size"]
    )
    rows = np.array([row_of[tuple(place)] for place in truth.zyx.tolist()])
    return volume, rows, truth.types == CELL


def divide(count: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the rows that are offered, those that test, and an order of those offered."""
    random = np.random.default_rng(seed)
    order = random.permutation(count)
    offered, tested = np.sort(order[: count // 2]), order[count // 2 :]
    return offered, tested, random.permutation(count - len(tested))


def simulate(
    standard: np.ndarray,
    labels: np.ndarray,
    prior: Prior,
    scale: np.ndarray,
    seed: int,
    forest: bool,
) -> dict[str, dict[str, float]]:
    """Play one user in each way; return the scores on the half that is never offered.

    Parameters
    ----------
    standard : (n, F) float32
        Standardised features of the candidates with a label.
    labels : (n,) bool
    """
    offered, tested, chance = divide(len(labels), seed)
    z, y, truth = standard[offered], labels[offered], labels[tested]
    scores = {"untouched": score(truth, prior.margin(standard[tested].astype(np.float64)))}
    pool, before = make_pool(z, scale), prior.margin(z)

    def measure(name: str, rows: np.ndarray) -> Prior:
        weights = weigh_labels(before[rows], before)
        lesson = fit_head(z[rows], y[rows], prior, scale, weights)
        if len(rows) in STOPS:
            estimate = estimate_quality(lesson, z[rows], y[rows], prior, scale, lesson.margin(z))
            margin = lesson.margin(standard[tested].astype(np.float64))
            threshold = estimate.threshold if estimate else 0.5
            row = score(truth, margin, threshold)
            if estimate:
                row["auc_estimate"] = estimate.auc.value
                inside = estimate.auc.low <= row["auc"] <= estimate.auc.high
                row["auc_inside_interval"] = float(inside)
            scores[f"{name} {len(rows)}"] = row
        return lesson

    most = min(STOPS[-1], len(offered))
    rows, head = np.zeros(0, np.int64), prior
    while len(rows) < most:
        rows = np.concatenate([rows, choose_next(pool, z, head, rows, y[rows], BATCH)])
        head = measure("strategy", rows[:most])
    for count in (stop for stop in STOPS if stop <= most):
        measure("chance", chance[:count])
        if forest and 0 < y[chance[:count]].sum() < count:
            margin = grow_forest(z[chance[:count]], y[chance[:count]], seed)(standard[tested])
            scores[f"{FOREST} {count}"] = score(truth, margin)
    return scores


def grow_forest(z: np.ndarray, labels: np.ndarray, seed: int) -> Callable:
    """Return a function from features to logits of a random forest of scikit-learn."""
    from sklearn.ensemble import RandomForestClassifier

    model = RandomForestClassifier(200, random_state=seed).fit(z, labels)

    def margin(features: np.ndarray) -> np.ndarray:
        cell = np.clip(model.predict_proba(features)[:, 1], 0.5 / 200, 1 - 0.5 / 200)
        return np.log(cell) - np.log1p(-cell)

    return margin


def compute_features(artifact: Artifact, volume: LabelledVolume, folder: Path | None) -> np.ndarray:
    """Return the features of a volume's candidates, from the folder if they are there."""
    path = folder and folder / f"{artifact.card.digest}-{len(volume.points.zyx)}.npy"
    if path and path.exists():
        return np.load(path)
    features = measure_volume(artifact, volume, Options()).features
    if path:
        folder.mkdir(parents=True, exist_ok=True)
        np.save(path, features)
    return features


def measure_block(
    artifact: Artifact,
    line: dict[str, float],
    entry: dict,
    root: Path,
    draws: int,
    forest: bool,
    folder: Path | None,
) -> dict[str, dict[str, float]]:
    """Return the means of all draws, the worst AUC, and the share of draws that got worse.

    The line is the temperature and offset that a release of the artifact would have.
    """
    volume, rows, labels = read_block(entry, root)
    features = compute_features(artifact, volume, folder)
    _, (statistics,) = lab_statistics([features], artifact)
    # Of the prior alone: the artifact's seal does not know them.
    calibrated = dataclasses.replace(artifact, card=dataclasses.replace(artifact.card, **line))
    prior = prior_for(calibrated, [features], [statistics])
    standardise(features, statistics)
    scale = measure_scale(features)
    usable = np.isfinite(features[rows]).all(axis=1)
    standard, labels = features[rows[usable]], labels[usable]
    runs = [simulate(standard, labels, prior, scale, seed, forest) for seed in range(draws)]
    report = {}
    for name in sorted({name for run in runs for name in run}):
        present = [run for run in runs if name in run]
        row = {
            key: float(np.mean([run[name][key] for run in present if key in run[name]]))
            for key in sorted({key for run in present for key in run[name]})
        }
        changes = np.array(
            [
                [sign * (run[name][key] - run["untouched"][key]) for key, sign in COMPARED.items()]
                for run in present
            ]
        )
        row["worst_change"] = float(changes[:, 0].min())
        row["worse"] = float(np.mean(changes[:, 0] < -WORSE))
        row["worse_in_any"] = float(np.mean((changes < -WORSE).any(axis=1)))
        report[name] = {key: round(value, 4) for key, value in row.items()}
    return report


def summarise(blocks: dict[str, dict]) -> dict[str, dict]:
    """Return the means over the blocks of each stain."""
    report = {}
    for stain in sorted({name.split("-")[0] for name in blocks}):
        members = [rows for name, rows in blocks.items() if name.split("-")[0] == stain]
        for name in sorted(set.intersection(*(set(rows) for rows in members))):
            keys = set.intersection(*(set(rows[name]) for rows in members))
            means = {key: float(np.mean([rows[name][key] for rows in members])) for key in keys}
            means["worst_change"] = min(rows[name]["worst_change"] for rows in members)
            row = {key: round(means[key], 4) for key in sorted(means)}
            report.setdefault(f"mean {stain}", {"blocks": len(members)})[name] = row
    return report


@click.command()
@click.option("--root", type=click.Path(exists=True, path_type=Path))
@click.option("--models", type=click.Path(exists=True, path_type=Path))
@click.option("--block", "names", multiple=True, help="Only these blocks; repeatable.")
@click.option("--features", "folder", type=click.Path(file_okay=False, path_type=Path))
@click.option("--draws", default=20, show_default=True)
@click.option("--forest", is_flag=True, help="Also a random forest of scikit-learn.")
@click.option("--times", is_flag=True, help="Only the time of a refit.")
def main(root, models, names, folder, draws, forest, times):
    """Measure and store the figures."""
    report = json.loads(STORED.read_text(encoding="utf-8")) if STORED.exists() else {}
    if times:
        report["seconds"] = time_refits()
        store(report)
        return
    if root is None or models is None:
        raise click.UsageError("Expected --root and --models, or --times.")
    entries = yaml.safe_load((HERE / "stains.yaml").read_text(encoding="utf-8"))["data"]
    contrast = json.loads(STAINS.read_text(encoding="utf-8"))["contrast"]
    present = [
        (entry, models / f"without-{entry['name']}.onnx")
        for entry in entries
        if not names or entry["name"] in names
    ]
    present = [(entry, path) for entry, path in present if path.exists()]
    if not present:
        raise click.ClickException(f"{models} holds no without-BLOCK.onnx of these blocks.")
    for entry, path in present:
        artifact = read_artifact(path)
        line = read_calibration(artifact.card.name, entry["name"])
        block = measure_block(artifact, line, entry, root, draws, forest, folder)
        block["contrast"] = contrast[entry["name"]]
        blocks = report.setdefault(artifact.card.name, {}).setdefault("blocks", {})
        blocks[entry["name"]] = {"draws": draws, **block}
        rows = {
            name: {key: row for key, row in each.items() if key not in ("draws", "contrast")}
            for name, each in blocks.items()
        }
        report[artifact.card.name] = {"blocks": blocks, **summarise(rows)}
        store(report)
        best = block.get("strategy 20", {})
        click.echo(
            f"{entry['name']}: AUC {block['untouched']['auc']:.3f}, 20 labels {best.get('auc')}"
        )


def store(report: dict) -> None:
    """Write the figures."""
    with atomic_write(STORED) as file:
        file.write(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
