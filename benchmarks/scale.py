"""Reckon what a thousand brains on a hundred nodes take, from pieces that are measured here.

    python benchmarks/scale.py [--points 1000000] [--tasks 4000]

A brain is an OME-Zarr of 1,000 x 4,000 x 5,000 voxels in chunks of 64 x 128 x 128, with candidates
at random. Measured are

- ``prepare``: processor time of what each worker does once for a brain before it computes a shard:
  the points are read, ordered by chunk and divided into parts;
- ``task``: processor time of dask's scheduler for a task with the arguments of a shard;
- ``chunks``: the bytes of chunks that candidates need, decoded, where one process reads all of
  them, where shards and parts are those of cfzoo, and where the list is cut as it stands in the
  file.

The time for a candidate and for gathering comes from results/cohort.json. Writes
results/scale.json, with the reckoning. Needs the ``dask`` and ``zarr`` extras.
"""

import json
import sys
import tempfile
import time
from pathlib import Path

import click
import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
import volumes
from cohort import write_points

from cfzoo.runtime.cubes import CubeSpec
from cfzoo.runtime.files import atomic_write
from cfzoo.runtime.options import Options
from cfzoo.runtime.parts import Parts, Request, Shard, no_sessions
from cfzoo.workflows.cohort.spread import count_shards

RESULTS = Path(__file__).parent / "results"
SHAPE, CHUNKS = (1000, 4000, 5000), (64, 128, 128)
BRAINS, NODES, CORES = 1000, 100, 16


@click.command()
@click.option("--points", default=10**6, show_default=True)
@click.option("--tasks", default=4000, show_default=True)
def main(points, tasks):
    """Measure, reckon and store the results."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        request = write_brain(folder, points)
        start = time.process_time()
        with request.prepare(no_sessions) as job:
            parts = Parts.of(job, folder / "parts")
            prepare = time.process_time() - start
            (spec,) = job.specs
            print(f"prepare {prepare:.1f} s, {len(parts.rows)} parts", flush=True)
            results = {
                "points": points,
                "parts": len(parts.rows),
                "prepare_seconds": round(prepare, 2),
                "task_milliseconds": round(1e3 * time_tasks(request, folder, tasks), 2),
                "bytes_per_candidate": count_bytes(spec, parts),
            }
    results["reckoning"] = reckon(results)
    with atomic_write(RESULTS / "scale.json") as file:
        file.write(json.dumps(results, indent=1) + "\n")
    print(json.dumps(results, indent=1))


def write_brain(folder: Path, points: int) -> Request:
    """Write a volume, whose chunks are links to a few, and its candidates."""
    volume = volumes.linked_zarr(folder / "brain", SHAPE, CHUNKS)
    zyx = np.random.default_rng(0).integers(0, SHAPE, (points, 3)).astype(np.float64)
    write_points(folder / "points.xml", zyx)
    return Request(
        volume=str(volume),
        points=str(folder / "points.xml"),
        voxel_size=(5.0, 2.0, 2.0),
        options=Options(threads=1),
    )


def do_nothing(request: Request, folder: Path, key: str, shard: Shard) -> float:
    """Take the arguments of a shard."""
    return 0.0


def time_tasks(request: Request, folder: Path, count: int) -> float:
    """Return the processor time of the scheduler for a task, s."""
    from distributed import Client, LocalCluster, as_completed

    with (
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster,
        Client(cluster) as client,
    ):

        def run(number: int) -> None:
            words = [(request, folder, "0" * 64, Shard(i % 8 + 1, 8)) for i in range(number)]
            futures = [client.submit(do_nothing, *each, pure=False) for each in words]
            for future in as_completed(futures):
                future.result()

        run(200)
        # The scheduler lives in this process, and the client with it: both count.
        start = time.process_time()
        run(count)
        return (time.process_time() - start) / count


def count_bytes(spec: CubeSpec, parts: Parts) -> dict[str, float]:
    """Return the bytes of the chunks that a candidate needs, for several divisions of the list."""
    order = np.concatenate(parts.rows)
    listed = np.arange(len(order))
    size = len(parts.rows[0])
    shards = count_shards(len(parts.rows), NODES * CORES, BRAINS)

    def cut(rows: np.ndarray, step: int) -> list[np.ndarray]:
        return [rows[start : start + step] for start in range(0, len(rows), step)]

    per_shard = -(-len(parts.rows) // shards) * size
    divisions = {
        "one process": [order],
        "shards": cut(order, per_shard),
        "parts": parts.rows,
        "shards in the order of the file": cut(listed, per_shard),
        "parts in the order of the file": cut(listed, size),
    }
    voxels = int(np.prod(CHUNKS)) * 2
    return {
        name: round(sum(count_chunks(spec, rows) for rows in groups) * voxels / len(order))
        for name, groups in divisions.items()
    }


def count_chunks(spec: CubeSpec, rows: np.ndarray) -> int:
    """Count the chunks that the cubes of some candidates touch, each once."""
    grid = -(-np.array(SHAPE) // CHUNKS)
    low = np.clip(spec.starts[rows], 0, None) // CHUNKS
    high = np.minimum(spec.starts[rows] + spec.grid.data_shape - 1, np.array(SHAPE) - 1) // CHUNKS
    touched = np.zeros(grid, bool)
    for corner in np.ndindex(2, 2, 2):  # a cube is smaller than a chunk
        touched[tuple(np.where(corner, high, low).T)] = True
    return int(touched.sum())


def reckon(results: dict) -> dict[str, float]:
    """Return time, tasks and files of the whole cohort, in proportion to what was measured."""
    overhead = json.loads((RESULTS / "cohort.json").read_text(encoding="utf-8"))["overhead"]
    seconds, share = overhead["least_cpu_seconds"], results["points"] / overhead["points"]
    shards = count_shards(results["parts"], NODES * CORES, BRAINS)
    work = seconds["plain"] * share
    prepare = shards * results["prepare_seconds"]
    gather = (seconds["one_shard"] - seconds["plain"]) * share
    tasks = BRAINS * (shards + 1)
    brain = work + prepare + gather
    return {
        "brains": BRAINS,
        "nodes": NODES,
        "cores_per_node": CORES,
        "shards_per_brain": shards,
        "brain_core_seconds": round(brain),
        "planning_hours": round(BRAINS * results["prepare_seconds"] / 3600, 2),
        "share_of_preparing": round(prepare / brain, 3),
        "share_of_gathering": round(gather / brain, 3),
        "hours": round(BRAINS * brain / (NODES * CORES) / 3600, 2),
        "tasks": tasks,
        "scheduler_seconds": round(tasks * results["task_milliseconds"] / 1e3, 1),
        "part_files_at_once": NODES * CORES // shards * results["parts"],
        "files_at_the_end": BRAINS * 5 + 3,
    }


if __name__ == "__main__":
    main()
