"""Measure what work in parts costs, and kill a cohort's workers while it runs.

    python benchmarks/cohort.py [--only overhead] [--points 100000] [--rounds 3]

``overhead`` compares a plain ``cfzoo classify`` with ``--resume``, with one shard and its
gathering, and with two shards at once, interleaved in rounds, on a stack of 100 compressed planes.
The CPU time of all processes counts, since other load on the computer changes it less than the
clock's. ``kills`` classifies brains of three formats by four workers of dask.distributed,
which are killed with SIGKILL at random, and the scheduler twice, and compares the files with those
of one undisturbed process. Few brains need more candidates, to outlast the kills, for example
``--brains 12 --candidates 20000``. Both write to results/cohort.json, ``kills`` a row for each
number of brains. Needs the ``dask`` and ``zarr`` extras.
"""

import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import click
import numpy as np
import tifffile
import zarr

from cfzoo.runtime.files import atomic_write
from cfzoo.runtime.results import Results, write_xml
from cfzoo.runtime.sample import make_sample

STORED = Path(__file__).parent / "results" / "cohort.json"
CFZOO = "from cfzoo.cli import main; main()"
SIZE = ("--voxel-size", "5", "2", "2")
FILES = ("points.xml", "points.csv", "points.yml")
FORMATS = ("stack", "planes", "zarr")


@click.command()
@click.option("--only", multiple=True, type=click.Choice(["overhead", "kills"]))
@click.option("--points", default=100_000, show_default=True, help="For overhead.")
@click.option("--rounds", default=3, show_default=True, help="For overhead.")
@click.option("--kills", default=40, show_default=True, help="Of workers.")
@click.option("--brains", default=90, show_default=True, help="For kills.")
@click.option("--candidates", default=3000, show_default=True, help="Of a brain, for kills.")
def main(only, points, rounds, kills, brains, candidates):
    """Measure, and store the results."""
    results = json.loads(STORED.read_text(encoding="utf-8")) if STORED.exists() else {}
    with tempfile.TemporaryDirectory() as folder:
        if not only or "overhead" in only:
            results["overhead"] = measure_overhead(Path(folder), points, rounds)
        if not only or "kills" in only:
            rows = results.setdefault("kills", {})
            rows[str(brains)] = kill_workers(Path(folder), kills, brains, candidates)
    with atomic_write(STORED) as file:
        file.write(json.dumps(results, indent=1) + "\n")


def start(*words: object, **options) -> subprocess.Popen:
    """Start a verb of cfzoo."""
    return subprocess.Popen([sys.executable, "-c", CFZOO, *map(str, words), "-q"], **options)


def run(*words: object) -> None:
    """Run a verb of cfzoo; an error if it fails."""
    if code := start(*words).wait():
        raise click.ClickException(f"cfzoo {' '.join(map(str, words))} ended with {code}")


def write_points(path: Path, zyx: np.ndarray) -> None:
    """Write candidates as cellfinder's XML."""
    n = len(zyx)
    write_xml(
        path, Results(zyx, np.ones(n, np.int8), np.ones(n, np.float32), np.zeros(n, np.uint8))
    )


