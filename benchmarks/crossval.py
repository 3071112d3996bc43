"""Evaluate every model on the c-Fos blocks that it was not trained on, and store the results.

    python benchmarks/crossval.py --root FOLDER [--only NAME]

Writes crossval/NAME.json, the figures for the model's card, and crossval/NAME.csv, the logit
margins of each candidate for `benchmarks/compare.py`. FOLDER holds the blocks of cfos.yaml. On two
idle CPU cores, the small models take about fifteen minutes each and a ResNet-50 about an hour. An
interrupted run resumes where it stopped.
"""

import json
from pathlib import Path

import click

from cfzoo.analysis.predictions import Predictions, write_predictions
from cfzoo.runtime.files import atomic_write
from cfzoo.zoo.data import read_data
from cfzoo.zoo.recipe import read_recipe, recipe_for
from cfzoo.zoo.training import cross_validate, format_cross_validation, silence_lightning

HERE = Path(__file__).parent
STORED = HERE / "crossval"
# name: (recipe or architecture, seeds, candidates per block for corruptions, blocks to hold out,
# all if empty). A block of ResNet-50 takes 25 minutes of one core here, more with cellfinder's
# recipe.
RUNS = {
    "attention3d": ("zoo/recipes/attention3d.yaml", 3, 1000, ()),
    "wavemix3d": ("zoo/recipes/wavemix3d.yaml", 3, 1000, ()),
    "pipnet3d": ("zoo/recipes/pipnet3d.yaml", 2, 1000, ()),
    "attention3d-small": ("attention3d-small", 3, 1000, ()),
    "attention3d-tiny": ("attention3d-tiny", 3, 1000, ()),
    "resnet50": ("benchmarks/resnet50.yaml", 1, 1000, ()),
    "resnet50-cellfinder": (
        "benchmarks/resnet50-cellfinder.yaml",
        1,
        200,
        ("cfos-695", "cfos-969"),
    ),
}


@click.command()
@click.option("--root", required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--only", type=click.Choice(list(RUNS)), multiple=True, help="Repeatable.")
@click.option("--jobs", default=2, show_default=True, help="Trainings at once.")
def main(root, only, jobs):
    silence_lightning()
    for name in only or RUNS:
        recipe, seeds, corrupted, blocks = RUNS[name]
        sources = read_data([HERE / "cfos.yaml"], root)
        report, points = cross_validate(
            read_recipe(HERE.parent / recipe) if recipe.endswith(".yaml") else recipe_for(recipe),
            sources,
            range(seeds),
            blocks,
            jobs=jobs,
            folder=STORED / ".folds" / name,
            corrupted=corrupted,
        )
        with atomic_write(STORED / f"{name}.json") as file:
            file.write(json.dumps(report, indent=1) + "\n")
        click.echo(f"{name}\n{format_cross_validation(report)}")
        if blocks:  # the comparison needs answers of every model for every candidate
            continue
        predictions = Predictions(
            names=tuple(source.name for source in sources),
            dataset=points["dataset"],
            zyx=points["zyx"],
            edge=~points["inside"],
            labels=points["label"],
            margin={name: points["margin"]},
        )
        write_predictions(STORED / f"{name}.csv", predictions)


if __name__ == "__main__":
    main()
