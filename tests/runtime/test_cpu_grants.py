"""CPU grants: control groups in imitated trees, schedulers' variables, and this computer's own."""

import os

import pytest

from cfzoo.runtime.cpu_grants import available_threads, list_grants

SECOND = "30 23 0:26 {top} {mount} rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate"
FIRST = "33 25 0:29 {top} {mount} rw - cgroup cgroup rw,cpu,cpuacct"


@pytest.fixture
def tree(tmp_path):
    """Call it with the text of /proc/self/cgroup, mounts and files for a folder to read from."""

    def write(group, mounts=(), **files):
        lines = {"proc/self/cgroup": group, "proc/self/mountinfo": "\n".join(mounts)}
        for name, text in {**lines, **files}.items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(text)
        return tmp_path

    return write


@pytest.fixture
def many_cpus(monkeypatch):
    """A computer of 64 CPUs."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: range(64), raising=False)


def quota_of(root):
    counts = [g.count for g in list_grants(root, {}) if g.source == "the control group's quota"]
    return counts[0] if counts else None


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("200000 100000\n", 2),
        ("150000 100000\n", 2),  # one and a half
        ("1000 100000\n", 1),
        ("50000 50000\n", 1),
        ("350000\n", 4),  # the kernel's own period
        ("max 100000\n", None),
        ("", None),
        ("abc def\n", None),
        ("-1 100000\n", None),
        ("100000 0\n", None),
        ("0 100000\n", None),
        ("9" * 30, None),
    ],
)
@pytest.mark.usefixtures("many_cpus")
def test_quotas_of_version_2(tree, text, count):
    mounts = [SECOND.format(top="/", mount="/sys/fs/cgroup")]
    root = tree("0::/\n", mounts, **{"sys/fs/cgroup/cpu.max": text})
    assert quota_of(root) == count
    assert list_grants(root, {})[0].count == (count or 64)


@pytest.mark.parametrize(
    ("quota", "period", "count"),
    [("250000", "100000", 3), ("-1", "100000", None), ("100", "100000", 1), ("x", "", None)],
)
@pytest.mark.parametrize("has_mountinfo", [True, False])
@pytest.mark.usefixtures("many_cpus")
def test_quotas_of_version_1(tree, quota, period, count, has_mountinfo):
    mounts = [FIRST.format(top="/", mount="/sys/fs/cgroup/cpu,cpuacct")] if has_mountinfo else []
    folder = "sys/fs/cgroup/cpu,cpuacct/user/job"
    files = {f"{folder}/cpu.cfs_quota_us": quota, f"{folder}/cpu.cfs_period_us": period}
    assert quota_of(tree("7:cpu,cpuacct:/user/job\n3:cpuset:/\n", mounts, **files)) == count


@pytest.mark.usefixtures("many_cpus")
def test_the_smallest_quota_of_nested_groups_counts(tree):
    folder = "sys/fs/cgroup/slurm/job_7/step_0"
    files = {
        f"{folder}/cpu.max": "max 100000",
        f"{folder}/task/cpu.max": "800000 100000",
        "sys/fs/cgroup/slurm/job_7/cpu.max": "300000 100000",
        "sys/fs/cgroup/slurm/cpu.max": "1600000 100000",
    }
    assert quota_of(tree("0::/slurm/job_7/step_0/task\n", **files)) == 3


@pytest.mark.parametrize(
    ("group", "top"),
    [
        ("/docker/0123abc", "/"),  # the host's name, while only the container's part is mounted
        ("/docker/0123abc", "/docker/0123abc"),
        ("/", "/"),  # a namespace of control groups
        ("/../../system", "/"),
    ],
)
@pytest.mark.usefixtures("many_cpus")
def test_the_quota_of_a_container(tree, group, top):
    mounts = [SECOND.format(top=top, mount="/sys/fs/cgroup")]
    root = tree(f"0::{group}\n", mounts, **{"sys/fs/cgroup/cpu.max": "250000 100000"})
    assert quota_of(root) == 3


@pytest.mark.usefixtures("many_cpus")
def test_a_mount_elsewhere_is_read_too(tree):
    mounts = ["nonsense", SECOND.format(top="/", mount="/sys/fs/cgroup/my\\040groups")]
    files = {"sys/fs/cgroup/my groups/a/cpu.max": "100000 100000"}
    assert quota_of(tree("1:name=systemd:/a\n0::/a\n", mounts, **files)) == 1


@pytest.mark.usefixtures("many_cpus")
def test_without_control_groups_the_affinity_counts(tmp_path):
    (grant,) = list_grants(tmp_path, {})
    assert (grant.count, grant.source) == (64, "the affinity mask")


@pytest.mark.parametrize(
    ("variables", "count", "source"),
    [
        ({"SLURM_CPUS_PER_TASK": "4"}, 4, "SLURM"),
        ({"SLURM_CPUS_PER_TASK": "8", "SLURM_CPUS_ON_NODE": "4"}, 8, "SLURM"),
        ({"SLURM_CPUS_ON_NODE": "6"}, 6, "SLURM"),
        ({"NSLOTS": "5"}, 5, "SGE"),
        ({"NCPUS": "3"}, 3, "PBS"),
        ({"PBS_NUM_PPN": "7"}, 7, "PBS"),
        ({"PBS_NP": "9"}, 9, "PBS"),
        ({"PBS_NP": "32", "PBS_NUM_PPN": "16", "NCPUS": "12"}, 12, "PBS"),
        ({"LSB_DJOB_NUMPROC": "2"}, 2, "LSF"),
        ({"NSLOTS": "9", "LSB_DJOB_NUMPROC": "2"}, 2, "LSF"),
        *(({"NSLOTS": text}, 64, "the affinity mask") for text in ("0", "-3", "x", "2.5", "", "²")),
        ({"NSLOTS": "1000"}, 64, "the affinity mask"),
    ],
)
@pytest.mark.usefixtures("many_cpus")
def test_grants_of_schedulers(tmp_path, variables, count, source):
    grant = list_grants(tmp_path, variables)[0]
    assert (grant.count, grant.source) == (count, source)


def test_this_computer(monkeypatch):
    assert 1 <= available_threads() <= os.cpu_count()
    monkeypatch.setenv("NSLOTS", "1")
    assert available_threads() == 1
