"""Compare a whole run over large compressed planes with its network and its decoding alone.

    python benchmarks/planes.py [--planes 300] [--shape 5000 6000] [--points 1000000] [--rounds 2]

Stacks of planes with the noise of a camera, in strips as tifffile writes them, compressed by
Deflate and LZW; candidates at random. In each round, for each stack and model:

- ``decode``: every plane read and decoded by all cores, and ``decode_one`` by one;
- ``tifffile``: every plane read by tifffile with all cores;
- ``network``: the network alone on as many cubes, and ``cubes`` with their resampling;
- ``whole``: the run, from planes on disk to answers in memory, and ``whole_one`` with one reader.

Results are the least of the rounds, by the clock and in CPU time, which other load changes less.
They go to results/planes.json and docs/performance.md. The whole size needs 25 GB of disk; smaller
planes with fewer points, such as ``--planes 40 --shape 2500 3000 --points 33000``, have the same
density. A model is a bundled name or an artifact; by default the default model and
attention3d-tiny, the fastest, with random weights. Needs the ``dev`` extra.
"""

import dataclasses
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import click
import imagecodecs
import numpy as np
import tifffile

sys.path.insert(0, str(Path(__file__).parent))
import performance_page

from cfzoo.runtime.artifact import read_model
from cfzoo.runtime.cpu_grants import available_threads
from cfzoo.runtime.cubes import Batch, read_batches
from cfzoo.runtime.files import atomic_write
from cfzoo.runtime.job import Job, prepare
from cfzoo.runtime.options import Options
from cfzoo.runtime.pipeline import run
from cfzoo.runtime.threads import in_threads
from cfzoo.runtime.volume import Volume, open_volume

STORED = Path(__file__).parent / "results" / "planes.json"
STRIP_BYTES = 2**18
ENCODERS = {"deflate": ("zlib", imagecodecs.zlib_encode), "lzw": ("lzw", imagecodecs.lzw_encode)}
FAST = "attention3d-tiny"


@click.command()
@click.option("--planes", default=300, show_default=True)
@click.option("--shape", nargs=2, type=int, default=(5000, 6000), show_default=True, help="y, x.")
@click.option("--points", default=10**6, show_default=True)
@click.option("--rounds", default=2, show_default=True)
@click.option("--model", "models", multiple=True, default=["pyramid3d", FAST], show_default=True)
@click.option("--backend", default="auto", show_default=True)
@click.option("--device", default="cpu", show_default=True)
def main(planes, shape, points, rounds, models, backend, device):
    """Measure, store the results and write the page."""
    with tempfile.TemporaryDirectory() as folder:
        options = Options(backend=backend, device=device)
        results = measure(Path(folder), (planes, *shape), points, rounds, models, options)
    results["command"] = " ".join(["python benchmarks/planes.py", *sys.argv[1:]])
    with atomic_write(STORED) as file:
        file.write(json.dumps(results, indent=1) + "\n")
    performance_page.refresh()


def measure(
    folder: Path,
    shape: tuple[int, int, int],
    count: int,
    rounds: int,
    models: tuple[str, ...],
    options: Options,
) -> dict:
    """Return the results for JSON."""
    zyx = scatter_points(shape, count)
    stages: dict[tuple[str, str, str], Callable[[], object]] = {}
    sizes, backends = {}, set()
    for compression in ENCODERS:
        path = write_stack(folder / f"{compression}.tif", shape, compression)
        sizes[compression] = round(path.stat().st_size / 1e6)
        volume = open_volume(path)
        threads = available_threads()
        stages |= {
            (compression, "", "decode"): partial(decode, volume, threads),
            (compression, "", "decode_one"): partial(decode, volume, 1),
            (compression, "", "tifffile"): partial(decode_with_tifffile, path, threads),
        }
        for name in models:
            artifact = make_fast(folder) if name == FAST else name
            job = prepare(
                zyx, volume, model=read_model(artifact), voxel_size=(5, 2, 2), options=options
            )
            backends.add(job.sessions[0].provider)
            stages |= {(compression, name, k): work for k, work in stages_of(job).items()}
    clock: dict[tuple[str, str, str], list[float]] = {key: [] for key in stages}
    cpu: dict[tuple[str, str, str], list[float]] = {key: [] for key in stages}
    for number in range(rounds):
        for key, work in stages.items():
            start, start_cpu = time.perf_counter(), time.process_time()
            work()
            clock[key].append(time.perf_counter() - start)
            cpu[key].append(time.process_time() - start_cpu)
            print(number, *key, f"{clock[key][-1]:.1f} s, CPU {cpu[key][-1]:.1f} s", flush=True)
    return {
        "shape": shape,
        "points": count,
        "gigabytes": round(float(np.prod(shape)) * 2 / 1e9, 1),
        "file_megabytes": sizes,
        "threads": available_threads(),
        "rounds": rounds,
        "backends": sorted(backends),
        "seconds": nest({key: min(values) for key, values in clock.items()}),
        "cpu_seconds": nest({key: min(values) for key, values in cpu.items()}),
    }


