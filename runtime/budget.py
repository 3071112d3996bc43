"""The memory budget of a classification: an estimate before the work, and sizes that respect it."""

import dataclasses
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from .artifact import Artifact, Ensemble
from .available_memory import Limit, find_limit, resident_memory
from .cpu_grants import available_threads
from .cubes import (
    POOLED_VOXELS,
    WINDOW_BYTES,
    CubeSpec,
    block_type,
    measure_pieces,
    measure_tiles,
)
from .errors import EnvironmentProblem
from .options import Options
from .session import MOST_VOXELS, choose_batch, library_of
from .volume import Volume

READ_VOXELS = 2**20  # data voxels per read beyond which larger reads gain nothing
LARGEST_READ = 128  # cubes
READS_PER_THREAD = 16  # at least, where a read holds several batches
SMALLEST_BATCH = 8  # cubes, to which a lack of memory reduces batches
SMALLEST_WINDOW = 2**23  # bytes, to which a lack of memory reduces the data kept per channel
# Measured with `benchmarks/memory.py --only networks`: memory of a library when it is loaded, of
# a network for each byte of its weights while it is loaded, and for each byte of a cube in a batch
# that runs. Networks with wide layers at full resolution may need more.
LIBRARY_BYTES = {"onnxruntime": 2**25, "openvino": 2**26 + 2**24}
LOADING = 3
ACTIVATIONS = {"onnxruntime": 20, "openvino": 8}
POINT_BYTES = 300  # of a point's coordinates, order and results
READS_AHEAD = 4  # besides one for each calling thread; see `threads`
READING_BYTES = 2**30  # of each channel's pieces in progress, which limits the threads that read


@dataclass(frozen=True)
class MemoryPlan:
    """Sizes of a classification and the memory that it is estimated to take with them.

    Attributes
    ----------
    batch_size : int
        Cubes per run of a network, at most.
    threads : int
    read_points : int
        Points whose data are read at once.
    window_bytes : int
        Memory for the data of each channel around the current points.
    readers : int
        Threads that read and decode each channel.
    parts : dict of int
        Estimate of each part, bytes: ``process`` is what the process has already.
    limit : Limit, optional
        The tightest limit; None if the system states nothing.
    """

    batch_size: int
    threads: int
    read_points: int
    window_bytes: int
    readers: int
    parts: dict[str, int]
    limit: Limit | None

    @property
    def estimate(self) -> int:
        """Estimate of the peak memory of the process, bytes."""
        return sum(self.parts.values())

    @property
    def fits(self) -> bool:
        """Whether the limit allows what is still to be taken."""
        return self.limit is None or self.estimate - self.parts["process"] <= self.limit.available

    def describe(self) -> dict[str, object]:
        """Return the figures for JSON, in MB."""
        return {
            "estimate_mb": _mega(self.estimate),
            "parts_mb": {name: _mega(value) for name, value in self.parts.items()},
            "available_mb": self.limit and _mega(self.limit.available),
            "limited_by": self.limit and self.limit.source,
            "batch_size": self.batch_size,
            "read_points": self.read_points,
            "window_mb": _mega(self.window_bytes),
            "readers": self.readers,
        }

    def format_figures(self) -> str:
        """Return one sentence with the figures."""
        parts = ", ".join(f"{name} {_mega(value)} MB" for name, value in self.parts.items())
        text = f"About {_mega(self.estimate)} MB are needed ({parts})"
        if self.limit is None:
            return f"{text}."
        return f"{text}; {self.limit.source} allows {_mega(self.limit.available)} MB more than now."


def plan_memory(
    model: Ensemble,
    options: Options,
    volumes: Sequence[Volume],
    specs: Sequence[CubeSpec],
    index: np.ndarray,
    features: int = 0,
    tiles: Sequence[np.ndarray] | None = None,
) -> MemoryPlan:
    """Choose sizes with which a classification fits into the memory there is.

    Where it would not fit, fewer threads read, then batches become smaller, threads fewer, reads
    smaller, and columns of the volume narrower. None of these changes an answer.

    Parameters
    ----------
    model : Ensemble
    options : Options
        Its batch size and threads are the largest allowed.
    volumes : sequence of Volume
    specs : sequence of CubeSpec
        The cubes that the members take.
    index : (n,) int64
        Rows of the points to classify.
    features : int
        Memory of features that are kept until all points have been seen, bytes.
    tiles : sequence of (m,) int64, optional
        The rows as `list_tiles` divides them.

    Returns
    -------
    MemoryPlan

    Raises
    ------
    EnvironmentProblem
        Even the smallest sizes need more than there is.
    """
    limit = find_limit()
    if options.memory is not None:
        allowed = max(0, int(options.memory * 1e9) - resident_memory())
        own = Limit(allowed, "--memory")
        limit = own if limit is None else min(own, limit)
    plan = None
    tiles_bytes = measure_tiles(volumes, specs, index, tiles=tiles)
    for plan in _plans(model, options, volumes, specs, index, features, tiles_bytes, limit):
        if plan.fits:
            return plan
    assert plan is not None
    raise EnvironmentProblem(
        f"Too little memory. {plan.format_figures()} Free some, ask for more (--memory, the batch "
        "system), or use a larger computer."
    )


