"""Every model on the c-Fos blocks that it was not trained on, and the page that shows it.

    python benchmarks/crossval.py --root FOLDER [--only NAME]

Writes crossval/NAME.json for each model and docs/comparison.md from all that are there; with
``--page`` the page alone. FOLDER holds the blocks of cfos.yaml. On two quiet CPU cores each takes
some ten minutes, a ResNet-50 on its own grid longer.
"""

import json
from pathlib import Path

import click

from cfzoo.runtime.files import atomic_write
from cfzoo.zoo.crossval import crossval, table
from cfzoo.zoo.datasets import read_data
from cfzoo.zoo.recipe import read_recipe
from cfzoo.zoo.train import quiet

HERE = Path(__file__).parent
PAGE = HERE.parent / "docs" / "comparison.md"
# name: (recipe, seeds, candidates of a block to try corruptions on)
RUNS = {
    "attention3d": ("zoo/recipes/attention3d.yaml", 3, 1000),
    "wavemix3d": ("zoo/recipes/wavemix3d.yaml", 3, 1000),
    "pipnet3d": ("zoo/recipes/pipnet3d.yaml", 3, 1000),
    "resnet50": ("benchmarks/resnet50.yaml", 1, 1000),
    "resnet50-cellfinder": ("benchmarks/resnet50-cellfinder.yaml", 1, 200),
}
MEASURES = {
    "auc": "AUC",
    "average_precision": "average precision",
    "f1": "F1",
    "fpr_at_95": "false-positive rate at 95 % recall",
    "fpr_at_99": "false-positive rate at 99 % recall",
}
HEAD = """# Models on brains that they were not trained on

Leave one block out: each figure is of a c-Fos block that the network never saw, edge candidates
included; within a run nothing looks at it. The recipes did: the robust loss, PIP-Net's phases and
the weight of the contrast were chosen by figures on these same blocks, with seed 0. The weight was
raised from 8 to 12 after attention3d had ranked 753 just below the contrast, and its run was begun
again. So the figures are optimistic; expect less on the next brain. Mean over seeds.

`resnet50-cellfinder` is cellfinder's network with its own recipe, on two blocks and for about one
of its hundred epochs, which is what two CPU cores allow: read it as what that recipe has learnt
after so many cubes, not as how good it gets.

This page and `benchmarks/crossval/` are made by `python benchmarks/crossval.py --root FOLDER`.
"""


def page(reports):
    """Markdown of the reports: a table a measure, and what shakes the models."""
    blocks = list(next(iter(reports.values()))["contrast"])
    parts = [
        HEAD,
        "| model | seeds | cubes seen in training | parameters of the recipe |\n|---|---|---|---|",
    ]
    for name, report in reports.items():
        recipe = report["recipe"]
        seen = recipe["epochs"] * recipe["steps"] * recipe["batch_size"]
        file = RUNS[name][0]
        parts[-1] += f"\n| {name} | {len(report['seeds'])} | {seen:,} | [{file}](../{file}) |"
    for key, title in MEASURES.items():
        lines = [f"## {title[0].upper()}{title[1:]}", ""]
        lines += ["| model | " + " | ".join(blocks) + " |", "|---" * (len(blocks) + 1) + "|"]
        rows = {name: report["network"] for name, report in reports.items()}
        if key != "f1":  # the contrast has no natural threshold
            rows["contrast (trivial)"] = next(iter(reports.values()))["contrast"]
        for name, row in rows.items():
            whole = all(block in row for block in blocks)
            cells = [
                f"{row[block][key]:.3f}" if block in row and (whole or block != "mean") else ""
                for block in blocks
            ]
            lines.append(f"| {name} | " + " | ".join(cells) + " |")
        parts.append("\n".join(lines))
    shaken = list(next(iter(reports.values()))["robustness_auc"])
    lines = ["## Mean AUC when the block that is tested is changed", ""]
    lines += ["| model | as it is | " + " | ".join(shaken) + " |", "|---" * (len(shaken) + 2) + "|"]
    for name, report in reports.items():
        if len(report["network"]) < len(blocks):
            continue  # a mean over fewer blocks compares with nothing
        cells = [report["network"]["mean"]["auc"]]
        cells += [report["robustness_auc"][kind]["mean"] for kind in shaken]
        lines.append(f"| {name} | " + " | ".join(f"{c:.3f}" for c in cells) + " |")
    parts.append("\n".join(lines))
    return "\n\n".join(part.strip() for part in parts) + "\n"


@click.command()
@click.option("--root", type=click.Path(exists=True, path_type=Path))
@click.option("--only", type=click.Choice(list(RUNS)), multiple=True, help="Repeatable.")
@click.option("--page", "page_only", is_flag=True, help="Train nothing.")
@click.option("--jobs", default=2, show_default=True, help="Trainings at once.")
def main(root, only, page_only, jobs):
    quiet()
    folder = HERE / "crossval"
    folder.mkdir(exist_ok=True)
    for name in () if page_only else only or RUNS:
        recipe, seeds, most = RUNS[name]
        sources = read_data([HERE / "cfos.yaml"], root)
        report, _ = crossval(
            read_recipe(HERE.parent / recipe),
            sources,
            range(seeds),
            jobs=jobs,
            work=folder / ".folds" / name,  # stopped, it goes on where it was
            shaken_with=most,
        )
        with atomic_write(folder / f"{name}.json") as file:
            file.write(json.dumps(report, indent=1) + "\n")
        click.echo(f"{name}\n{table(report)}")
    found = {n: folder / f"{n}.json" for n in RUNS if (folder / f"{n}.json").is_file()}
    reports = {name: json.loads(path.read_text()) for name, path in found.items()}
    with atomic_write(PAGE) as file:
        file.write(page(reports))


if __name__ == "__main__":
    main()
