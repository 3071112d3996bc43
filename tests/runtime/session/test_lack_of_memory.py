"""A library that fails for lack of memory: the message says so, in whatever words it failed."""

import subprocess
import sys

import numpy as np
import pytest

from cfzoo.runtime.available_memory import Limit
from cfzoo.runtime.errors import EnvironmentProblem
from cfzoo.runtime.session import Session
from cfzoo.runtime.session.backends import failure

# What both libraries were seen to say below `ulimit -v`, and their kin.
WORDS = [
    "std::bad_alloc",
    "can't alloc",
    "Check 'ptr' failed at src/plugins/intel_cpu/src/cpu_memory.cpp:257:",
    "Failed to allocate memory for requested buffer of size 1073741824",
    "CUDA failure 2: out of memory",
    "Resource temporarily unavailable",
]


@pytest.mark.parametrize("words", WORDS)
def test_the_words_of_a_library_are_understood(words, monkeypatch):
    monkeypatch.setattr(failure, "find_limit", lambda: None)
    assert "Memory has probably run out" in failure.describe_memory(RuntimeError(words))


def test_any_failure_counts_where_little_memory_is_left(monkeypatch):
    error = RuntimeError("Failed to create plugin for device CPU")
    for left, is_short in ((100e6, True), (5e9, False)):
        monkeypatch.setattr(failure, "find_limit", lambda left=left: Limit(int(left), "ulimit -v"))
        text = failure.describe_memory(error)
        assert ("(ulimit -v allows 100 MB)" in text) == is_short == bool(text)


@pytest.mark.parametrize("words", ["nonsense", "std::bad_alloc"])
def test_a_failing_batch_says_what_to_do(make_artifact, monkeypatch, words):
    from cfzoo.runtime.artifact import read_artifact

    def fail(*_):
        raise RuntimeError(words)

    session = Session(read_artifact(make_artifact()), "cpu", batch_size=4, is_own=True)
    monkeypatch.setattr(failure, "find_limit", lambda: None)
    monkeypatch.setattr(session.backend, "run", fail)
    expected = "If memory ran out" if words == "nonsense" else "Memory has probably run out"
    with pytest.raises(EnvironmentProblem, match=rf"\({words}\)\. {expected}.*--batch-size"):
        session.run(np.zeros((1, *session.cube_shape), np.float32))


@pytest.mark.skipif(sys.platform != "linux", reason="limits of the address space are Linux's")
@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
def test_a_network_that_does_not_fit_is_put_down_to_memory(backend):
    """The limit is set when the library is loaded; then some fail to load, and some to run."""
    script = (
        "import resource, sys\n"
        "from cfzoo.runtime.artifact import read_artifact\n"
        "from cfzoo.runtime.available_memory import _read_pages\n"
        "from cfzoo.runtime.errors import EnvironmentProblem\n"
        "from cfzoo.runtime.session import Session\n"
        "from pathlib import Path\n"
        "import numpy as np\n"
        "artifact = read_artifact('attention3d')\n"
        "options = {'backend': sys.argv[1], 'threads': 1, 'is_own': True}\n"
        "Session(artifact, 'cpu', batch_size=1, **options)\n"
        "cubes = np.zeros((4096, *artifact.test_cube.shape[1:]), np.float32)\n"
        "limit = _read_pages(Path('/'), 0) + 20 * 2**20\n"
        "resource.setrlimit(resource.RLIMIT_AS, (limit, limit))\n"
        "try:\n"
        "    session = Session(artifact, 'cpu', batch_size=4096, **options)\n"
        "    session.run(cubes)\n"
        "except EnvironmentProblem as error:\n"
        "    print(error)\n"
    )
    command = [sys.executable, "-c", script, backend]
    run = subprocess.run(command, capture_output=True, text=True)
    assert "Memory has probably run out (ulimit -v allows" in run.stdout, run.stdout + run.stderr
    assert run.stdout.count("\n") == 1
