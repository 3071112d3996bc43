"""Measure the peak memory of ``cfzoo classify`` for long volumes, wide planes and networks.

    python benchmarks/memory.py                     # all of it
    python benchmarks/memory.py --only width        # planes 1,000 to 12,000 voxels wide
    python benchmarks/memory.py --only length --gigabytes 1 --gigabytes 100
    python benchmarks/memory.py --only points --count 100000 --count 10000000 --folder /dev/shm

Memory should not grow with the volume. ``length``: more and more planes, 40 points per plane.
``width``: 1,000 points in 20 planes, wider and wider, as TIFF stack, folder and zarr. ``networks``:
models, backends, batch sizes and threads; the peak against the estimate that the run made before.
``points``, which is not in "all of it": more and more candidates, 50 a plane, in a volume of 2 TB;
memory should grow by the candidates alone, and time in proportion. Its network is one linear layer
with random weights, unless ``--model`` says otherwise, to show what the rest takes. Writes
results/memory.json, length, and results/memory_width.json, the rest.
Volumes take little disk space (see `benchmarks/volumes.py`): up to 1 GB at a time. Their holes fill
the system's cache as they are read, which takes longer than reading; with ``--folder /dev/shm``,
a disk in memory, they do not.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from functools import partial
from math import prod
from pathlib import Path

import click
import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
import volumes

RESULTS = Path(__file__).parent / "results"
PLANE = (2000, 2500)  # y x, voxels; 10 MB per plane of uint16
PLANES = 20
TERABYTES = 2
PER_PLANE = 50  # candidates
WIDTHS = (1000, 2000, 4000, 8000, 12_000)
MODELS = ("attention3d", "wavemix3d", "pipnet3d")
KINDS = {
    "stack, uncompressed": volumes.sparse_tiff,
    "stack, a strip per plane": volumes.deflated_tiff,
    "stack, tiles": partial(volumes.deflated_tiff, tile=256),
    "folder": volumes.deflated_folder,
    "zarr": partial(volumes.linked_zarr, chunk=(32, 256, 256)),
    "sharded zarr": partial(volumes.linked_zarr, chunk=(32, 128, 128), shard=(64, 1024, 1024)),
}
WATCH = """import resource, subprocess, sys
code = subprocess.call(sys.argv[1:])
usage = resource.getrusage(resource.RUSAGE_CHILDREN)
print(usage.ru_maxrss, usage.ru_utime + usage.ru_stime)
sys.exit(code)"""


@click.command()
@click.option("--only", multiple=True, type=click.Choice(["length", "width", "networks", "points"]))
@click.option("--gigabytes", type=float, multiple=True, default=(1, 20), show_default=True)
@click.option("--width", type=int, multiple=True, default=WIDTHS, show_default=True)
@click.option("--kind", multiple=True, type=click.Choice(list(KINDS)), default=list(KINDS))
@click.option("--points", default=1000, show_default=True, help="For width and networks.")
@click.option("--count", "counts", type=int, multiple=True, default=(10**5, 10**6, 10**7))
@click.option("--model", "models", multiple=True, help="For networks and points.")
@click.option("--folder", "place", type=click.Path(), help="For volumes [a temporary folder].")
@click.option("--store/--no-store", default=True, help="Write the results.")
def main(only, gigabytes, width, kind, points, counts, models, place, store):
    """Classify generated volumes and print the peak memory of each run."""
    only = only or ("length", "width", "networks")
    path = RESULTS / "memory_width.json"
    figures = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    with tempfile.TemporaryDirectory(dir=place) as name:
        folder = Path(name)
        if "length" in only:
            rows = measure_length(folder, gigabytes)
            if store:
                (RESULTS / "memory.json").write_text(
                    json.dumps(rows, indent=1) + "\n", encoding="utf-8"
                )
        if "width" in only:
            figures["width"] = measure_width(folder, width, kind, points)
        if "networks" in only:
            figures["networks"] = measure_networks(folder, models or MODELS, points)
        if "points" in only:
            figures["points"] = measure_points(folder, counts, models or [write_linear(folder)])
    if store:
        path.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")


def measure_length(folder: Path, gigabytes) -> list[dict]:
    """Measure runs on more and more planes, with 40 points in each."""
    rows = []
    for size in gigabytes:
        shape = (round(size * 1e9 / (2 * PLANE[0] * PLANE[1])), *PLANE)
        zarr = partial(volumes.linked_zarr, chunk=(32, 250, 250))
        for kind, make in (("TIFF", volumes.sparse_tiff), ("zarr", zarr)):
            volume = make(folder / f"{kind}-{size:g}", shape)
            row = measure(volume, shape, folder, 40 * shape[0])
            row = {"volume": kind, "gigabytes": size, "planes": shape[0], **row}
            rows.append(row)
            click.echo(f"{kind:5} {size:6g} GB {row['planes']:6} planes {format_row(row)}")
    return rows


def measure_points(folder: Path, counts, models) -> list[dict]:
    """Measure runs on more and more of the planes of one volume, with 50 candidates in each."""
    rows = []
    planes = round(TERABYTES * 1e12 / (2 * PLANE[0] * PLANE[1]))
    volume = volumes.sparse_tiff(folder / "terabytes", (planes, *PLANE))
    words = [word for model in models for word in ("--model", model)]
    for count in counts:
        shape = (min(planes, count // PER_PLANE), *PLANE)
        with tempfile.TemporaryDirectory() as results:  # which may be larger than the volume
            row = measure(volume, shape, Path(results), count, words)
        rows.append({"planes": shape[0], **row, "load": round(os.getloadavg()[0], 1)})
        click.echo(f"{shape[0]:6} planes of {planes} {format_row(rows[-1])}")
    return rows


def write_linear(folder: Path) -> str:
    """Write an artifact whose network is one linear layer on the cube."""
    from torch import nn

    from cfzoo.export.graph import export_artifact
    from cfzoo.export.release import write_artifact
    from cfzoo.runtime.artifact import Card

    card = Card(
        name="linear",
        version="1.0.0",
        cube_shape=(8, 16, 16),
        voxel_size=(6, 3, 3),
        channels=("signal",),
        normalisation="cube",
    )
    network = nn.Sequential(nn.Flatten(), nn.Linear(prod(card.cube_shape), 2))
    return str(write_artifact(export_artifact(network, card), folder, True))


def measure_width(folder: Path, widths, kinds, points: int) -> list[dict]:
    """Measure runs on wider and wider planes, for each kind of volume."""
    rows = []
    for width in widths:
        shape = (PLANES, width, width)
        for kind in kinds:
            with tempfile.TemporaryDirectory(dir=folder) as name:
                volume = KINDS[kind](Path(name) / "volume", shape)
                rows.append({"width": width, "kind": kind} | measure(volume, shape, folder, points))
            click.echo(f"{width:6} {kind:25} {format_row(rows[-1])}")
    return rows


def measure_networks(folder: Path, models, points: int) -> list[dict]:
    """Measure runs of several networks with several settings on a small volume."""
    rows = []
    shape = (PLANES, 1000, 1000)
    volume = volumes.sparse_tiff(folder / "small", shape)
    for model in models:
        for backend in ("onnxruntime", "openvino"):
            for batch, threads in ((8, 1), (64, 1), (64, 2), (512, 2)):
                words = ["--model", model, "--backend", backend]
                words += ["--batch-size", str(batch), "--threads", str(threads)]
                row = {"model": Path(model).stem, "backend": backend}
                row |= {"batch_size": batch, "threads": threads}
                row |= measure(volume, shape, folder, points, words)
                rows.append(row)
                click.echo(f"{model} {backend} batch {batch} threads {threads}: {format_row(row)}")
    return rows


def measure(volume: Path, shape, folder: Path, count: int, words: tuple | list = ()) -> dict:
    """Run the command in a process of its own; return its peak, its estimate and its time."""
    xyz = np.random.default_rng(0).uniform(0, 1, (count, 3)) * (np.array(shape)[::-1] - 1)
    points, output = folder / "points.csv", folder / "out"
    np.savetxt(points, np.rint(xyz), "%d", ",", header="x,y,z", comments="")
    shutil.rmtree(output, ignore_errors=True)
    command = [sys.executable, "-c", "from cfzoo.cli import main; main()", "classify", "--quiet"]
    command += ["--voxel-size", "5", "2", "2", "--overwrite", "-o", str(output), *words]
    started = time.perf_counter()
    # A child's peak starts from its parent's memory at the fork, so the small WATCH starts it.
    process = subprocess.run(
        [sys.executable, "-c", WATCH, *command, str(volume), str(points)],
        stdout=subprocess.PIPE,
        encoding="utf-8",
    )
    if process.returncode:
        raise click.ClickException(f"the run ended with {process.returncode}")
    estimate = json.loads((output / "run.json").read_text(encoding="utf-8"))["memory"][
        "estimate_mb"
    ]
    peak, cpu = map(float, process.stdout.split())
    return {
        "points": count,
        "peak_mb": round(peak * 1024 / 1e6),
        "estimate_mb": estimate,
        "seconds": round(time.perf_counter() - started, 2),
        "cpu_seconds": round(cpu, 2),
    }


def format_row(row: dict) -> str:
    """Return the figures of a run in words."""
    return (
        f"{row['points']:8} points: peak {row['peak_mb']:5} MB, estimate {row['estimate_mb']:5} MB "
        f"({row['estimate_mb'] / row['peak_mb']:.2f}), {row['seconds']:6.1f} s, "
        f"CPU {row['cpu_seconds']:.1f} s"
    )


if __name__ == "__main__":
    main()
