"""A batch system for the workers of dask, described in a YAML file for dask-jobqueue."""

import os
import shlex
import shutil
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from ...runtime.errors import EnvironmentProblem, InputError

INSTALL = "pip install 'cfzoo[jobqueue]'"
SUBMISSION_SECONDS = 60  # within which the batch system must accept a job, not start it
EXAMPLE = "{cluster: SLURMCluster, jobs: 20, options: {cores: 1, memory: 4GB}}"


@dataclass(frozen=True)
class ClusterFile:
    """Jobs of a batch system, each with workers of dask.

    Attributes
    ----------
    cluster : str
        Name of a class of dask-jobqueue, such as ``SLURMCluster``.
    jobs : int
        How many to keep: a job that ends early is submitted again.
    options : dict
        Keyword arguments of that class.
    """

    cluster: str
    jobs: int
    options: dict[str, Any] = field(default_factory=dict[str, Any])

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> "ClusterFile":
        """Read a file with the keys ``cluster``, ``jobs`` and perhaps ``options``.

        Raises
        ------
        InputError
            It cannot be read, or holds something else.
        EnvironmentProblem
            dask is missing.
        """
        try:
            import yaml
        except ImportError as error:
            raise EnvironmentProblem(f"{error}: {INSTALL}.") from None
        try:
            content: Any = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise InputError(f"{path} cannot be read ({' '.join(str(error).split())}).") from None
        rows = cast(dict[Any, Any], content if type(content) is dict else {})
        options: Any = rows.get("options", {})
        is_right = {"cluster", "jobs"} <= rows.keys() <= {"cluster", "jobs", "options"}
        if not (
            is_right
            and type(rows["cluster"]) is str
            and type(rows["jobs"]) is int
            and rows["jobs"] > 0
            and type(options) is dict
        ):
            raise InputError(f"{path} holds {content!r:.200}; expected such as {EXAMPLE}.")
        return cls(rows["cluster"], rows["jobs"], cast(dict[str, Any], options))

    @contextmanager
    def start(self) -> Generator[Any]:
        """Start a scheduler here, submit the jobs, and end them at the end.

        Yields
        ------
        dask_jobqueue.JobQueueCluster

        Raises
        ------
        InputError
            There is no such class, or it does not take the options.
        EnvironmentProblem
            dask-jobqueue or the batch system is missing.
        """
        try:
            import dask_jobqueue
        except ImportError as error:
            raise EnvironmentProblem(f"{error}: {INSTALL}.") from None
        kinds = {
            name: kind
            for name, kind in vars(dask_jobqueue).items()
            if isinstance(kind, type) and issubclass(kind, dask_jobqueue.JobQueueCluster)
        }
        del kinds["JobQueueCluster"]
        if self.cluster not in kinds:
            raise InputError(
                f"There is no cluster {self.cluster!r:.60} in dask-jobqueue; expected one of "
                f"{', '.join(sorted(kinds))}."
            )
        kind: Any = kinds[self.cluster]
        command = shlex.split(kind.job_cls.submit_command)[0]
        if shutil.which(command) is None:
            raise EnvironmentProblem(
                f"{self.cluster} submits jobs with {command!r}, which is not on this computer's "
                "path. Start cfzoo where jobs are submitted."
            )
        try:
            cluster = kind(**self.options)
        except (TypeError, ValueError) as error:
            raise InputError(
                f"{self.cluster} does not take {self.options!r:.200} ({error}). Its options are in "
                "the documentation of dask-jobqueue."
            ) from None
        try:
            # Unlike `scale`, this submits a job again that the batch system has killed.
            cluster.adapt(minimum_jobs=self.jobs, maximum_jobs=self.jobs)
            self._wait_for_a_job(cluster, command)
        except EnvironmentProblem:
            with suppress(Exception):  # dask cannot always close a job that was never submitted
                cluster.close()
            raise
        with cluster:
            yield cluster

    def _wait_for_a_job(self, cluster: Any, command: str) -> None:
        """Wait until a job was submitted: dask only logs it if none can be."""
        end = time.monotonic() + SUBMISSION_SECONDS
        while not any(job.job_id for job in cluster.workers.values()):
            if time.monotonic() > end:
                raise EnvironmentProblem(
                    f"{command!r} has accepted no job of {self.cluster} in {SUBMISSION_SECONDS} s. "
                    f"Check the options {self.options!r:.200}; the messages of dask above say why."
                )
            time.sleep(0.2)
