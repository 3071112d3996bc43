"""Measure the peak memory of ``cfzoo classify`` for growing numbers of planes.

    python benchmarks/memory.py                 # 1 GB and 20 GB, TIFF and zarr
    python benchmarks/memory.py --gigabytes 1 --gigabytes 100

Memory should not grow with the volume. The volumes are generated and take little disk space: the
TIFF is a sparse file, and the chunks of the zarr are hard links to a few files of compressed noise,
which have to be decoded. Points are spread over the whole volume, 40 per plane.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import click
import numpy as np
import tifffile
import zarr

PLANE = (2000, 2500)  # y x, voxels; 10 MB per plane of uint16
CHUNK = (32, 250, 250)
POINTS_PER_PLANE = 40
WATCH = """import resource, subprocess, sys
code = subprocess.call(sys.argv[1:])
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
sys.exit(code)"""


@click.command()
@click.option("--gigabytes", type=float, multiple=True, default=(1, 20), show_default=True)
@click.option("--model", default=None, help="Artifact to use [the default one].")
@click.option("--json", "target", type=click.Path(), help="Also write the figures here.")
def main(gigabytes, model, target):
    """Classify generated volumes and print the peak memory of each run."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for size in gigabytes:
            planes = round(size * 1e9 / (2 * PLANE[0] * PLANE[1]))
            for kind, make in (("TIFF", sparse_tiff), ("zarr", linked_zarr)):
                volume = make(Path(folder) / f"{kind}-{size:g}", planes)
                rows.append({"volume": kind, "gigabytes": size, "planes": planes})
                rows[-1] |= measure(volume, planes, Path(folder), model)
                row = rows[-1]
                click.echo(
                    f"{kind:5} {size:6g} GB {planes:6} planes {row['points']:8} points: "
                    f"peak {row['peak_mb']:5.0f} MB, {row['seconds']:6.1f} s"
                )
    if target:
        Path(target).write_text(json.dumps(rows, indent=1) + "\n")


def sparse_tiff(path: Path, planes: int) -> Path:
    """Write a BigTIFF whose pixels are a hole in the file, with noise in every 100th plane."""
    path = path.with_suffix(".tif")
    shape = (planes, *PLANE)
    pixels = tifffile.memmap(path, shape=shape, dtype=np.uint16, bigtiff=True)
    noise = np.random.default_rng(0).integers(0, 4000, PLANE).astype(np.uint16)
    for z in range(0, planes, 100):
        pixels[z] = noise
    del pixels
    return path


def linked_zarr(path: Path, planes: int) -> Path:
    """Write a zarr whose chunk files are hard links to eight chunks of noise."""
    path = path.with_suffix(".zarr")
    array = zarr.create_array(path, shape=(planes, *PLANE), chunks=CHUNK, dtype=np.uint16)
    rng = np.random.default_rng(0)
    grid = [-(-n // c) for n, c in zip(array.shape, CHUNK, strict=True)]
    sources = []
    for k in range(8):
        noise = rng.integers(0, 4000, CHUNK).astype(np.uint16)
        donor = path.parent / f"donor-{path.stem}-{k}.zarr"
        zarr.create_array(donor, data=noise, chunks=CHUNK)
        sources.append(donor / "c" / "0" / "0" / "0")
    for n, (z, y, x) in enumerate(np.ndindex(*grid)):
        chunk = path / "c" / str(z) / str(y) / str(x)
        chunk.parent.mkdir(parents=True, exist_ok=True)
        os.link(sources[n % 8], chunk)
    return path


def measure(volume: Path, planes: int, folder: Path, model: str | None) -> dict:
    """Run the command in a separate process; return its peak resident memory and its time."""
    count = POINTS_PER_PLANE * planes
    xyz = np.random.default_rng(0).uniform(0, 1, (count, 3)) * (
        PLANE[1] - 1,
        PLANE[0] - 1,
        planes - 1,
    )
    points = folder / "points.csv"
    np.savetxt(points, np.rint(xyz), "%d", ",", header="x,y,z", comments="")
    command = [sys.executable, "-c", "from cfzoo.cli import main; main()", "classify", "--quiet"]
    command += ["--voxel-size", "5", "2", "2", "--overwrite", "-o", str(folder / "out")]
    command += ["--model", model] if model else []
    started = time.perf_counter()
    # A child's peak starts from its parent's memory at the fork, so the small WATCH starts it.
    process = subprocess.run(
        [sys.executable, "-c", WATCH, *command, str(volume), str(points)],
        stdout=subprocess.PIPE,
        text=True,
    )
    if process.returncode:
        raise click.ClickException(f"the run ended with {process.returncode}")
    seconds = time.perf_counter() - started
    return {"points": count, "peak_mb": int(process.stdout) / 1024, "seconds": seconds}


if __name__ == "__main__":
    main()
