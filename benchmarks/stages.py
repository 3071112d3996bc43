"""Rates of the stages of a run, each alone and all together, beside what the computer can do.

`benchmarks/speed.py` calls `measure`; all is in this process, and the rounds take turns, so that
what else the computer does slows everything alike.
"""

import dataclasses
import tempfile
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import numpy as np

from cfzoo.analysis.cost import count_flop
from cfzoo.runtime.artifact import read_model
from cfzoo.runtime.cubes import Batch, read_batches
from cfzoo.runtime.job import Job, prepare
from cfzoo.runtime.options import Options
from cfzoo.runtime.output import write_run
from cfzoo.runtime.pipeline import read_size, run
from cfzoo.runtime.results import Results
from cfzoo.runtime.threads import available_threads, in_threads, read_ahead
from cfzoo.runtime.volume import open_volume

GEMM = 3072  # side of the matrices whose product is the computer's own rate
SECONDS = 6.0  # about what one stage runs in a round: the start and the end count for little
THEIRS, OURS = 512, 4096  # cubes


def measure(
    models: Mapping[str, str],
    backends: tuple[str, ...],
    folders: tuple[Path, Path],
    zyx: np.ndarray,
    rounds: int,
    device: str,
    say: Callable[[str], object],
) -> dict:
    """Rates of stages, models and backends, and of large matrix products.

    Parameters
    ----------
    models : mapping
        Name -> artifact.
    folders : signal and background
        Planes; a model of one channel takes the signal.
    zyx : (N, 3) float
        Points, repeated as often as a rate needs.

    Returns
    -------
    dict
        JSON-ready; rates are medians over the rounds with their least and most.
    """
    stages: dict[str, Callable[[], float]] = {"gemm": gemm}
    flops, channels = {}, {}
    for name, artifact in models.items():
        for backend in backends:
            job = open_job(artifact, backend, folders, zyx, device)
            card = job.model.members[0].artifact.card
            flops[name] = count_flop(job.model.members[0].artifact)
            channels[name] = len(card.channels)
            for stage, work in stages_of(job).items():
                stages[f"{name} {backend} {stage}"] = work
    rates: dict[str, list[float]] = {name: [] for name in stages}
    for number in range(rounds + 1):
        say(f"stages, round {number} of {rounds}")
        for name, work in stages.items():
            rate = work()
            if number:  # the first warms up
                rates[name].append(rate)
    gemms = rates.pop("gemm")
    found: dict = {"gemm_gflops": spread(gemms), "planes": planes(folders[0], rounds), "models": {}}
    for name in models:
        for backend in backends:
            kinds = ("cut", "resample", "network", "write", "whole")
            table = {kind: rates[f"{name} {backend} {kind}"] for kind in kinds}
            slowest = np.min([table[k] for k in kinds[:-1]], axis=0)
            share = np.array(table["network"]) * flops[name] / 1e9 / np.array(gemms)
            found["models"][f"{name} {backend}"] = {
                "mflop": flops[name] / 1e6,
                "channels": channels[name],
                "points_per_s": {kind: spread(values) for kind, values in table.items()},
                "share_of_gemm": spread(share),
                "whole_over_slowest_stage": spread(slowest / np.array(table["whole"])),
            }
    return found


def planes(folder: Path, rounds: int) -> dict:
    """Reading and decoding the planes of a folder, one after another: their number and MB/s."""
    with open_volume(folder) as volume:
        count = volume.shape[0]
        size = np.prod(volume.shape[1:]) * volume.dtype.itemsize / 1e6
        y, x = (slice(0, n) for n in volume.shape[1:])

        def read() -> None:
            for z in range(count):
                volume.read(slice(z, z + 1), y, x)

        return {
            "count": count,
            "mb_per_s": spread([size * rate(read, count) for _ in range(rounds)]),
        }


def spread(values) -> dict[str, float]:
    """Median, least and most."""
    return {
        "value": float(np.median(values)),
        "low": float(np.min(values)),
        "high": float(np.max(values)),
    }


def gemm() -> float:
    """GFLOP/s of the product of two large float32 matrices with all threads, best of three."""
    a = np.random.default_rng(0).random((GEMM, GEMM), np.float32)
    best = 0.0
    for _ in range(3):
        start = time.perf_counter()
        a @ a
        best = max(best, 2 * GEMM**3 / (time.perf_counter() - start) / 1e9)
    return best


def open_job(
    artifact: str, backend: str, folders: tuple[Path, Path], zyx: np.ndarray, device: str
) -> Job:
    """A job on the planes of a folder, with as many channels as the artifact takes."""
    model = read_model(artifact)
    volumes = [open_volume(folder) for folder in folders[: model.channels]]
    options = Options(edges="drop", backend=backend, device=device)
    return prepare(zyx, *volumes, model=model, voxel_size=(5, 2, 2), options=options)


