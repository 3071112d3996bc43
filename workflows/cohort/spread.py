"""Spreading of a cohort over the workers of dask.

The scheduler sees some tasks a brain, which return a number; the data are read, and the parts
written, by the workers, which therefore need the same files under the same names.
"""

import dataclasses
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ...runtime.errors import CfzooError, EnvironmentProblem
from ...runtime.parts import Request, Shard
from .brain_run import compute_shard, finish_brain
from .cluster_file import ClusterFile
from .plan import Plan
from .record import Record

LOCAL = "local"
_SHARDS = 4  # of a brain; each worker that takes one reads the brain's points first
_SHARDS_PER_WORKER = 2  # so that those that end first find more to do
_ATTEMPTS = 4  # of a task whose worker died; dask itself tries each as often


@contextmanager
def open_client(dask: Any) -> Generator[Any]:
    """Connect to a scheduler, or start one with workers on this computer or in a batch system.

    Parameters
    ----------
    dask : str, ClusterFile or distributed.Client
        ``local``, the address of a scheduler, jobs of a batch system, or a client, which stays
        open.

    Raises
    ------
    InputError
        The batch system does not take the options.
    EnvironmentProblem
        dask.distributed is not installed, or no scheduler answers.
    """
    try:
        from distributed import Client, LocalCluster
    except ImportError as error:
        raise EnvironmentProblem(f"{error}: pip install 'cfzoo[dask]'.") from None
    if dask == LOCAL:
        from ...runtime.cpu_grants import available_threads

        cluster = LocalCluster(
            n_workers=available_threads(),
            threads_per_worker=1,
            dashboard_address=None,  # pyright: ignore[reportArgumentType]  # which starts none
        )
        with cluster, Client(cluster) as client:
            yield client
        return
    if isinstance(dask, Client):
        yield dask
        return
    if isinstance(dask, ClusterFile):
        with dask.start() as cluster, Client(cluster) as client:
            yield client
        return
    try:
        client = Client(dask, timeout="20s")
    except (OSError, ValueError) as error:  # which is a TimeoutError, too
        raise EnvironmentProblem(
            f"No scheduler of dask answers at {dask!r} ({error}). Check the address: dask "
            "scheduler prints it."
        ) from None
    with client:
        yield client


def run_plans(
    client: Any,
    plans: Sequence[Plan],
    overwrite: bool,
    finished: Callable[[Plan, Record], object],
    progress: Callable[[int], object],
) -> None:
    """Compute the brains of some plans on the workers of a client.

    Parameters
    ----------
    client : distributed.Client
    plans : sequence of Plan
    overwrite : bool
        Whether folders may hold results.
    finished : callable
        Called with each plan and its record, which may be that of a failure.
    progress : callable
        Called with numbers of points.

    Raises
    ------
    EnvironmentProblem
        The scheduler went away.
    """
    from distributed import as_completed

    work = _Work(client, len(plans), overwrite, finished, progress)
    try:
        for plan in plans:
            work.start(plan)
        pool = as_completed(list(work.waiting))
        for future in pool:
            for further in work.handle(future):
                pool.add(further)
    except Exception as error:  # distributed raises whatever it likes
        if client.status == "running":
            raise
        raise EnvironmentProblem(
            f"The scheduler of dask went away ({describe_failure(error)}) Start it and run the "
            "same command again; what is done is skipped."
        ) from None