def measure_overhead(folder: Path, count: int, rounds: int) -> dict:
    """Time plain and divided runs in turn; the smallest of each counts."""
    rng = np.random.default_rng(0)
    shape = (100, 1000, 1200)
    planes = rng.poisson(300, (4, *shape[1:])).astype(np.uint16)
    volume = folder / "volume.tif"
    stack = (planes[z % 4] for z in range(shape[0]))
    options = {"compression": "zlib", "shape": shape, "dtype": np.uint16}
    tifffile.imwrite(volume, stack, **options)
    points = folder / "points.xml"
    write_points(points, rng.integers(0, shape, (count, 3)).astype(np.float64))
    inputs = ("classify", volume, points, *SIZE, "--overwrite")
    shards = inputs[:-1]

    def plain(out: Path) -> None:
        run(*inputs, "-o", out)

    def resume(out: Path) -> None:
        run(*inputs, "-o", out, "--resume")

    def one_shard(out: Path) -> None:
        run(*shards, "-o", out, "--shard", "1/1")
        run("gather", out)

    def two_shards(out: Path) -> None:
        half = ("--threads", "1")
        workers = [start(*shards, *half, "-o", out, "--shard", f"{n}/2") for n in (1, 2)]
        if any([worker.wait() for worker in workers]):
            raise click.ClickException("a shard failed")
        run("gather", out)

    ways = {"plain": plain, "resume": resume, "one_shard": one_shard, "two_shards": two_shards}
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    cpu: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(rounds):
        for name, way in ways.items():
            out = folder / f"{name}-{number}"
            begin, begin_cpu = time.perf_counter(), _cpu_of_children()
            way(out)
            seconds[name].append(round(time.perf_counter() - begin, 2))
            cpu[name].append(round(_cpu_of_children() - begin_cpu, 2))
            print(f"{name} {seconds[name][-1]} s, CPU {cpu[name][-1]} s", flush=True)
            expected = folder / "plain-0"
            if any((out / f).read_bytes() != (expected / f).read_bytes() for f in FILES):
                raise click.ClickException(f"{name} gave other files")
    parts = len(list((folder / "one_shard-0" / "parts").glob("*.npz")))
    least = {name: min(values) for name, values in cpu.items()}
    return {
        "points": count,
        "parts": parts,
        "parts_kilobytes": sum(
            path.stat().st_size for path in (folder / "one_shard-0" / "parts").iterdir()
        )
        // 1000,
        "seconds": seconds,
        "cpu_seconds": cpu,
        "least_cpu_seconds": least,
        "overhead": {name: round(least[name] / least["plain"] - 1, 4) for name in least},
        "cpus": os.cpu_count(),
        "load": [round(value, 1) for value in os.getloadavg()],
    }


def _cpu_of_children() -> float:
    times = os.times()
    return times.children_user + times.children_system


def write_brains(folder: Path, count: int, candidates: int) -> Path:
    """Write brains of three formats, from samples with more candidates, and their table."""
    lines = ["brain,volume,points,voxel_size,format"]
    for number in range(count):
        sample = make_sample(number)
        rng = np.random.default_rng(number)
        data = np.concatenate([sample.signal, sample.signal[::-1]])
        kind = FORMATS[number % len(FORMATS)]
        path = folder / f"b{number:02}-{kind}"
        if kind == "stack":
            path = path.with_suffix(".tif")
            tifffile.imwrite(path, data, compression="zlib")
        elif kind == "planes":
            path.mkdir()
            for z, plane in enumerate(data):
                tifffile.imwrite(path / f"z{z:03}.tif", plane)
        else:
            path = path.with_suffix(".zarr")
            zarr.create_array(path, data=data, zarr_format=2, chunks=(16, 64, 64))
        zyx = rng.integers(0, data.shape, (candidates, 3)).astype(np.float64)
        write_points(folder / f"b{number:02}.xml", zyx)
        lines.append(f"b{number:02},{path.name},b{number:02}.xml,5 2 2,{kind}")
    table = folder / "table.csv"
    table.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return table


