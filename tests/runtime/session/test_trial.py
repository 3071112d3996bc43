"""The trial of a model: whatever the model does, this process goes on and says what it was."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cfzoo.runtime.errors import ArtifactError, EnvironmentProblem
from cfzoo.runtime.session import trial_supervisor as trials
from cfzoo.runtime.session.trial import Limits
from cfzoo.runtime.session.trial_supervisor import try_model

BACKENDS = ("onnxruntime", "openvino")


@pytest.mark.parametrize("backend", ["auto", *BACKENDS])
@pytest.mark.parametrize("batch_size", [1, 4, 9])
def test_a_good_model_passes(make_trial, good, backend, batch_size):
    try_model(make_trial(good, backend, threads=2, streams=2, batch_size=batch_size))


@pytest.mark.parametrize(
    ("name", "backend", "reason"),
    [
        ("a missing input", "onnxruntime", "ended by SIGSEGV while the model was loaded or run"),
        ("a missing input", "openvino", "cannot load"),
        ("negative pads", "openvino", "ended by SIG"),
        ("constant memory", "onnxruntime", "memory|cannot load"),
        ("constant memory", "openvino", "memory|cannot load"),
        ("work", "onnxruntime", "took more than .* s"),
        ("work", "openvino", "took more than .* s|memory"),
        ("another rank", "onnxruntime", "cannot load"),
        ("nonsense", "onnxruntime", "cannot load"),
        ("nonsense", "openvino", "cannot load"),
    ],
)
def test_a_hostile_model_is_refused_and_this_process_goes_on(
    make_trial, hostile, name, backend, reason
):
    with pytest.raises(ArtifactError, match=f"model.onnx failed its trial.*: .*({reason})") as info:
        try_model(make_trial(hostile[name], backend))
    assert str(info.value).isprintable()  # and so in one line


@pytest.mark.parametrize("backend", BACKENDS)
def test_other_probabilities_than_those_of_the_test_vector_are_refused(make_trial, good, backend):
    with pytest.raises(ArtifactError, match=r"0\.2 away from its own test vector"):
        try_model(make_trial(good, backend, output=(0.3, 0.7)))


READY = """
import sys, os, time, signal
say = lambda line: (sys.stdout.write(line + "\\n"), sys.stdout.flush())
say('{"state": "ready"}')
"""


@pytest.mark.parametrize(
    ("code", "error", "reason"),
    [
        (READY + "os.kill(os.getpid(), 9)", ArtifactError, "SIGKILL, perhaps because memory"),
        (READY + "os.kill(os.getpid(), 11)", ArtifactError, "ended by SIGSEGV"),
        (READY + "sys.exit(7)", ArtifactError, "ended with code 7"),
        (READY + "sys.exit(0)", ArtifactError, "ended with code 0"),
        (READY + "say('nonsense'); time.sleep(60)", ArtifactError, "fell silent"),
        (READY + "os.close(1); time.sleep(60)", ArtifactError, "fell silent"),
        (READY + "while True: say('1')", ArtifactError, "took more than"),
        (READY + "while True: sys.stdout.write('x')", ArtifactError, "silent|took more|ended"),
        (READY + "time.sleep(60)", ArtifactError, "took more than 0.8 s"),
        (READY + "x = bytearray(10**9); time.sleep(60)", ArtifactError, "MB of memory, more than"),
        (
            READY + r"""say('{"state": "failed", "reason": "\\u001b[2J"}')""",
            ArtifactError,
            r"\?\[2J",
        ),
        (READY + """say('{"state": "environment", "reason": "x"}')""", ArtifactError, ": x"),
        ("""print('{"state": "passed"}')""", ArtifactError, "failed its trial"),
        (
            """print('{"state": "environment", "reason": "No GPU."}')""",
            EnvironmentProblem,
            "No GPU",
        ),
        ("import nothing_of_this_name", EnvironmentProblem, "does not start: it ended with code 1"),
        ("import time; time.sleep(60)", EnvironmentProblem, "more than 2 s to start"),
    ],
)
def test_whatever_the_process_does_is_told(make_trial, good, monkeypatch, code, error, reason):
    monkeypatch.setattr(trials, "_BOOT", code)
    if "to start" in reason:
        monkeypatch.setattr(trials, "STARTUP", 2)
    start = time.monotonic()
    with pytest.raises(error, match=reason):
        try_model(make_trial(good))
    assert time.monotonic() - start < 45  # on a busy computer; the process would last for 60 s


def test_the_process_gets_no_secrets_and_no_folder_of_the_user(make_trial, good, monkeypatch):
    monkeypatch.setenv("SECRET_TOKEN", "x")
    code = READY + 'say(\'{"state": "failed", "reason": "\' + \' \'.join(os.environ) + \'"}\')'
    monkeypatch.setattr(trials, "_BOOT", code)
    with pytest.raises(ArtifactError) as info:
        try_model(make_trial(good))
    names = str(info.value).partition("used: ")[2].split()
    assert (
        {"PATH", "HOME", "TMPDIR"}
        <= set(names)
        <= {
            *trials._VARIABLES,
            *(
                "HOME",
                "TMPDIR",
                "TEMP",
                "TMP",
                "XDG_CACHE_HOME",
                "ORT_DISABLE_TELEMETRY",
                "LC_CTYPE",
            ),
        }
    )


def test_a_program_without_python_says_so(make_trial, good, monkeypatch):
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    with pytest.raises(EnvironmentProblem, match="no Python to start"):
        try_model(make_trial(good))


def test_no_module_of_the_working_folder_is_imported(make_trial, good, monkeypatch, tmp_path):
    for name in ("numpy", "json", "onnxruntime"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit(9)")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend("")
    try_model(make_trial(good))


WAITING = """
import sys
from cfzoo.runtime.session import Settings, trial_supervisor as trials
from cfzoo.runtime.session.trial import Trial
import numpy as np
trials._BOOT = '''
import os, time, sys
sys.path[:] = {path!r}
from cfzoo.runtime.session.trial_process import _die_with_parent
_die_with_parent()
open({pid!r}, "w").write(str(os.getpid()) + " ")
time.sleep(300)
'''
zeros = np.zeros((1, 1, 2, 3, 4), np.float32)
settings = Settings("cpu", 1, 1, 1)
trials.try_model(Trial("m", b"x" * 10**7, zeros, zeros, (), "auto", settings))
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_the_process_ends_with_the_one_that_waits_for_it(tmp_path, number):
    pid_file = tmp_path / "pid"
    paths = [p for p in sys.path if p]
    parent = subprocess.Popen(
        [sys.executable, "-c", WAITING.format(path=paths, pid=str(pid_file))],
        stderr=subprocess.DEVNULL,
    )
    try:
        _wait_for(lambda: pid_file.exists() and pid_file.read_text().endswith(" "))
        child = int(pid_file.read_text())
        assert _is_alive(child)
        parent.send_signal(number)
        parent.wait(20)
        _wait_for(lambda: not _is_alive(child))
    finally:
        parent.kill()
        parent.wait()


def _wait_for(condition):
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def _is_alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] not in "ZX"
    except OSError:
        return False


def test_neither_processes_nor_files_remain(make_trial, hostile, good, monkeypatch, tmp_path):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    before = len(list(Path("/proc/self/fd").iterdir()))
    try_model(make_trial(good))
    for _ in range(2):
        with pytest.raises(ArtifactError):
            try_model(make_trial(hostile["a missing input"]))
    _wait_for(lambda: len(list(Path("/proc/self/fd").iterdir())) == before)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


def test_limits_grow_with_the_file_and_never_shrink():
    sizes = [10**3, 10**5, 10**6, 10**7, 2 * 10**8]
    for batch_size in (1, 64):
        limits = [Limits.of(size, 2048, batch_size, 2) for size in sizes]
        assert sorted(limits, key=lambda limit: (limit.memory, limit.seconds)) == limits
    small, resnet = Limits.of(2000, 64, 64, 2), Limits.of(185 * 10**6, 100_000, 8, 2)
    assert small.memory < 140e6 and small.seconds < 0.9
    assert resnet.memory > 1.2e9 and resnet.seconds > 20