def count_shards(parts: int, workers: int, brains: int) -> int:
    """Choose into how many shards to divide a brain.

    Each worker that takes a shard reads and orders all points of its brain, which is about 3 % of
    the work on them (`benchmarks/scale.py`). Few shards waste little of that, and keep progress
    fine enough; where workers are many and brains few, each worker needs some.

    Parameters
    ----------
    parts : int
        Of the brain.
    workers, brains : int
        Of the whole run.
    """
    return min(parts, max(_SHARDS, -(-_SHARDS_PER_WORKER * workers // brains)))


class _Work:
    """Tasks that are under way, and what each brain still waits for."""

    def __init__(
        self,
        client: Any,
        brains: int,
        overwrite: bool,
        finished: Callable[[Plan, Record], object],
        progress: Callable[[int], object],
    ):
        self.waiting: dict[Any, tuple[Plan, Shard | None, int]] = {}  # shard None: the gathering
        self._client, self._overwrite = client, overwrite
        self._finished, self._progress = finished, progress
        self._open_shards: dict[str, set[Shard]] = {}
        self._seconds: dict[str, float] = {}
        self._brains = brains
        self._workers = len(client.scheduler_info(n_workers=-1)["workers"])

    def start(self, plan: Plan) -> None:
        """Submit the shards of a brain, or its gathering if it has none."""
        total = count_shards(len(plan.sizes), self._workers, self._brains)
        shards = [Shard(number, total) for number in range(1, total + 1)]
        self._open_shards[plan.brain.name] = set(shards)
        self._seconds[plan.brain.name] = 0.0
        for shard in shards or [None]:
            self._submit(plan, shard, 1)

    def _submit(self, plan: Plan, shard: Shard | None, attempt: int) -> Any:
        if shard is None:
            seconds = self._seconds[plan.brain.name]
            words = (plan.brain.name, plan.request, plan.folder, plan.key, seconds, self._overwrite)
            future = self._client.submit(finish_brain, *words, pure=False)
        else:
            words = (plan.request, plan.folder, plan.key, shard)
            future = self._client.submit(compute_on_worker, *words, pure=False)
        self.waiting[future] = (plan, shard, attempt)
        return future

    def handle(self, future: Any) -> list[Any]:
        """Take note of a task that has ended, and return further ones."""
        plan, shard, attempt = self.waiting.pop(future)
        name = plan.brain.name
        if name not in self._open_shards:  # the brain has failed
            return []
        if future.status != "finished":
            error = future.exception() if future.status == "error" else None
            if self._client.status != "running":
                raise EnvironmentProblem("The client has lost its connection.")
            is_lost = error is None or type(error).__name__ in ("KilledWorker", "CommClosedError")
            if is_lost and attempt < _ATTEMPTS:
                return [self._submit(plan, shard, attempt + 1)]
            self._fail(plan, describe_failure(error))
            return []
        if shard is None:
            del self._open_shards[name]
            self._finished(plan, future.result())
            return []
        self._seconds[name] += future.result()
        numbers = shard.select(len(plan.sizes))
        self._progress(sum(plan.sizes[number] for number in numbers))
        self._open_shards[name].discard(shard)
        return [] if self._open_shards[name] else [self._submit(plan, None, 1)]

    def _fail(self, plan: Plan, reason: str) -> None:
        del self._open_shards[plan.brain.name]
        others = [future for future, (other, *_) in self.waiting.items() if other is plan]
        self._client.cancel(others)
        self._finished(plan, Record(plan.brain.name, failure=reason))


def compute_on_worker(request: Request, folder: Path, key: str, shard: Shard) -> float:
    """Compute a shard on a worker, with what dask grants it: a thread and the worker's memory.

    Parameters
    ----------
    request, folder, key, shard
        As for `compute_shard`.

    Returns
    -------
    float
        Time that it took, s.
    """
    from distributed import get_worker

    worker, options = get_worker(), request.options
    limit = worker.memory_manager.memory_limit  # bytes; None if there is none
    if options.memory is None and limit:
        share = limit / 1e9 / worker.state.nthreads
        options = dataclasses.replace(options, memory=share)
    options = dataclasses.replace(options, threads=options.threads or 1)
    return compute_shard(dataclasses.replace(request, options=options), folder, key, shard)


def describe_failure(error: BaseException | None) -> str:
    """Return why a brain failed, on one line."""
    if error is None:
        return "Its worker was lost."
    text = " ".join(str(error).split())
    return text if isinstance(error, CfzooError) else f"{type(error).__name__}: {text:.300}"
