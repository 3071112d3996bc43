"""Measure whether the maps of the released models are meaningful, and store the figures.

    python benchmarks/explain.py --root FOLDER [--only NAME] [--cards]

Writes results/explain.json and the pictures of docs/explaining, and with --cards the models' cards.
FOLDER holds the blocks of cfos.yaml, on which the released weights were trained: the figures
describe the maps, not accuracy. Takes two minutes per model on two CPU cores. --time prints the
cost of maps.
"""

import json
import time
from pathlib import Path

import click
import numpy as np
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from scipy.special import expit

from cfzoo.analysis.maps_picture import PLANES, colour_signs, planes_of
from cfzoo.runtime.artifact import Card, read_artifact
from cfzoo.runtime.files import atomic_write
from cfzoo.runtime.session import Session
from cfzoo.zoo.data import load, read_data
from cfzoo.zoo.explain import (
    centred_gaussian,
    deletion_auc,
    find_reasons,
    load_network,
    pointing_game,
    randomisation_test,
)
from cfzoo.zoo.figure import draw_scale_bar, png_bytes
from cfzoo.zoo.registry import MODELS as ARCHITECTURES
from cfzoo.zoo.weights import find_bundled_weights

HERE = Path(__file__).parent
STORED = HERE / "results" / "explain.json"
PICTURES = HERE.parent / "docs" / "explaining"
MODELS = ("attention3d", "wavemix3d", "pipnet3d")
SEEDS = 3  # for the random weights
CHANGED = 50  # candidates per block and label whose voxels are deleted and inserted
SHUFFLED = 10  # candidates per block and label for random weights


def list_maps(name: str) -> tuple[str, ...]:
    """Return the maps that a model's artifact gives: Grad-CAM or HiResCAM, and relevance."""
    layer = ARCHITECTURES[name].explained_layer
    return layer.map_names if layer else ()


