"""Measure how fast candidates are classified here, compared with cellfinder, and what limits it.

    python benchmarks/speed.py --crop FOLDER [--weights resnet50_tv.h5] [--only runs]
    python benchmarks/speed.py --crop FOLDER --add NAME

FOLDER holds a brain's ``signal`` and ``background`` planes (5 x 2 x 2 um) and ``cells.xml``, like
cellfinder's own test data. Needs the ``dev`` extra. All measurements are interleaved in rounds, so
that other load on the computer affects all alike; figures are medians with their range. The weights
of cellfinder's ResNet-50 are random unless ``--weights`` names real ones. Writes
results/speed.json, and from it docs/performance.md and its picture. Takes half an hour on two idle
cores. ``--add`` measures the stages of one more model beside those of attention3d, and stores their
ratio times what is stored of attention3d.
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
import stages
from inputs import VOXEL_SIZE, link_planes, make_artifacts, scatter_points, write_points
from stages import summarise

from cfzoo.runtime.artifact import bundled
from cfzoo.runtime.cpu_grants import available_threads
from cfzoo.runtime.files import atomic_write
from cfzoo.runtime.points import read_points

STORED = Path(__file__).parent / "results" / "speed.json"
BACKENDS = ("onnxruntime", "openvino")
MODEL = "attention3d"  # of whole runs
CFZOO = "from cfzoo.cli import main; main()"
# Runs a command and prints its peak memory in MB. A child's peak starts from its parent's memory at
# the fork, so the parent must be small.
WATCH = """import resource, subprocess, sys
code = subprocess.call(sys.argv[1:])
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024)
sys.exit(code)"""
# The classification step of brainmapper: reads planes and points, classifies, writes XML. It
# writes its seconds without imports to run.json, as cfzoo does.
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
@click.option("--weights", type=click.Path(exists=True, path_type=Path), help="cellfinder weights.")
@click.option("--points", "count", default=2048, show_default=True, help="For the ResNet-50s.")
@click.option("--rounds", default=3, show_default=True)
@click.option("--device", default="cpu", show_default=True, type=click.Choice(["cpu", "cuda"]))
@click.option("--only", multiple=True, type=click.Choice(["runs", "stages", "growth", "startup"]))
@click.option("--add", "added", metavar="NAME", help="Only the stages of this bundled model.")
def main(crop, weights, count, rounds, device, only, added):
    """Measure, store the figures and write the page."""
    figures = json.loads(STORED.read_text(encoding="utf-8")) if STORED.exists() else {}
    if added:
        add_model(added, figures["stages"]["models"], crop, rounds, device)
        store(figures)
        return
    only = only or ("runs", "stages", "growth", "startup")
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        folders = (crop / "signal", crop / "background")
        zyx = scatter_points(read_points(crop / "cells.xml").zyx, 40_000)
        models, weights = make_artifacts(work, folders, zyx, weights)
        if "runs" in only:
            figures["runs"] = measure_runs(
                work, folders, zyx, models, weights, count, rounds, device
            )
        if "stages" in only:
            backends = BACKENDS if device == "cpu" else BACKENDS[:1]
            figures["stages"] = stages.measure(
                models, backends, folders, zyx[:4096], rounds, device, click.echo
            )
            figures["extraction"] = stages.measure_extraction(
                folders, zyx[:4096], models["resnet50"], rounds
            )
        if "growth" in only:
            figures["growth"] = measure_growth(work, folders, zyx, rounds)
        if "startup" in only:
            figures["startup"] = measure_startup(work, rounds)
    figures["computer"] = describe_computer()
    store(figures)


def store(figures: dict) -> None:
    """Write the figures and, when all are there, the page."""
    with atomic_write(STORED) as file:
        file.write(json.dumps(figures, indent=1) + "\n")
    if {"runs", "stages", "growth", "startup"} <= figures.keys():
        performance_page.write(figures)


def add_model(name: str, stored: dict, crop: Path, rounds: int, device: str) -> None:
    """Add the stages of a bundled model to those that are stored, in units of the same run."""
    models = {each: str(bundled()[each]) for each in (MODEL, name)}
    backends = [backend for backend in BACKENDS if f"{MODEL} {backend}" in stored]
    folders = (crop / "signal", crop / "background")
    zyx = scatter_points(read_points(crop / "cells.xml").zyx, 4096)
    measured = stages.measure(models, tuple(backends), folders, zyx, rounds, device, click.echo)
    for backend in backends:
        then, now, row = (
            stored[f"{MODEL} {backend}"],
            measured["models"][f"{MODEL} {backend}"],
            measured["models"][f"{name} {backend}"],
        )
        for kind, rates in row["points_per_s"].items():
            ratio = then["points_per_s"][kind]["value"] / now["points_per_s"][kind]["value"]
            row["points_per_s"][kind] = {key: rate * ratio for key, rate in rates.items()}
        stored[f"{name} {backend}"] = row


def run_command(command: list[str], output: Path) -> dict[str, float]:
    """Run a command; return its seconds without and with imports, and its peak memory in MB."""
    output.mkdir(exist_ok=True)
    start = time.perf_counter()
    completed = subprocess.run(
        [sys.executable, "-c", WATCH, sys.executable, "-c", *command],
        capture_output=True,
        encoding="utf-8",
    )
    process = time.perf_counter() - start
    if completed.returncode:
        raise click.ClickException(completed.stderr[-2000:])
    seconds = json.loads((output / "run.json").read_text(encoding="utf-8"))["seconds"]
    return {
        "seconds": seconds,
        "process": process,
        "peak_mb": float(completed.stdout.splitlines()[-1]),
    }


def classify_words(
    model: str, backend: str, folders, points: Path, output: Path, device="cpu"
) -> list:
    """Return the words of a classify command, with the background if the model takes it."""
    words = [CFZOO, "classify", str(folders[0]), str(points), "--model", model]
    words += ["--voxel-size", *map(str, VOXEL_SIZE), "--backend", backend, "--device", device]
    words += ["--edges", "drop", "--overwrite", "-q", "-o", str(output)]
    return words + (["--background", str(folders[1])] if "resnet" in model else [])


def measure_runs(work, folders, zyx, models, weights, count, rounds, device) -> dict:
    """Measure whole runs in separate processes; the small model gets ten times the points."""
    few = write_points(work / "few.xml", zyx[:count])
    many = write_points(work / "many.xml", zyx[: 10 * count])
    backends = BACKENDS if device == "cpu" else BACKENDS[:1]
    commands = {}
    output = work / "cellfinder"
    words = [CELLFINDER, *map(str, folders), str(few), str(weights), str(output)]
    commands["cellfinder"] = (words, output, count)
    for backend in backends:
        for model in ("resnet50", MODEL):
            name = f"{model} {backend}"
            points, n = (few, count) if model == "resnet50" else (many, len(zyx[: 10 * count]))
            output = work / name
            words = classify_words(models[model], backend, folders, points, output, device)
            commands[name] = (words, output, n)
    rows: dict[str, list] = {name: [] for name in commands}
    for number in range(rounds):
        for name, (words, output, n) in commands.items():
            row = run_command(words, output)
            rows[name].append({**row, "points_per_s": n / row["seconds"]})
            click.echo(f"runs, round {number + 1}: {name} {n / row['seconds']:.0f} points/s, {row}")
    base = np.array([row["points_per_s"] for row in rows["cellfinder"]])
    figures = {}
    for name, (_, _, n) in commands.items():
        rates = np.array([row["points_per_s"] for row in rows[name]])
        figures[name] = {"points": n, "times_cellfinder": summarise(rates / base)}
        for key in rows[name][0]:
            figures[name][key] = summarise([row[key] for row in rows[name]])
    labels = [read_labels(work / name / "points.xml") for name in commands if "resnet50" in name]
    reference = read_labels(work / "cellfinder" / "points.xml")
    figures["same_labels"] = {
        "points": len(reference),
        "cells": sum(t == 2 for *_, t in reference),
        "differing": [len(set(reference) ^ set(points)) // 2 for points in labels],
    }
    return figures


def read_labels(path: Path) -> list[tuple]:
    """Return (z, y, x, type) of each point, sorted."""
    points = read_points(path)
    return sorted((*p, int(t)) for p, t in zip(points.zyx.tolist(), points.types, strict=True))


def measure_growth(work: Path, folders, zyx: np.ndarray, rounds: int) -> dict[str, list[dict]]:
    """Measure time and memory of attention3d for more points, planes or threads."""
    commands: dict[tuple[str, int], list[str]] = {}
    for n in (1000, 10_000, 100_000):
        points = write_points(work / f"{n}.xml", np.resize(zyx, (n, 3)))
        commands["points", n] = classify_words(MODEL, "auto", folders, points, work / "g")
    subset = zyx[:10_000]
    for n in (30, 300, 3000):
        planes = link_planes(work / f"{n}-planes", folders[0], n)
        points = subset.copy()
        points[:, 0] = np.linspace(10, n - 10, len(subset)).round()
        points = write_points(work / f"{n}-planes.xml", points)
        commands["planes", n] = classify_words(MODEL, "auto", (planes,), points, work / "g")
    points = write_points(work / "subset.xml", subset)
    for n in (1, 2, 4, 8, 16):
        words = classify_words(MODEL, "auto", folders, points, work / "g")
        commands["threads", n] = [*words, "--threads", str(n)]
    rows: dict[tuple[str, int], list] = {key: [] for key in commands}
    for number in range(rounds):
        for (kind, n), words in commands.items():
            rows[kind, n].append(run_command(words, work / "g"))
            click.echo(f"growth, round {number + 1}: {n} {kind}, {rows[kind, n][-1]}")
    figures: dict[str, list[dict]] = {}
    for (kind, n), row in rows.items():
        summary = {key: summarise([r[key] for r in row]) for key in row[0]}
        figures.setdefault(kind, []).append({kind: n, **summary})
    return figures


def measure_startup(work: Path, rounds: int) -> dict:
    """Return the seconds of an empty Python, of the help, and of classifying the sample."""
    subprocess.run([sys.executable, "-c", CFZOO, "sample", str(work / "sample")], check=True)
    sample = work / "sample"
    words = ["classify", str(sample / "signal.tif"), str(sample / "candidates.xml"), "-q"]
    commands = {"python": ["pass"], "help": [CFZOO, "--help"]}
    for backend in BACKENDS:
        output = str(work / f"first-{backend}")
        commands[f"first result, {backend}"] = [
            CFZOO, *words, "--overwrite", "-o", output, "--backend", backend,
        ]  # fmt: skip
    rows: dict[str, list[float]] = {name: [] for name in commands}
    for number in range(5 * rounds + 1):
        for name, command in commands.items():
            start = time.perf_counter()
            subprocess.run([sys.executable, "-c", *command], check=True, capture_output=True)
            if number:  # the first round fills the file system's cache
                rows[name].append(time.perf_counter() - start)
    ratio = np.array(rows["help"]) / np.array(rows["python"])
    return {
        **{name: summarise(row) for name, row in rows.items()},
        "help_over_python": summarise(ratio),
    }


def describe_computer() -> dict:
    """Return the processor, threads, load and library versions of this computer."""
    model = platform.processor()
    if Path("/proc/cpuinfo").exists():
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
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