def nest(values: dict[tuple[str, str, str], float]) -> dict:
    """Return a table of compressions: their stages, and those of each model."""
    table: dict = {}
    for (compression, model, stage), value in values.items():
        row = table.setdefault(compression, {"models": {}})
        row = row["models"].setdefault(model, {}) if model else row
        row[stage] = round(value, 2)
    return table


def scatter_points(shape: tuple[int, int, int], count: int) -> np.ndarray:
    """Return points (z y x, voxels) at random, whose cubes lie inside."""
    margin = np.array((10, 30, 30))
    points = np.random.default_rng(0).uniform(margin, np.array(shape) - margin, (count, 3))
    return points.round()


def write_stack(path: Path, shape: tuple[int, int, int], compression: str) -> Path:
    """Write a stack that holds two planes of noise by turns, each page with its own strips."""
    name, encode = ENCODERS[compression]
    height, width = shape[1:]
    rows = STRIP_BYTES // (2 * width)
    y, x = np.ogrid[:height, :width]
    light = 300 + 150 * np.sin(y / 700) * np.cos(x / 900)
    kinds = []
    for seed in range(2):
        plane = np.random.default_rng(seed).poisson(light).astype(np.uint16)
        kinds.append([encode(plane[y : y + rows].tobytes()) for y in range(0, height, rows)])
    with tifffile.TiffWriter(path, bigtiff=True) as writer:
        for z in range(shape[0]):
            writer.write(
                iter(kinds[z % 2]),
                shape=shape[1:],
                dtype=np.uint16,
                compression=name,
                rowsperstrip=rows,
                metadata=None,
            )
    return path


def make_fast(folder: Path) -> str:
    """Export the fastest network with random weights, which do not change its speed."""
    from cfzoo.export.graph import export_artifact
    from cfzoo.export.release import write_artifact
    from cfzoo.zoo.recipe import recipe_for
    from cfzoo.zoo.registry import build

    card = recipe_for(FAST).card()
    return str(write_artifact(export_artifact(build(card), card), folder, True))


def decode(volume: Volume, threads: int) -> None:
    """Read and decode every plane."""
    z, y, x = volume.shape

    def read(plane: int) -> None:
        volume.read(slice(plane, plane + 1), slice(0, y), slice(0, x))

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(read, range(z)))


def decode_with_tifffile(path: Path, threads: int) -> None:
    """Read every plane by tifffile."""
    with tifffile.TiffFile(path) as file:
        for page in file.pages:
            page.asarray(maxworkers=threads)


def stages_of(job: Job) -> dict[str, Callable[[], object]]:
    """Return functions that run the network alone, with resampling, and the whole."""
    session, index = job.sessions[0], np.arange(len(job.flags))
    size = session.batch_size
    batch = next(read_batches(job.volumes, job.specs, index, size))
    cubes = batch.network_cubes()[0].copy()

    def repeat(batches: int) -> Iterator[Batch]:
        return iter([batch] * batches)

    def run_network(batches: Iterator[Batch], work: Callable[[Batch], object]) -> None:
        for _ in in_threads(work, batches, session.backend.callers):
            pass

    count = -(-len(index) // size)
    one = dataclasses.replace(job, memory=dataclasses.replace(job.memory, readers=1))
    return {
        "network": lambda: run_network(repeat(count), lambda _: session.run(cubes)),
        "cubes": lambda: run_network(repeat(count), lambda b: session.run(b.network_cubes()[0])),
        "whole": partial(run, job),
        "whole_one": partial(run, one),
    }


if __name__ == "__main__":
    main()
