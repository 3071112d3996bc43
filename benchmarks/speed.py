"""How fast candidates are classified here, beside cellfinder, and what limits it.

    python benchmarks/speed.py --crop FOLDER [--weights resnet50_tv.h5] [--only runs]

FOLDER holds a brain's ``signal`` and ``background`` planes (5 x 2 x 2 um) and ``cells.xml``, as
cellfinder's own test data. Needs the ``dev`` extra. Everything is measured in rounds in which all
take turns, on whatever else the computer does; figures are medians, least and most. With random
weights of cellfinder's ResNet-50 unless ``--weights`` names real ones. Writes speed.json, and
docs/performance.md and its picture from it; on two quiet cores it takes half an hour.
"""

import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import click
import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
import performance_page
import random_resnet
import stages
from stages import spread

from cfzoo.runtime.cubes import CubeSpec, Grid, read_batches
from cfzoo.runtime.files import atomic_write
from cfzoo.runtime.points import read_points
from cfzoo.runtime.results import Results, write_xml
from cfzoo.runtime.threads import available_threads
from cfzoo.runtime.volume import open_volume

HERE = Path(__file__).parent
STORED = HERE / "speed.json"
VOXEL_SIZE = ("5", "2", "2")
BACKENDS = ("onnxruntime", "openvino")
FAMILY = ("attention3d", "attention3d-small", "attention3d-tiny", "wavemix3d", "pipnet3d")
DEFAULT = "attention3d"
CFZOO = "from cfzoo.cli import main; main()"
# Runs a command; prints its peak memory, MB. A child's peak begins with its parent's at the fork,
# so the parent must be a small one.
WATCH = """import resource, subprocess, sys
code = subprocess.call(sys.argv[1:])
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024)
sys.exit(code)"""
# What brainmapper does: planes and points in, its classification, XML out. Prints seconds without
# imports, as the run.json of cfzoo.
CELLFINDER = """
import json, sys, time
from brainglobe_utils.IO.cells import get_cells, save_cells
from brainglobe_utils.IO.image.load import read_z_stack
from cellfinder.core.classify import classify
signal, background, points, weights, output = sys.argv[1:]
start = time.time()
cells = classify.main(
    points=get_cells(points), signal_array=read_z_stack(signal),
    background_array=read_z_stack(background), n_free_cpus=0, voxel_sizes=(5, 2, 2),
    network_voxel_sizes=(5, 1, 1), batch_size=64, cube_height=50, cube_width=50, cube_depth=20,
    trained_model=None, model_weights=weights, network_depth="50", max_workers=3)
save_cells(cells, output + "/points.xml")
json.dump({"seconds": time.time() - start}, open(output + "/run.json", "w"))
"""


