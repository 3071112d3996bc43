"""A cohort on workers of dask: the same files, also if a worker is killed."""

import os
import signal
from types import SimpleNamespace

import pytest

from cfzoo.runtime.errors import EnvironmentProblem
from cfzoo.workflows.cohort import classify_cohort, plan_cohort
from cfzoo.workflows.cohort.spread import count_shards, run_plans

pytestmark = pytest.mark.slow
distributed = pytest.importorskip("distributed", reason="pip install 'cfzoo[dask]'")
POINTS = ("points.xml", "points.csv", "points.yml")


def test_workers_write_the_files_of_one_process(cohort):
    """Also if one is killed at the first result, and a volume is gone."""
    table, pids = cohort / "table.csv", []
    expected = classify_cohort(table, cohort / "here")
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address=None
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        pids += client.run(os.getpid).values()

        def kill(_):
            if len(pids) == 2:
                os.kill(pids.pop(), signal.SIGKILL)

        (cohort / "planes").rename(cohort / "elsewhere")
        (cohort / "planes").symlink_to("elsewhere")

        def lose(plans):
            (cohort / "planes").unlink()

        result = classify_cohort(
            table, cohort / "out", dask=cluster.scheduler_address, planned=lose, progress=kill
        )
    assert len(pids) == 1
    assert [record.name for record in result.failures] == ["planes"]
    for record in expected.records:
        for name in POINTS:
            path = cohort / "out" / record.name / name
            if record.name == "planes":
                assert not path.exists()
            else:
                assert path.read_bytes() == (cohort / "here" / record.name / name).read_bytes()


def test_a_scheduler_that_goes_away_is_one_line(cohort):
    def submit(*_, **__):
        raise RuntimeError("Client is closed.")

    client = SimpleNamespace(
        status="closed", submit=submit, scheduler_info=lambda **_: {"workers": {}}
    )
    plans = plan_cohort(cohort / "table.csv", cohort / "out")
    with pytest.raises(EnvironmentProblem, match=r"went away \(RuntimeError: Client is closed\.\)"):
        run_plans(client, plans, False, print, print)
    client.status = "running"
    with pytest.raises(RuntimeError, match="Client is closed"):  # a fault of ours
        run_plans(client, plans, False, print, print)


@pytest.mark.parametrize(
    ("parts", "workers", "brains", "expected"),
    [
        (245, 1600, 1000, 4),  # all workers have enough to do with whole brains
        (245, 64, 1, 128),  # one brain for all workers
        (245, 2, 50, 4),
        (3, 64, 1, 3),
        (0, 4, 2, 0),
    ],
)
def test_shards_are_few_unless_workers_would_have_nothing_to_do(parts, workers, brains, expected):
    assert count_shards(parts, workers, brains) == expected
