"""Whether the maps of the released models say something: figures for their cards, stored.

    python benchmarks/explain.py --root FOLDER [--only NAME] [--cards]

Writes explain.json and the pictures of docs/explaining, and with --cards the models' cards. FOLDER
holds the blocks of cfos.yaml, on which the released weights were trained: the figures are about
the maps, not about accuracy. Two minutes a model on two CPU cores. --time prints what maps cost.
"""

import json
import time
from pathlib import Path

import click
import numpy as np
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

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
from cfzoo.zoo.figure import png_bytes
from cfzoo.zoo.weights import find_bundled_weights

HERE = Path(__file__).parent
STORED = HERE / "explain.json"
PICTURES = HERE.parent / "docs" / "explaining"
MODELS = ("attention3d", "wavemix3d", "pipnet3d")
SEEDS = 3  # of the random weights
CHANGED = 50  # candidates a block and label, whose voxels are deleted and inserted
# Of a picture: map over the signal, and plane.
PANELS = ((None, 0), ("grad_cam", 0), ("relevance", 0), ("relevance", 1))
SHAKEN = 10  # candidates a block and label, for random weights


def measure(name: str, root: Path) -> dict:
    network, card = load_network(name)
    blocks = [load(source, card) for source in read_data([HERE / "cfos.yaml"], root)]
    random = np.random.default_rng(0)
    cubes = np.concatenate([block.cubes() for block in blocks])
    labels = np.concatenate([block.labels for block in blocks])
    block = np.repeat(np.arange(len(blocks)), [len(b) for b in blocks])

    def some(count: int) -> np.ndarray:
        rows = [
            random.choice(np.flatnonzero((block == b) & (labels == label)), count, replace=False)
            for b in range(len(blocks))
            for label in (0, 1)
        ]
        return np.concatenate(rows)

    cells = np.flatnonzero(labels == 1)
    maps = find_reasons(network, card, cubes[cells]).maps
    near = {kind: pointing_game(values, card.voxel_size) for kind, values in maps.items()}
    found = {"pointing": {kind: round(hit, 4) for kind, (hit, _) in near.items()}}
    found["pointing"]["random voxel"] = round(near["grad_cam"][1], 4)

    rows = some(CHANGED)
    explained = find_reasons(network, card, cubes[rows])
    given = torch.from_numpy(cubes[rows])
    blind = {
        "random": random.random(given.shape[:1] + given.shape[2:]),
        "centred gaussian": np.broadcast_to(
            centred_gaussian(card.cube_shape, card.voxel_size), (len(rows), *card.cube_shape)
        ),
    }
    for answer, cell in (("cells", True), ("no cells", False)):
        sign = 1 if cell else -1
        which = (explained.probability >= card.threshold) == cell

        def margin(x: torch.Tensor, sign=sign) -> torch.Tensor:
            logits = network(x)
            return sign * ((logits[:, 1] - logits[:, 0]) / card.temperature + card.offset)

        signed = {k: sign * v for k, v in explained.maps.items() if k in ("grad_cam", "relevance")}
        table = {
            kind: {
                way: round(deletion_auc(margin, given[which], values[which], way == "insertion"), 4)
                for way in ("deletion", "insertion")
            }
            for kind, values in {**signed, **blind}.items()
        }
        found[f"called {answer}"] = table

    few = cubes[some(SHAKEN)]
    kinds = ("grad_cam", "relevance", "guided_backprop")
    shaken = {}
    for kind in kinds:

        def maps_of(net: torch.nn.Module, kind=kind) -> np.ndarray:
            return find_reasons(net, card, few).maps[kind]

        runs = [
            [value for _, value in randomisation_test(network, maps_of, s)] for s in range(SEEDS)
        ]
        mean = np.mean(runs, axis=0)
        shaken[kind] = {
            "last layer": round(float(mean[0]), 4),
            "half of the layers": round(float(mean[len(mean) // 2]), 4),
            "all layers": round(float(mean[-1]), 4),
            "largest": round(float(mean.max()), 4),
        }
    found["random weights"] = shaken
    parts = explained.parts
    found["share of the margin"] = {
        part: round(float(np.abs(values).mean()), 3) for part, values in parts.items()
    }
    return {"version": card.version, "cells": len(cells), **found}


def for_card(found: dict) -> dict:
    """The figures of a model as tables for its card's metrics, and what they say in words."""
    answers = {
        "called cells": "map_changes_called_cell",
        "called no cells": "map_changes_called_no_cell",
    }
    return {
        "map_pointing": {k: {"within_8_um": v} for k, v in found["pointing"].items()},
        **{key: found[name] for name, key in answers.items()},
        "map_random_weights": found["random weights"],
        "map_verdict": " ".join(
            [*(verdict(name, found[name]) for name in answers), shaken(found["random weights"])]
        ),
    }


def shaken(rows: dict) -> str:
    """What random weights leave of the maps."""
    said = [
        f"{kind} {row['last layer']:.2f} and {row['all layers']:.2f}" for kind, row in rows.items()
    ]
    return (
        "Rank correlation with the map after the last layer's weights, and after all weights, were "
        f"shuffled: {', '.join(said)}. Guided backpropagation hardly notices the first: it shows "
        "the picture as much as the network, do not trust it alone."
    )


def verdict(name: str, rows: dict) -> str:
    """Whether maps find what decides better than chance, and than a look at the centre."""
    said = []
    for kind in ("grad_cam", "relevance"):
        better = {
            (other, way): sign * (rows[kind][way] - rows[other][way]) > 0
            for other in ("random", "centred gaussian")
            for way, sign in (("deletion", -1), ("insertion", 1))
        }
        worse = [f"{other} by {way}" for (other, way), won in better.items() if not won]
        said.append(
            f"{kind} is " + (f"no better than {', '.join(worse)}" if worse else "better than both")
        )
    return f"Candidates {name}, against random and centred gaussian maps: {'; '.join(said)}."


def table(found: dict) -> str:
    """The figures as a table for the docs, of called cells."""
    head = (
        "| | points at the cell | deletion | insertion | random weights: last layer | all |\n"
        "|---|---|---|---|---|---|\n"
    )
    lines = []
    for name, figures in found.items():
        for kind in ("grad_cam", "relevance", "guided_backprop", "random", "centred gaussian"):
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
    """Ten candidates called cell and ten called no cell, by chance: signal and maps."""
    network, card = load_network(name)
    blocks = [load(source, card) for source in read_data([HERE / "cfos.yaml"], root)]
    cubes = np.concatenate([block.cubes() for block in blocks])
    found = find_reasons(network, card, cubes)
    called = found.probability >= card.threshold
    random = np.random.default_rng(1)
    figure = Figure((9.6, 12.4), dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(10, 8)
    for half, cell in ((axes[:, :4], True), (axes[:, 4:], False)):
        rows = random.choice(np.flatnonzero(called == cell), 10, replace=False)
        for line, row in zip(half, rows, strict=True):
            cube = cubes[row, 0]
            middle = [n // 2 for n in cube.shape]
            low, high = np.percentile(cube, (0.5, 99.8))
            for axis, (kind, plane) in zip(line, PANELS, strict=True):
                picture, aspect = planes_of(cube, middle, card.voxel_size)[plane]
                axis.imshow(picture, cmap="gray", vmin=low, vmax=high, aspect=aspect)
                if kind:
                    values = found.maps[kind][row]
                    shown = planes_of(values, middle, card.voxel_size)[plane][0]
                    axis.imshow(colour_signs(shown / np.abs(values).max()), aspect=aspect)
                axis.set_xticks([])
                axis.set_yticks([])
            line[0].set_ylabel(f"{found.probability[row]:.2f}", fontsize=8)
        for axis, (kind, plane) in zip(half[0], PANELS, strict=True):
            title = f"{(kind or 'signal').replace('_', ' ')}, {PLANES[plane]}"
            axis.set_title(title, fontsize=8)
    return png_bytes(figure)


def write_cards(found: dict) -> None:
    """Into the cards of the released weights; `cfzoo export NAME` then seals them."""
    for name, figures in found.items():
        path = find_bundled_weights(name).with_suffix(".json")
        card = json.loads(path.read_text())
        card["metrics"] |= for_card(figures)
        with atomic_write(path) as file:
            file.write(Card.from_json(json.dumps(card)).to_json() + "\n")


def cost() -> dict:
    """Time of answers with maps over that of answers alone, medians of interleaved runs."""
    found = {}
    for name in MODELS:
        artifact = read_artifact(name)
        cubes = np.repeat(artifact.test_cube, 32, axis=0)
        wanted = {"alone": (), "grad_cam": ("grad_cam",), "both": artifact.maps}
        # One thread: the idle ones of the other sessions would spin, and disturb.
        sessions = {k: Session(artifact, "cpu", threads=1, maps=m) for k, m in wanted.items()}
        times = {key: [] for key in sessions}
        for _ in range(60):
            for key, session in sessions.items():
                start = time.perf_counter()
                session.explain(cubes)
                times[key].append(time.perf_counter() - start)
        median = {key: float(np.median(values)) for key, values in times.items()}
        found[name] = {key: round(median[key] / median["alone"], 3) for key in ("grad_cam", "both")}
    return found


@click.command()
@click.option("--root", type=click.Path(exists=True, path_type=Path), help="Measure anew.")
@click.option("--only", type=click.Choice(MODELS), multiple=True, help="Repeatable.")
@click.option("--cards", is_flag=True, help="Put the stored figures into the models' cards.")
@click.option("--time", "timed", is_flag=True, help="Only print what maps cost in time.")
def main(root, only, cards, timed):
    if timed:
        click.echo(json.dumps(cost(), indent=1))
        return
    found = json.loads(STORED.read_text()) if STORED.is_file() else {}
    for name in (only or MODELS) if root else ():
        found[name] = measure(name, root)
        with atomic_write(PICTURES / f"{name}.png", "wb") as file:
            file.write(draw(name, root))
        click.echo(f"{name}\n{json.dumps(found[name], indent=1)}")
        with atomic_write(STORED) as file:
            file.write(json.dumps(found, indent=1) + "\n")
    if cards:
        write_cards(found)


if __name__ == "__main__":
    main()