@click.command()
@click.option("--crop", required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--weights", type=click.Path(exists=True, path_type=Path), help="cellfinder's.")
@click.option("--points", "count", default=2048, show_default=True, help="For the ResNet-50s.")
@click.option("--rounds", default=3, show_default=True)
@click.option("--device", default="cpu", show_default=True, type=click.Choice(["cpu", "cuda"]))
@click.option("--only", multiple=True, type=click.Choice(["runs", "stages", "growth", "startup"]))
def main(crop, weights, count, rounds, device, only):
    """Measure, store, and write the page."""
    found = json.loads(STORED.read_text()) if STORED.exists() else {}
    only = only or ("runs", "stages", "growth", "startup")
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        folders = (crop / "signal", crop / "background")
        near = nearby(read_points(crop / "cells.xml").zyx, 40_000)
        models, weights = artifacts(work, folders, near, weights)
        if "runs" in only:
            found["runs"] = runs(work, folders, near, models, weights, count, rounds, device)
        if "stages" in only:
            ways = BACKENDS if device == "cpu" else BACKENDS[:1]
            found["stages"] = stages.measure(
                models, ways, folders, near[:4096], rounds, device, click.echo
            )
            found["extraction"] = stages.extraction(
                folders, near[:4096], models["resnet50"], rounds
            )
        if "growth" in only:
            found["growth"] = growth(work, folders, near, rounds)
        if "startup" in only:
            found["startup"] = startup(work, rounds)
    found["computer"] = computer()
    with atomic_write(STORED) as file:
        file.write(json.dumps(found, indent=1) + "\n")
    if {"runs", "stages", "growth", "startup"} <= found.keys():
        performance_page.write(found)


def nearby(zyx: np.ndarray, count: int) -> np.ndarray:
    """Places within some voxels of real cells whose cubes lie in the crop, voxels."""
    rng = np.random.default_rng(0)
    found = zyx[rng.integers(0, len(zyx), count)] + rng.normal(0, (2, 6, 6), (count, 3))
    return np.clip(found.round(), (10, 13, 13), (20, 495, 652))


def artifacts(work, folders, near, weights: Path | None) -> tuple[dict[str, str], Path]:
    """Files of the models, and the weights of cellfinder's ResNet-50.

    Sizes that are not released have random weights: their speed is the same.
    """
    from cfzoo.export.graph import export_artifact
    from cfzoo.export.import_cellfinder import import_cellfinder
    from cfzoo.export.release import write_artifact
    from cfzoo.runtime.artifact import bundled
    from cfzoo.zoo.recipe import recipe_for
    from cfzoo.zoo.registry import build

    if weights is None:
        weights = work / "random.weights.h5"
        network = random_resnet.random_resnet(50, 2)
        grid = Grid.of(recipe_for("resnet50").card(), tuple(map(float, VOXEL_SIZE)))
        cut = CubeSpec(grid, grid.starts(near), len(folders))
        volumes = [open_volume(folder) for folder in folders]
        (batch,) = read_batches(volumes, [cut], np.arange(32), 32)
        random_resnet.spread(network, batch.network_cubes()[0])
        network.save_weights(weights)
    found = {}
    for name in FAMILY:
        if name in bundled():
            found[name] = str(bundled()[name])
        else:
            card = recipe_for(name).card()
            found[name] = str(write_artifact(export_artifact(build(card), card), work, True))
    found["resnet50"] = str(import_cellfinder(weights, output=work))
    return found, weights


def write_points(path: Path, zyx: np.ndarray) -> Path:
    """Candidates, as cellfinder's XML."""
    n = len(zyx)
    types, flags = np.ones(n, np.int8), np.zeros(n, np.uint8)
    write_xml(path, Results(zyx, types, np.zeros(n, np.float32), flags))
    return path


def run(command: list[str], output: Path) -> dict[str, float]:
    """Seconds of a command without its imports, with them, and its peak memory, MB."""
    output.mkdir(exist_ok=True)
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", WATCH, sys.executable, "-c", *command],
        capture_output=True,
        text=True,
    )
    process = time.perf_counter() - start
    if done.returncode:
        raise click.ClickException(done.stderr[-2000:])
    seconds = json.loads((output / "run.json").read_text())["seconds"]
    return {
        "seconds": seconds,
        "process": process,
        "peak_mb": float(done.stdout.splitlines()[-1]),
    }


def classify(model: str, backend: str, folders, points: Path, output: Path, device="cpu") -> list:
    """Words of the command; the background where the model takes it."""
    words = [CFZOO, "classify", str(folders[0]), str(points), "--model", model]
    words += ["--voxel-size", *VOXEL_SIZE, "--backend", backend, "--device", device]
    words += ["--edges", "drop", "--overwrite", "-q", "-o", str(output)]
    return words + (["--background", str(folders[1])] if "resnet" in model else [])