def measure(name: str, root: Path) -> dict:
    """Return the figures of a find_bundled_weights model's maps."""
    network, card = load_network(name)
    blocks = [load(source, card) for source in read_data([HERE / "cfos.yaml"], root)]
    random = np.random.default_rng(0)
    cubes = np.concatenate([block.cubes() for block in blocks])
    labels = np.concatenate([block.labels for block in blocks])
    block = np.repeat(np.arange(len(blocks)), [len(b) for b in blocks])

    def sample_rows(count: int) -> np.ndarray:
        rows = [
            random.choice(np.flatnonzero((block == b) & (labels == label)), count, replace=False)
            for b in range(len(blocks))
            for label in (0, 1)
        ]
        return np.concatenate(rows)

    cells = np.flatnonzero(labels == 1)
    maps = find_reasons(network, card, cubes[cells]).maps
    near = {kind: pointing_game(values, card.voxel_size) for kind, values in maps.items()}
    figures: dict = {"pointing": {kind: round(hit, 4) for kind, (hit, _) in near.items()}}
    figures["pointing"]["random voxel"] = round(near["relevance"][1], 4)

    rows = sample_rows(CHANGED)
    explained = find_reasons(network, card, cubes[rows])
    inputs = torch.from_numpy(cubes[rows])
    blind = {
        "random": random.random(inputs.shape[:1] + inputs.shape[2:]),
        "centred gaussian": np.broadcast_to(
            centred_gaussian(card.cube_shape, card.voxel_size), (len(rows), *card.cube_shape)
        ),
    }
    for label, cell in (("cells", True), ("no cells", False)):
        sign = 1 if cell else -1
        called = (explained.probability >= card.threshold) == cell

        def margin(x: torch.Tensor, sign=sign) -> torch.Tensor:
            logits = network(x)
            return sign * ((logits[:, 1] - logits[:, 0]) / card.temperature + card.offset)

        signed = {kind: sign * explained.maps[kind] for kind in list_maps(name)}
        table = {
            kind: {
                way: round(
                    deletion_auc(margin, inputs[called], values[called], way == "insertion"), 4
                )
                for way in ("deletion", "insertion")
            }
            for kind, values in {**signed, **blind}.items()
        }
        figures[f"called {label}"] = table

    few = cubes[sample_rows(SHUFFLED)]
    kinds = (*list_maps(name), "guided_backprop")
    correlation = {}
    for kind in kinds:

        def maps_of(net: torch.nn.Module, kind=kind) -> np.ndarray:
            return find_reasons(net, card, few).maps[kind]

        runs = [
            [value for _, value in randomisation_test(network, maps_of, s)] for s in range(SEEDS)
        ]
        mean = np.mean(runs, axis=0)
        correlation[kind] = {
            "last layer": round(float(mean[0]), 4),
            "half of the layers": round(float(mean[len(mean) // 2]), 4),
            "all layers": round(float(mean[-1]), 4),
            "largest": round(float(mean.max()), 4),
        }
    figures["random weights"] = correlation
    parts = explained.parts
    figures["share of the margin"] = {
        part: round(float(np.abs(values).mean()), 3) for part, values in parts.items()
    }
    return {"version": card.version, "cells": len(cells), **figures}


def card_metrics(figures: dict) -> dict:
    """Return the figures of a model as tables for its card's metrics, with a verdict in words."""
    keys = {
        "called cells": "map_changes_called_cell",
        "called no cells": "map_changes_called_no_cell",
    }
    return {
        "map_pointing": {k: {"within_8_um": v} for k, v in figures["pointing"].items()},
        **{key: figures[name] for name, key in keys.items()},
        "map_random_weights": figures["random weights"],
        "map_verdict": " ".join(
            [
                *(describe_changes(name, figures[name]) for name in keys),
                describe_shuffling(figures["random weights"]),
            ]
        ),
    }


def describe_shuffling(rows: dict) -> str:
    """Describe how much of the maps remains when the weights are shuffled."""
    correlations = [
        f"{kind} {row['last layer']:.2f} and {row['all layers']:.2f}" for kind, row in rows.items()
    ]
    return (
        "Rank correlation with the map after the last layer's weights, and after all weights, were "
        f"shuffled: {', '.join(correlations)}. Guided backpropagation hardly notices the first: it "
        "shows the picture as much as the network, do not trust it alone."
    )


def describe_changes(name: str, rows: dict) -> str:
    """Describe whether maps find the decisive voxels better than chance and a centred gaussian."""
    verdicts = []
    blind = ("random", "centred gaussian")
    for kind in (kind for kind in rows if kind not in blind):
        better = {
            (baseline, way): sign * (rows[kind][way] - rows[baseline][way]) > 0
            for baseline in blind
            for way, sign in (("deletion", -1), ("insertion", 1))
        }
        worse = [f"{baseline} by {way}" for (baseline, way), won in better.items() if not won]
        verdicts.append(
            f"{kind} is " + (f"no better than {', '.join(worse)}" if worse else "better than both")
        )
    return f"Candidates {name}, against random and centred gaussian maps: {'; '.join(verdicts)}."


def maps_table(models: dict) -> str:
    """Return the figures of all models for called cells as a Markdown table."""
    head = (
        "| | points at the cell | deletion | insertion | random weights: last layer | all |\n"
        "|---|---|---|---|---|---|\n"
    )
    lines = []
    for name, figures in models.items():
        for kind in (*list_maps(name), "guided_backprop", "random", "centred gaussian"):
            hit = figures["pointing"].get("random voxel" if kind == "random" else kind)
            changed = figures["called cells"].get(kind, {})
            shuffled = figures["random weights"].get(kind, {})
            values = [
                hit,
                changed.get("deletion"),
                changed.get("insertion"),
                shuffled.get("last layer"),
                shuffled.get("all layers"),
            ]
            cells = " | ".join("" if v is None else f"{v:.2f}" for v in values)
            lines.append(f"| {name}: {kind.replace('_', ' ')} | {cells} |\n")
    return head + "".join(lines)


def draw(name: str, root: Path) -> bytes:
    """Draw signal and maps of ten random candidates called cells and ten called no cells."""
    network, card = load_network(name)
    blocks = [load(source, card) for source in read_data([HERE / "cfos.yaml"], root)]
    cubes = np.concatenate([block.cubes() for block in blocks])
    with torch.inference_mode():
        logits = torch.cat([network(part) for part in torch.from_numpy(cubes).split(256)]).numpy()
    margin = (logits[:, 1] - logits[:, 0]) / card.temperature + card.offset
    called = expit(margin) >= card.threshold
    random = np.random.default_rng(1)
    layer_map, relevance = list_maps(name)
    panels = ((None, 0), (layer_map, 0), (relevance, 0), (relevance, 1))  # map and plane
    figure = Figure((9.6, 12.4), dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(10, 8)
    for half, cell in ((axes[:, :4], True), (axes[:, 4:], False)):
        rows = random.choice(np.flatnonzero(called == cell), 10, replace=False)
        explained = find_reasons(network, card, cubes[rows])
        for row, line in enumerate(half):
            cube = cubes[rows[row], 0]
            middle = [n // 2 for n in cube.shape]
            low, high = np.percentile(cube, (0.5, 99.8))
            for axis, (kind, plane) in zip(line, panels, strict=True):
                picture, aspect = planes_of(cube, middle, card.voxel_size)[plane]
                axis.imshow(picture, cmap="gray", vmin=low, vmax=high, aspect=aspect)
                if kind:
                    values = explained.maps[kind][row]
                    shown = planes_of(values, middle, card.voxel_size)[plane][0]
                    axis.imshow(colour_signs(shown / np.abs(values).max()), aspect=aspect)
                axis.set_xticks([])
                axis.set_yticks([])
            draw_scale_bar(line[0], card.voxel_size[2])
            line[0].set_ylabel(f"{explained.probability[row]:.2f}", fontsize=8)
        for axis, (kind, plane) in zip(half[0], panels, strict=True):
            title = f"{(kind or 'signal').replace('_', ' ')}, {PLANES[plane]}"
            axis.set_title(title, fontsize=8)
    return png_bytes(figure)


def write_cards(models: dict) -> None:
    """Write the figures into the cards of the released weights; `cfzoo export NAME` seals them."""
    for name, figures in models.items():
        path = find_bundled_weights(name).with_suffix(".json")
        card = json.loads(path.read_text(encoding="utf-8"))
        card["metrics"] |= card_metrics(figures)
        with atomic_write(path) as file:
            file.write(Card.from_json(json.dumps(card)).to_json() + "\n")


def measure_cost() -> dict:
    """Return the time of answers with maps relative to answers alone, medians of many runs."""
    ratios = {}
    for name in MODELS:
        artifact = read_artifact(name)
        cubes = np.repeat(artifact.test_cube, 32, axis=0)
        outputs = {"alone": (), "late layer": (artifact.layer_map,), "both": artifact.maps}
        # One thread each: idle threads of the other sessions would spin and disturb the timing.
        sessions = {k: Session(artifact, "cpu", threads=1, maps=m) for k, m in outputs.items()}
        times = {key: [] for key in sessions}
        for _ in range(60):
            for key, session in sessions.items():
                start = time.perf_counter()
                session.explain(cubes)
                times[key].append(time.perf_counter() - start)
        median = {key: float(np.median(values)) for key, values in times.items()}
        ratios[name] = {k: round(median[k] / median["alone"], 3) for k in ("late layer", "both")}
    return ratios


@click.command()
@click.option("--root", type=click.Path(exists=True, path_type=Path), help="Measure anew.")
@click.option("--only", type=click.Choice(MODELS), multiple=True, help="Repeatable.")
@click.option("--cards", is_flag=True, help="Write the stored figures into the models' cards.")
@click.option("--time", "timed", is_flag=True, help="Only print how much time maps cost.")
def main(root, only, cards, timed):
    if timed:
        click.echo(json.dumps(measure_cost(), indent=1))
        return
    models = json.loads(STORED.read_text(encoding="utf-8")) if STORED.is_file() else {}
    for name in (only or MODELS) if root else ():
        models[name] = measure(name, root)
        with atomic_write(PICTURES / f"{name}.png", "wb") as file:
            file.write(draw(name, root))
        click.echo(f"{name}\n{json.dumps(models[name], indent=1)}")
        with atomic_write(STORED) as file:
            file.write(json.dumps(models, indent=1) + "\n")
    if cards:
        write_cards(models)


if __name__ == "__main__":
    main()