def read_size(points: int, voxels: int, batch_size: int, threads: int) -> int:
    """Choose how many points to read at once.

    A read holds several batches, to amortise its overhead and the threads' waiting for each other;
    but few enough to keep the last read small, since a single thread processes it. Where the data
    are much finer than the network's grid, a read holds less than a batch: each thread keeps some
    reads in memory.

    Parameters
    ----------
    points : int
        Points to classify.
    voxels : int
        Data voxels around one point, see `CubeSpec.voxels`.
    batch_size : int
        Cubes per run of a network.
    threads : int
        Threads that run networks.

    Returns
    -------
    int
        Points per read, at least 1.
    """
    most = min(READ_VOXELS // voxels, LARGEST_READ, points // (READS_PER_THREAD * threads))
    batches = max(1, most // batch_size)
    return max(1, min(batches * batch_size, MOST_VOXELS // voxels))


def _plans(
    model: Ensemble,
    options: Options,
    volumes: Sequence[Volume],
    specs: Sequence[CubeSpec],
    index: np.ndarray,
    features: int,
    tiles: int,
    limit: Limit | None,
) -> Iterator[MemoryPlan]:
    """Yield plans from the fastest to the one that needs least."""
    voxels = sum(spec.voxels for spec in specs)
    size = choose_batch(model, options, len(index), voxels)
    threads = available_threads() if options.threads is None else options.threads
    window = WINDOW_BYTES
    readers = _count_readers(volumes, threads)
    several = options.batch_size is None  # else report progress per batch, as the caller chose
    while True:
        streams = max(1, min(threads, -(-len(index) // max(size, 1))))
        read = read_size(len(index), voxels, size, streams) if several and size > 0 else size
        parts = {
            "process": resident_memory(),
            "network": sum(
                _measure_network(member.artifact, options, size, streams)
                for member in model.members
            ),
            "data": tiles + sum(_measure_reading(volume, readers) for volume in volumes),
            "batches": _measure_batches(model, volumes, voxels, size, read, streams),
            "points": POINT_BYTES * len(index),
        }
        if features:
            parts["features"] = features
        if any(spec.dataset_norm for spec in specs):
            # The volume is measured before; only the larger of both counts.
            parts["data"] = max(parts["data"], 3 * 8 * POOLED_VOXELS)
        yield MemoryPlan(size, threads, read, window, readers, parts, limit)
        if readers > 1:
            readers //= 2
        elif size > SMALLEST_BATCH:
            size = max(SMALLEST_BATCH, size // 2)
        elif threads > 1:
            threads //= 2
        elif several:
            several = False
        elif window > SMALLEST_WINDOW:
            window //= 2
            tiles = measure_tiles(volumes, specs, index, window)
        else:
            return


def _measure_network(artifact: Artifact, options: Options, size: int, streams: int) -> int:
    """Estimate the memory of a session, bytes."""
    library = library_of(options.backend, options.device)
    weights = 4 * artifact.outline.parameters
    running = ACTIVATIONS[library] * artifact.test_cube.nbytes * size * streams
    return LIBRARY_BYTES[library] + LOADING * weights + running


def _count_readers(volumes: Sequence[Volume], threads: int) -> int:
    """Choose how many threads read and decode each channel."""
    read = [volume for volume in volumes if volume.in_memory is None]
    if not read or any(volume.source.is_serial for volume in read):
        return 1
    readers = max(threads, *(volume.source.concurrent_reads for volume in read))
    while readers > 1 and any(measure_pieces(v, readers) > READING_BYTES for v in volumes):
        readers -= 1
    return readers


def _measure_reading(volume: Volume, readers: int) -> int:
    """Estimate the memory of what is read and decoded but not yet used, bytes."""
    if volume.in_memory is not None:
        return 0
    return measure_pieces(volume, readers) + volume.source.buffer_bytes


def _measure_batches(
    model: Ensemble, volumes: Sequence[Volume], voxels: int, size: int, read: int, streams: int
) -> int:
    """Estimate the memory of the data and cubes on their way to the networks, bytes."""
    cube = sum(member.artifact.test_cube.size for member in model.members)
    callers = streams + 1
    waiting = block_type(volumes).itemsize * (callers + READS_AHEAD) * read * voxels
    return waiting + 4 * callers * size * (voxels + 2 * cube)


def _mega(value: int) -> int:
    return round(value / 1e6)


def with_plan(options: Options, plan: MemoryPlan) -> Options:
    """Return the options with the sizes of a plan, for opening sessions."""
    return dataclasses.replace(options, batch_size=plan.batch_size, threads=plan.threads)


@contextmanager
def memory_errors(plan: MemoryPlan) -> Generator[None]:
    """Turn a lack of memory into an `EnvironmentProblem` with the figures of a plan."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and "new thread" not in str(error):  # no stack for it
            raise
        # Not all of what a computer has left can be used, and other programs may have taken it.
        raise EnvironmentProblem(
            f"Memory ran out. {plan.format_figures()} Give a smaller --memory or "
            "--batch-size, or fewer --threads, or close other programs."
        ) from None
