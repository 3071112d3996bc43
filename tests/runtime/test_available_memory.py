import os
import subprocess
import sys

import pytest

from cfzoo.runtime.available_memory import Limit, find_limit, resident_memory

GB = 2**30


def write(root, **files):
    """Write files whose names have ``__`` for slashes."""
    for name, text in files.items():
        path = root / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(str(text))


@pytest.fixture
def computer(tmp_path):
    """Return the folder of a computer with 16 GB available, whose process has 1 of 2 GB."""
    write(
        tmp_path,
        proc__meminfo=f"MemTotal: {2 * 16 * 2**20} kB\nMemAvailable: {16 * 2**20} kB\n",
        proc__self__statm=f"{2 * GB // os.sysconf('SC_PAGE_SIZE')} "
        f"{GB // os.sysconf('SC_PAGE_SIZE')} 0 0 0 0 0",
    )
    return tmp_path


def limit_of(root, environment=(), address_space=None):
    return find_limit(root, dict(environment), address_space)


def test_the_computer_limits_where_nothing_else_does(computer):
    assert limit_of(computer) == Limit(16 * GB, "this computer")


@pytest.mark.parametrize("place", ["", "/job", "/job/step"])
def test_each_cgroup_above_the_process_limits_it(computer, place):
    write(computer, proc__self__cgroup="0::/job/step\n")
    for folder in ("", "/job", "/job/step"):
        write(computer, **{f"sys/fs/cgroup{folder}/memory.max": "max"})
    folder = f"sys/fs/cgroup{place}"
    stat = f"anon 5\ninactive_file {GB}\nactive_file 7\n"
    write(
        computer,
        **{
            f"{folder}/memory.max": 4 * GB,
            f"{folder}/memory.current": 3 * GB,
            f"{folder}/memory.stat": stat,
        },
    )
    assert limit_of(computer) == Limit(2 * GB, f"the cgroup {place[1:] or '/'}")


def test_a_cgroup_of_version_1(computer):
    write(
        computer,
        proc__self__cgroup="5:cpu:/a\n4:cpuacct,memory:/a/b\n0::/\n",
    )
    write(
        computer,
        **{
            "sys/fs/cgroup/memory/memory.limit_in_bytes": 9223372036854771712,
            "sys/fs/cgroup/memory/a/memory.limit_in_bytes": 3 * GB,
            "sys/fs/cgroup/memory/a/memory.usage_in_bytes": 2 * GB,
            "sys/fs/cgroup/memory/a/memory.stat": f"total_inactive_file {GB}\ninactive_file 1\n",
            "sys/fs/cgroup/memory/a/b/memory.limit_in_bytes": 9223372036854771712,
        },
    )
    assert limit_of(computer) == Limit(2 * GB, "the cgroup a")


def test_memory_high_slows_a_process_down_and_counts(computer):
    write(computer, proc__self__cgroup="0::/\n")
    write(computer, **{"sys/fs/cgroup/memory.max": 8 * GB, "sys/fs/cgroup/memory.high": GB})
    assert limit_of(computer).available == GB


@pytest.mark.parametrize(
    ("environment", "grant"),
    [
        ({"SLURM_MEM_PER_NODE": "4096"}, 4),
        ({"SLURM_MEM_PER_CPU": "2048", "SLURM_CPUS_ON_NODE": "3"}, 6),
        ({"SLURM_MEM_PER_CPU": "2048", "SLURM_CPUS_PER_TASK": "2"}, 4),
    ],
)
def test_slurm_grants_memory_of_which_the_process_has_some(computer, environment, grant):
    assert limit_of(computer, environment) == Limit((grant - 1) * GB, "SLURM")


@pytest.mark.parametrize(
    "environment", [{"SLURM_MEM_PER_NODE": "0"}, {"SLURM_MEM_PER_CPU": "5"}, {"SLURM": "x"}]
)
def test_no_grant_is_no_limit(computer, environment):
    assert limit_of(computer, environment).source == "this computer"


def test_the_address_space_counts_from_what_is_mapped(computer):
    assert limit_of(computer, address_space=5 * GB) == Limit(3 * GB, "ulimit -v")


def test_a_system_without_proc_states_its_memory_or_nothing(tmp_path):
    limit = limit_of(tmp_path)
    assert limit is None or limit.available > 0
    assert resident_memory(tmp_path) == 0


@pytest.mark.skipif(sys.platform != "linux", reason="limits and proc are Linux's")
def test_a_real_limit_is_heard():
    code = (
        "import resource; resource.setrlimit(resource.RLIMIT_AS, (2**31, 2**31));"
        "from cfzoo.runtime.available_memory import find_limit; print(*find_limit(), sep=',')"
    )
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout
    available, source = output.strip().split(",")
    assert source == "ulimit -v" and 0 < int(available) < 2**31
    assert resident_memory() > 2**20