def stages_of(job: Job) -> dict[str, Callable[[], float]]:
    """Points/s of each stage alone, and of the whole from planes on disk to files.

    All do the same number of points, about what the network does in `SECONDS`; the whole starts
    with a loaded network.
    """
    session, index = job.sessions[0], np.flatnonzero(job.flags == 0)
    size, callers = session.batch_size, session.backend.callers
    first = next(read_batches(job.volumes, job.specs, index, size)).network_cubes()[0].copy()

    def ask(batches: int) -> None:
        for _ in in_threads(session.run, [first] * batches, callers):
            pass

    start = time.perf_counter()
    ask(2 * callers)
    batches = max(8, round(2 * callers * SECONDS / (time.perf_counter() - start)))
    batches += -batches % 16  # whole reads
    count = batches * size
    rows = np.resize(index, count)
    points = dataclasses.replace(job.points, zyx=job.points.zyx[rows], types=job.points.types[rows])
    specs = tuple(dataclasses.replace(c, starts=c.starts[rows]) for c in job.specs)
    job = dataclasses.replace(job, points=points, specs=specs, flags=job.flags[rows])
    results = run(job)
    at_once = read_size(count, job.specs[0].voxels, size, callers)
    kept = list(read_batches(job.volumes, job.specs, np.arange(4 * at_once), at_once))

    def cut() -> None:
        for _ in read_batches(job.volumes, job.specs, np.arange(count), at_once):
            pass

    def resample() -> None:
        def work(batch: Batch) -> None:
            resampled(batch, size)

        reads = -(-count // at_once)
        for _ in in_threads(work, [kept[i % len(kept)] for i in range(reads)], callers):
            pass

    def write(found: Results | None = None) -> None:
        with tempfile.TemporaryDirectory() as folder:
            write_run(Path(folder), job, found or results, {}, 0)

    works = {
        "cut": cut,
        "resample": resample,
        "network": lambda: ask(batches),
        "write": write,
        "whole": lambda: write(run(job)),
    }
    return {name: partial(rate, work, count) for name, work in works.items()}


def resampled(batch: Batch, size: int) -> int:
    """Resample its cubes, as many at a time as a network takes; their number."""
    return sum(len(part.network_cubes()[0]) for part in batch.parts(size))


def rate(work: Callable[[], None], count: int) -> float:
    """Points/s."""
    start = time.perf_counter()
    work()
    return count / (time.perf_counter() - start)


def extraction(
    folders: tuple[Path, Path], zyx: np.ndarray, resnet: str, rounds: int
) -> dict[str, dict]:
    """Cubes/s of two channels in memory, 25 to 50 voxels in plane: cellfinder's class and ours."""
    import torch
    from brainglobe_utils.cells.cells import Cell
    from cellfinder.core.classify.cube_generator import CuboidArrayDataset, CuboidBatchSampler

    volumes = [open_volume(folder) for folder in folders]
    arrays = [v.read(*(slice(0, n) for n in v.shape)) for v in volumes]
    threads = available_threads()
    torch.set_num_threads(threads)
    job = prepare(zyx, *arrays, model=resnet, voxel_size=(5, 2, 2), options=Options(edges="drop"))
    index = np.flatnonzero(job.flags == 0)
    dataset = CuboidArrayDataset(
        signal_array=arrays[0],
        background_array=arrays[1],
        points=[Cell(zyx[i, ::-1].tolist(), Cell.UNKNOWN) for i in np.resize(index, THEIRS)],
        data_voxel_sizes=(5, 2, 2),
        network_voxel_sizes=(5, 1, 1),
        network_cuboid_voxels=(20, 50, 50),
        axis_order=("z", "y", "x"),
        max_axis_0_cuboids_buffered=1,
    )
    sampler = CuboidBatchSampler(dataset=dataset, batch_size=32, sort_by_axis="z")

    def theirs() -> None:
        for batch in sampler:
            dataset[batch]

    def ours() -> None:
        session = job.sessions[0]
        callers = session.backend.callers
        size = read_size(OURS, job.specs[0].voxels, session.batch_size, callers)
        batches = read_ahead(read_batches(job.volumes, job.specs, np.resize(index, OURS), size))
        for _ in in_threads(partial(resampled, size=session.batch_size), batches, threads):
            pass

    ways = {"cellfinder": partial(rate, theirs, THEIRS), "cfzoo": partial(rate, ours, OURS)}
    rows: dict[str, list[float]] = {"cellfinder": [], "cfzoo": []}
    for number in range(rounds + 1):
        for name, way in ways.items():
            found = way()
            if number:
                rows[name].append(found)
    ratio = np.array(rows["cfzoo"]) / np.array(rows["cellfinder"])
    return {**{name: spread(v) for name, v in rows.items()}, "ratio": spread(ratio)}