class Cluster:
    """A scheduler and workers as processes of their own, to be killed."""

    def __init__(self, workers: int):
        self.kills = {"workers": 0, "scheduler": 0}
        self._count = workers
        self.start()

    def start(self) -> None:
        """Start the scheduler and its workers."""
        with tempfile.NamedTemporaryFile(suffix=".json", delete=False) as file:
            self._file = Path(file.name)
        self._file.unlink()
        words = ["--scheduler-file", str(self._file), "--host", "127.0.0.1", "--port", "0"]
        self._scheduler = self._open("dask_scheduler", *words, "--no-dashboard")
        while not self._file.exists() or not self._file.read_text(encoding="utf-8").strip():
            time.sleep(0.1)
        time.sleep(0.2)
        self.address = json.loads(self._file.read_text(encoding="utf-8"))["address"]
        self._workers = [self._start_worker() for _ in range(self._count)]

    def _start_worker(self) -> subprocess.Popen:
        words = ["--nthreads", "1", "--no-nanny", "--no-dashboard", "--memory-limit", "0"]
        return self._open("dask_worker", self.address, *words)

    @staticmethod
    def _open(name: str, *words: str) -> subprocess.Popen:
        command = [sys.executable, "-m", f"distributed.cli.{name}", *words]
        return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def kill_worker(self, draw: random.Random) -> None:
        """Kill a worker, and start another in its place."""
        number = draw.randrange(self._count)
        _kill(self._workers[number])
        self._workers[number] = self._start_worker()
        self.kills["workers"] += 1

    def kill_all(self) -> None:
        """Kill the scheduler, and its workers with it."""
        for process in (self._scheduler, *self._workers):
            _kill(process)
        self._file.unlink(missing_ok=True)


def _kill(process: subprocess.Popen) -> None:
    process.send_signal(signal.SIGKILL)
    process.wait()


def kill_workers(folder: Path, kills: int, brains: int, candidates: int) -> dict:
    """Classify a cohort with workers that die; compare it with an undisturbed one."""
    draw, table = random.Random(0), write_brains(folder, brains, candidates)
    begin = time.perf_counter()
    run("cohort", table, "-o", folder / "undisturbed")
    undisturbed = time.perf_counter() - begin
    print(f"undisturbed {undisturbed:.1f} s", flush=True)
    out, cluster = folder / "killed", Cluster(4)
    times: dict[Path, int] = {}
    rewritten = runs = parts_before = 0
    begin, process = time.perf_counter(), None
    next_kill = time.monotonic() + 8
    scheduler_kills = [kills // 3, 2 * kills // 3]
    try:
        while True:
            if process is None:
                words = ("cohort", table, "-o", out, "--dask", cluster.address, "--threads", 1)
                process, runs = start(*words), runs + 1
            code = process.poll()
            if code == 0:
                break
            if code is not None:
                print(f"run {runs} ended with {code}", flush=True)
                process = None
                continue
            for path in out.glob("*/parts/*.npz"):
                try:
                    changed = path.stat().st_mtime_ns
                except FileNotFoundError:  # its brain is done
                    continue
                rewritten += times.setdefault(path, changed) != changed
                times[path] = changed
            # A kill strikes workers at work: on a busy computer they take long to start.
            is_time = time.monotonic() > next_kill and len(times) > parts_before
            if is_time and cluster.kills["workers"] < kills:
                parts_before = len(times)
                next_kill = time.monotonic() + draw.uniform(0.5, 3)
                cluster.kill_worker(draw)
                if scheduler_kills and cluster.kills["workers"] >= scheduler_kills[0]:
                    scheduler_kills.pop(0)
                    cluster.kill_all()
                    cluster.kills["scheduler"] += 1
                    print(f"{cluster.kills}, {len(times)} parts", flush=True)
                    cluster.start()
                    next_kill += 8
            time.sleep(0.05)
    finally:
        cluster.kill_all()
        if process:
            process.kill()
    seconds = time.perf_counter() - begin
    names = [path.name for path in (folder / "undisturbed").iterdir() if path.is_dir()]
    equal = sum(
        (out / name / file).read_bytes() == (folder / "undisturbed" / name / file).read_bytes()
        for name in names
        for file in FILES
    )
    return {
        "brains": len(names),
        "points": candidates * len(names),
        "kills": cluster.kills,
        "runs": runs,
        "files": len(names) * len(FILES),
        "files_equal": equal,
        "parts_seen": len(times),
        "parts_written_twice": rewritten,
        "seconds": round(seconds, 1),
        "seconds_undisturbed": round(undisturbed, 1),
    }


if __name__ == "__main__":
    main()
