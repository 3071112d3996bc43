"""The start and the watch of the process of a trial, and what is said of its end; see `trial`."""

import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from multiprocessing.spawn import get_executable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import cast

from ..errors import ArtifactError, EnvironmentProblem
from .process_watch import ProcessWatch
from .trial import Trial

TICK = 0.02  # seconds between two looks at the process
STARTUP = 120.0  # seconds to import the library, before it sees the model
MAX_LINE = 10_000  # bytes of a message from the process
_PACKAGE = Path(__file__).resolve().parents[2]
# Where programs and libraries are; nothing else, since it could hold a secret.
_VARIABLES = (
    *("PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "DYLD_FALLBACK_LIBRARY_PATH"),
    *("SYSTEMROOT", "WINDIR", "CUDA_PATH", "CUDA_HOME", "CUDA_VISIBLE_DEVICES"),
)
# The package is loaded from its folder, whatever that is called and however it is installed.
_BOOT = """
import importlib.util, json, sys
root, sys.path[:] = json.loads(sys.stdin.buffer.readline())
spec = importlib.util.spec_from_file_location("cfzoo", root + "/__init__.py",
                                              submodule_search_locations=[root])
sys.modules["cfzoo"] = module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
from cfzoo.runtime.session.trial_process import run_trial
run_trial()
"""


def try_model(trial: Trial) -> None:
    """Load, run and release a model in a process of its own.

    Parameters
    ----------
    trial : Trial

    Raises
    ------
    ArtifactError
        The process crashed, exceeded a limit or failed, or the model gives other probabilities
        than its test vector.
    EnvironmentProblem
        The process cannot be started, or the library cannot be used on this computer.
    """
    with TemporaryDirectory(prefix="cfzoo-trial-", ignore_cleanup_errors=True) as folder:
        process = _start(folder)
        try:
            _follow(trial, process)
        finally:  # also after Ctrl-C
            process.kill()
            process.wait()


def _start(folder: str) -> "subprocess.Popen[bytes]":
    """Start the process: a fresh interpreter, with its own temporary folder as its home."""
    executable = get_executable()
    if isinstance(executable, bytes):
        executable = os.fsdecode(executable)
    if not executable or (getattr(sys, "frozen", False) and executable == sys.executable):
        raise EnvironmentProblem(
            "A model from elsewhere is first tried in a Python process of its own, and this "
            "program has no Python to start. Use a model that comes with cfzoo, or plain Python."
        )
    env = {name: os.environ[name] for name in _VARIABLES if name in os.environ}
    env |= dict.fromkeys(("HOME", "TMPDIR", "TEMP", "TMP", "XDG_CACHE_HOME"), folder)
    env["ORT_DISABLE_TELEMETRY"] = "1"
    try:
        return subprocess.Popen(
            [executable, "-I", "-B", "-c", _BOOT],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
            cwd=folder,
            env=env,
            start_new_session=True,  # Ctrl-C reaches this process alone, which then kills that one
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        )
    except OSError as error:
        raise EnvironmentProblem(
            f"A process for the trial of a model cannot be started ({error.strerror})."
        ) from None


def _follow(trial: Trial, process: "subprocess.Popen[bytes]") -> None:
    """Feed the process, watch it, and raise what it says or what became of it."""
    messages: queue.SimpleQueue[dict[str, str] | None] = queue.SimpleQueue()
    for work in (_feed, _listen):
        threading.Thread(
            target=work, args=(process, trial if work is _feed else messages), daemon=True
        ).start()
    watch = ProcessWatch(process.pid)
    deadline = time.monotonic() + STARTUP
    limits, is_ready = trial.limits, False
    while True:
        try:
            message = messages.get(timeout=TICK)
        except queue.Empty:
            if is_ready and (excess := watch.find_excess()):
                raise _refusal(trial, excess) from None
            if not is_ready and time.monotonic() > deadline:
                raise EnvironmentProblem(
                    f"{trial.backend} took more than {STARTUP:.0f} s to start, in the process "
                    "that tries models from elsewhere. Run it again when the computer is less busy."
                ) from None
            continue
        if message is None:
            raise _end_of(trial, process, is_ready)
        state, reason = message.get("state"), str(message.get("reason"))
        if state == "ready" and not is_ready:
            is_ready = True
            watch.start(limits.memory, limits.seconds)
        elif state == "passed" and is_ready:
            return
        elif state == "environment" and not is_ready:
            raise EnvironmentProblem(reason)
        else:
            raise _refusal(trial, reason)


def _feed(process: "subprocess.Popen[bytes]", trial: Trial) -> None:
    """Write the trial to the process, and close its input."""
    assert process.stdin is not None
    with suppress(OSError, ValueError), process.stdin as pipe:  # it may be dead
        paths = [path for path in sys.path if Path(path).is_absolute()]
        for part in (json.dumps((str(_PACKAGE), paths)).encode() + b"\n", *trial.pack()):
            view = memoryview(part)
            while view:
                view = view[pipe.write(view) :]


def _listen(
    process: "subprocess.Popen[bytes]", messages: "queue.SimpleQueue[dict[str, str] | None]"
) -> None:
    """Pass on the messages of the process, and None at its end."""
    assert process.stdout is not None
    with suppress(OSError, ValueError), process.stdout as pipe:
        while line := pipe.readline(MAX_LINE):
            message = json.loads(line)
            if isinstance(message, dict):
                messages.put(cast(dict[str, str], message))
    messages.put(None)


def _end_of(trial: Trial, process: "subprocess.Popen[bytes]", is_ready: bool) -> Exception:
    """Build the error for a process that ended without a verdict."""
    try:
        code = process.wait(timeout=STARTUP / 60)
    except subprocess.TimeoutExpired:  # it closed its output and goes on
        return _refusal(trial, "it fell silent while the model was loaded or run")
    if code < 0:
        with suppress(ValueError):
            code = signal.Signals(-code).name
        how = f"it was ended by {code}"
        if code == "SIGKILL":
            how += ", perhaps because memory ran out"
    else:
        how = f"it ended with code {code if code < 256 else hex(code)}"
    if is_ready:
        return _refusal(trial, f"{how} while the model was loaded or run")
    return EnvironmentProblem(
        f"The process that tries models from elsewhere does not start: {how}. `cfzoo doctor` shows "
        "what is installed."
    )


def _refusal(trial: Trial, reason: str) -> ArtifactError:
    text = "".join(c if c.isprintable() else "?" for c in reason)  # no codes for the terminal
    return ArtifactError(
        f"{trial.source} failed its trial, which a model from elsewhere must pass before it is "
        f"used: {text:.400}"
    )