def runs(work, folders, near, models, weights, count, rounds, device) -> dict:
    """Files to files, each in a process of its own; the small models get ten times the points."""
    few = write_points(work / "few.xml", near[:count])
    many = write_points(work / "many.xml", near[: 10 * count])
    backends = BACKENDS if device == "cpu" else BACKENDS[:1]
    ways = {}
    output = work / "cellfinder"
    words = [CELLFINDER, *map(str, folders), str(few), str(weights), str(output)]
    ways["cellfinder"] = (words, output, count)
    for backend in backends:
        for model in ("resnet50", DEFAULT):
            name = f"{model} {backend}"
            points, n = (few, count) if model == "resnet50" else (many, len(near[: 10 * count]))
            output = work / name
            words = classify(models[model], backend, folders, points, output, device)
            ways[name] = (words, output, n)
    rows: dict[str, list] = {name: [] for name in ways}
    for number in range(rounds):
        for name, (words, output, n) in ways.items():
            row = run(words, output)
            rows[name].append({**row, "points_per_s": n / row["seconds"]})
            click.echo(f"runs, round {number + 1}: {name} {n / row['seconds']:.0f} points/s, {row}")
    base = np.array([row["points_per_s"] for row in rows["cellfinder"]])
    found = {}
    for name, (_, _, n) in ways.items():
        rates = np.array([row["points_per_s"] for row in rows[name]])
        found[name] = {"points": n, "times_cellfinder": spread(rates / base)}
        for key in rows[name][0]:
            found[name][key] = spread([row[key] for row in rows[name]])
    labels = [labelled(work / name / "points.xml") for name in ways if "resnet50" in name]
    theirs = labelled(work / "cellfinder" / "points.xml")
    found["same_labels"] = {
        "points": len(theirs),
        "cells": sum(t == 2 for *_, t in theirs),
        "differing": [len(set(theirs) ^ set(ours)) // 2 for ours in labels],
    }
    return found


def labelled(path: Path) -> list[tuple]:
    """Places and types."""
    points = read_points(path)
    return sorted((*p, int(t)) for p, t in zip(points.zyx.tolist(), points.types, strict=True))


def growth(work: Path, folders, near: np.ndarray, rounds: int) -> dict[str, list[dict]]:
    """Time and memory of the default model for more points, planes and threads, each alone."""
    ways: dict[tuple[str, int], list[str]] = {}
    for n in (1000, 10_000, 100_000):
        points = write_points(work / f"{n}.xml", np.resize(near, (n, 3)))
        ways["points", n] = classify(DEFAULT, "auto", folders, points, work / "g")
    some = near[:10_000]
    for n in (30, 300, 3000):
        planes = deepened(work / f"{n}-planes", folders[0], n)
        points = some.copy()
        points[:, 0] = np.linspace(10, n - 10, len(some)).round()
        points = write_points(work / f"{n}-planes.xml", points)
        ways["planes", n] = classify(DEFAULT, "auto", (planes,), points, work / "g")
    points = write_points(work / "some.xml", some)
    for n in (1, 2, 4, 8, 16):
        words = classify(DEFAULT, "auto", folders, points, work / "g")
        ways["threads", n] = [*words, "--threads", str(n)]
    rows: dict[tuple[str, int], list] = {way: [] for way in ways}
    for number in range(rounds):
        for (kind, n), words in ways.items():
            rows[kind, n].append(run(words, work / "g"))
            click.echo(f"growth, round {number + 1}: {n} {kind}, {rows[kind, n][-1]}")
    found: dict[str, list[dict]] = {}
    for (kind, n), row in rows.items():
        figures = {key: spread([r[key] for r in row]) for key in row[0]}
        found.setdefault(kind, []).append({kind: n, **figures})
    return found


def deepened(folder: Path, planes: Path, count: int) -> Path:
    """A folder of ``count`` planes: those of another again and again, as links."""
    folder.mkdir()
    files = sorted(planes.resolve().glob("*.tif"))
    for z in range(count):
        (folder / f"{z:06}.tif").symlink_to(files[z % len(files)])
    return folder


def startup(work: Path, rounds: int) -> dict:
    """Seconds of an empty Python, of the help, and of a first classification of the sample."""
    subprocess.run([sys.executable, "-c", CFZOO, "sample", str(work / "sample")], check=True)
    sample = work / "sample"
    words = ["classify", str(sample / "signal.tif"), str(sample / "candidates.xml"), "-q"]
    ways = {"python": ["pass"], "help": [CFZOO, "--help"]}
    for backend in BACKENDS:
        output = str(work / f"first-{backend}")
        ways[f"first result, {backend}"] = [
            CFZOO, *words, "--overwrite", "-o", output, "--backend", backend,
        ]  # fmt: skip
    rows: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(5 * rounds + 1):
        for name, command in ways.items():
            start = time.perf_counter()
            subprocess.run([sys.executable, "-c", *command], check=True, capture_output=True)
            if number:  # the first fills the file system's memory
                rows[name].append(time.perf_counter() - start)
    ratio = np.array(rows["help"]) / np.array(rows["python"])
    return {**{name: spread(row) for name, row in rows.items()}, "help_over_python": spread(ratio)}


def computer() -> dict:
    """What it was measured on."""
    model = platform.processor()
    if Path("/proc/cpuinfo").exists():
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next(line.split(": ")[1] for line in lines if line.startswith("model name"))
    from importlib.metadata import version

    names = ("cellfinder", "torch", "keras", "onnxruntime", "openvino", "numpy")
    return {
        "processor": model,
        "threads": available_threads(),
        "load": os.getloadavg()[0],
        "versions": {name: version(name) for name in names},
    }


if __name__ == "__main__":
    main()
