"""Measure what an unseen microscope may do to a model, on blocks that it was not trained on.

    python benchmarks/robustness.py --root FOLDER --models FOLDER [--candidates 1000]

Changes each block as `cfzoo compare` does (gain, offset, noise, blur, misplaced centres, fewer
planes) and classifies it with the model that was trained without it: the second folder is that of
stains.py, with without-BLOCK.onnx. Writes the AUC by stain, block and change to
results/robustness.json. FOLDER holds the blocks of stains.yaml. Takes a quarter of an hour of one
core.
"""

import json
from pathlib import Path

import click
from left_out import stain_of
from sklearn.metrics import roc_auc_score
from stains import compute_margins

from cfzoo.runtime.artifact import read_artifact
from cfzoo.runtime.files import atomic_write
from cfzoo.zoo.data import LabelledCubes, load, read_data
from cfzoo.zoo.evaluation import corrupt, list_corruptions, mean_over_datasets, subsample

HERE = Path(__file__).parent
STORED = HERE / "results" / "robustness.json"
UNCHANGED = "as it is"


def measure(path: Path, cubes: LabelledCubes) -> dict[str, float]:
    """Return the AUC of a model on a block as it is, and after each change."""
    artifact, scores = read_artifact(path), {}
    for change in (None, *list_corruptions(cubes)):
        changed = corrupt(cubes, *change) if change else cubes
        auc = roc_auc_score(cubes.labels, compute_margins(artifact, changed))
        name = f"{change[0]} {change[1]:g}" if change else UNCHANGED
        scores[name] = round(float(auc), 4)
    return scores


@click.command()
@click.option("--root", required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--models", required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--candidates", default=1000, show_default=True, help="Of a block, at most.")
def main(root, models, candidates):
    """Measure and store the figures."""
    report = json.loads(STORED.read_text(encoding="utf-8")) if STORED.exists() else {}
    blocks = {}
    for source in read_data([HERE / "stains.yaml"], root):
        path = models / f"without-{source.name}.onnx"
        card = read_artifact(path).card
        blocks[source.name] = measure(path, subsample(load(source, card), candidates))
        click.echo(f"{source.name}: {blocks[source.name]}")
    for stain in sorted({stain_of(name) for name in blocks}):
        rows = [row for name, row in blocks.items() if stain_of(name) == stain]
        means = {key: round(v, 4) for key, v in mean_over_datasets(rows).items()}
        report.setdefault(card.name, {})[f"mean {stain}"] = means
    report[card.name]["blocks"] = blocks
    with atomic_write(STORED) as file:
        file.write(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
