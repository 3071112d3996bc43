"""Measure each stage of a run alone, all of them together, and what the computer can do.

`benchmarks/speed.py` calls `measure`. Everything runs in this process, in interleaved rounds, so
that other load on the computer slows all stages alike.
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
from cfzoo.runtime.budget import read_size
from cfzoo.runtime.cpu_grants import available_threads
from cfzoo.runtime.cubes import Batch, read_batches
from cfzoo.runtime.job import Job, prepare
from cfzoo.runtime.options import Options
from cfzoo.runtime.output import write_run
from cfzoo.runtime.pipeline import run
from cfzoo.runtime.results import Results
from cfzoo.runtime.threads import in_threads, read_ahead
from cfzoo.runtime.volume import open_volume

GEMM = 3072  # side of the matrices whose product measures the computer's own rate
SECONDS = 6.0  # approximate duration of a stage in a round, long against its start and end
CELLFINDER_CUBES, CFZOO_CUBES = 512, 4096  # cubes per round of `measure_extraction`


def measure(
    models: Mapping[str, str],
    backends: tuple[str, ...],
    folders: tuple[Path, Path],
    zyx: np.ndarray,
    rounds: int,
    device: str,
    say: Callable[[str], object],
) -> dict:
    """Measure the rates of all stages for all models and backends, and of large matrix products.

    Parameters
    ----------
    models : mapping
        Name -> artifact.
    folders : signal and background
        Planes; a model of one channel takes the signal.
    zyx : (N, 3) float
        Points, repeated as often as a measurement needs.

    Returns
    -------
    dict
        Ready for JSON; rates are medians over the rounds with their range.
    """
    stages: dict[str, Callable[[], float]] = {"gemm": measure_gemm}
    flops, channels = {}, {}
    for name, artifact in models.items():
        for backend in backends:
            job = open_job(artifact, backend, folders, zyx, device)
            card = job.model.members[0].artifact.card
            flops[name], channels[name] = (
                count_flop(job.model.members[0].artifact),
                len(card.channels),
            )
            for stage, work in stages_of(job).items():
                stages[f"{name} {backend} {stage}"] = work
    rates: dict[str, list[float]] = {name: [] for name in stages}
    for number in range(rounds + 1):
        say(f"stages, round {number} of {rounds}")
        for name, work in stages.items():
            rate = work()
            if number:  # the first round warms up
                rates[name].append(rate)
    gemms = rates.pop("gemm")
    figures: dict = {
        "gemm_gflops": summarise(gemms),
        "planes": measure_planes(folders[0], rounds),
        "models": {},
    }
    for name in models:
        for backend in backends:
            kinds = ("cut", "resample", "network", "write", "whole")
            table = {kind: rates[f"{name} {backend} {kind}"] for kind in kinds}
            slowest = np.min([table[k] for k in kinds[:-1]], axis=0)
            share = np.array(table["network"]) * flops[name] / 1e9 / np.array(gemms)
            figures["models"][f"{name} {backend}"] = {
                "mflop": flops[name] / 1e6,
                "channels": channels[name],
                "points_per_s": {kind: summarise(values) for kind, values in table.items()},
                "share_of_gemm": summarise(share),
                "whole_over_slowest_stage": summarise(slowest / np.array(table["whole"])),
            }
    return figures


def measure_planes(folder: Path, rounds: int) -> dict:
    """Read and decode the planes of a folder one by one; return their number and the MB/s."""
    with open_volume(folder) as volume:
        count = volume.shape[0]
        size = np.prod(volume.shape[1:]) * volume.dtype.itemsize / 1e6
        y, x = (slice(0, n) for n in volume.shape[1:])

        def read_all() -> None:
            for z in range(count):
                volume.read(slice(z, z + 1), y, x)

        return {
            "count": count,
            "mb_per_s": summarise([size * measure_rate(read_all, count) for _ in range(rounds)]),
        }


def summarise(values) -> dict[str, float]:
    """Return the median (``value``) and the range (``low``, ``high``) of some values."""
    return {
        "value": float(np.median(values)),
        "low": float(np.min(values)),
        "high": float(np.max(values)),
    }


def measure_gemm() -> float:
    """Return the GFLOP/s of a product of large float32 matrices on all threads, best of three."""
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
    """Prepare a job on folders of planes, with as many channels as the artifact takes."""
    model = read_model(artifact)
    volumes = [open_volume(folder) for folder in folders[: model.channels]]
    options = Options(edges="drop", backend=backend, device=device)
    return prepare(zyx, *volumes, model=model, voxel_size=(5, 2, 2), options=options)


def stages_of(job: Job) -> dict[str, Callable[[], float]]:
    """Return functions that measure the points/s of each stage, and of the whole run.

    All process the same number of points, about what the network does in `SECONDS`. The whole run
    goes from planes on disk to files, with the network already loaded.
    """
    session, index = job.sessions[0], np.flatnonzero(job.flags == 0)
    size, callers = session.batch_size, session.backend.callers
    first = next(read_batches(job.volumes, job.specs, index, size)).network_cubes()[0].copy()

    def run_network(batches: int) -> None:
        for _ in in_threads(session.run, [first] * batches, callers):
            pass

    start = time.perf_counter()
    run_network(2 * callers)
    batches = max(8, round(2 * callers * SECONDS / (time.perf_counter() - start)))
    batches += -batches % 16  # whole reads
    count = batches * size
    rows = np.resize(index, count)
    points = dataclasses.replace(job.points, zyx=job.points.zyx[rows], types=job.points.types[rows])
    specs = tuple(dataclasses.replace(c, starts=c.starts[rows]) for c in job.specs)
    job = dataclasses.replace(job, points=points, specs=specs, flags=job.flags[rows])
    results = run(job)
    at_once = read_size(count, job.specs[0].voxels, size, callers)
    reads = list(read_batches(job.volumes, job.specs, np.arange(4 * at_once), at_once))

    def cut() -> None:
        for _ in read_batches(job.volumes, job.specs, np.arange(count), at_once):
            pass

    def resample() -> None:
        def work(batch: Batch) -> None:
            resample_parts(batch, size)

        number = -(-count // at_once)
        for _ in in_threads(work, [reads[i % len(reads)] for i in range(number)], callers):
            pass

    def write(answers: Results = results) -> None:
        with tempfile.TemporaryDirectory() as folder:
            write_run(Path(folder), job, answers, {}, 0)

    works = {
        "cut": cut,
        "resample": resample,
        "network": lambda: run_network(batches),
        "write": write,
        "whole": lambda: write(run(job)),
    }
    return {name: partial(measure_rate, work, count) for name, work in works.items()}


def resample_parts(batch: Batch, size: int) -> int:
    """Resample the cubes of a batch, ``size`` at a time; return their number."""
    return sum(len(part.network_cubes()[0]) for part in batch.parts(size))


def measure_rate(work: Callable[[], None], count: int) -> float:
    """Return ``count`` per second of work."""
    start = time.perf_counter()
    work()
    return count / (time.perf_counter() - start)


def measure_extraction(
    folders: tuple[Path, Path], zyx: np.ndarray, resnet: str, rounds: int
) -> dict[str, dict]:
    """Return the cubes/s of cutting and resampling two channels in memory, with either program."""
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
        points=[
            Cell(zyx[i, ::-1].tolist(), Cell.UNKNOWN) for i in np.resize(index, CELLFINDER_CUBES)
        ],
        data_voxel_sizes=(5, 2, 2),
        network_voxel_sizes=(5, 1, 1),
        network_cuboid_voxels=(20, 50, 50),
        axis_order=("z", "y", "x"),
        max_axis_0_cuboids_buffered=1,
    )
    sampler = CuboidBatchSampler(dataset=dataset, batch_size=32, sort_by_axis="z")

    def extract_with_cellfinder() -> None:
        for batch in sampler:
            dataset[batch]

    def extract_with_cfzoo() -> None:
        session = job.sessions[0]
        callers = session.backend.callers
        size = read_size(CFZOO_CUBES, job.specs[0].voxels, session.batch_size, callers)
        order = np.resize(index, CFZOO_CUBES)
        batches = read_ahead(read_batches(job.volumes, job.specs, order, size))
        for _ in in_threads(partial(resample_parts, size=session.batch_size), batches, threads):
            pass

    measurements = {
        "cellfinder": partial(measure_rate, extract_with_cellfinder, CELLFINDER_CUBES),
        "cfzoo": partial(measure_rate, extract_with_cfzoo, CFZOO_CUBES),
    }
    rows: dict[str, list[float]] = {"cellfinder": [], "cfzoo": []}
    for number in range(rounds + 1):
        for name, measurement in measurements.items():
            rate = measurement()
            if number:
                rows[name].append(rate)
    ratio = np.array(rows["cfzoo"]) / np.array(rows["cellfinder"])
    return {**{name: summarise(v) for name, v in rows.items()}, "ratio": summarise(ratio)}
