"""What the process of a trial does; see `trial`. It is started afresh and tries one model."""

import faulthandler
import gc
import json
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import CfzooError
from .backends import Settings, first_line, open_backend
from .process_watch import STARVED
from .session import Session
from .trial import EXTREMES

# One Relu from "cubes" to "probability", opset 18. A library that has run it has loaded all its
# parts, so the time and memory of the model are counted without them.
_WARM_UP = bytes.fromhex(
    "080a3a590a1a0a056375626573120b70726f626162696c697479220452656c751201675a180a0563756265731"
    "20f0a0d080112090a031201620a020801621e0a0b70726f626162696c697479120f0a0d080112090a031201620a02"
    "080142040a001012"
)
MIB = 2**20


@dataclass(frozen=True)
class Subject:
    """The model of a trial, as `Session` takes it."""

    source: str
    maps: tuple[str, ...]
    n_features: int
    tolerance: float
    test_cube: np.ndarray
    test_output: np.ndarray
    model: bytes

    def model_with_maps(self, maps: Sequence[str] = ()) -> bytes:
        """Return the model, which has no other outputs than its maps."""
        return self.model


def run_trial() -> None:
    """Read a trial from standard input, try its model, say the outcome and end this process."""
    with os.fdopen(os.dup(1), "wb", buffering=0) as answers:
        # What a library prints must not be taken for an answer.
        silence = os.open(os.devnull, os.O_RDWR)
        os.dup2(silence, 1)
        try:
            _die_with_parent()
            fields, subject = _read_trial()
            os.dup2(silence, 0)
            settings = Settings(
                fields["device"], fields["threads"], fields["streams"], fields["batch_size"]
            )
            answer = _try_subject(fields, subject, settings, answers)
        except CfzooError as error:  # before the library has seen the model
            answer = {"state": "environment", "reason": str(error)}
        _send(answers, answer)
    os._exit(0)


def _try_subject(
    fields: dict[str, Any], subject: Subject, settings: Settings, answers: Any
) -> dict[str, str]:
    """Start the library, then load, run and release the model; return the answer."""
    warm = Settings(settings.device, settings.threads, settings.streams, 1)
    backend = open_backend(fields["backend"], lambda: _WARM_UP, "the library's test", warm)
    backend.run(np.ones((1, 1), np.float32), ["probability"])
    _send(answers, {"state": "ready"})
    try:
        _set_limits(fields["bytes"], fields["memory"], fields["seconds"], settings.threads)
        session = Session(
            subject,
            settings.device,
            settings.threads,
            settings.batch_size,
            subject.maps,
            backend=fields["backend"],
            streams=settings.streams,
            is_own=True,
        )
        session.check(subject)
        _run_extremes(session)
        del session  # a library may find its memory corrupted only when it frees it
        gc.collect()
    except MemoryError:
        return {"state": "failed", "reason": "it takes more memory than its file and cubes allow"}
    except CfzooError as error:
        return {"state": "failed", "reason": str(error)}
    except Exception as error:  # whatever a library raises
        return {"state": "failed", "reason": first_line(error)}
    return {"state": "passed", "reason": ""}


def _run_extremes(session: Session) -> None:
    """Run cubes of extreme values: what a model does must not depend on luck with the data."""
    size = session.batch_size
    cubes = np.empty((-(-len(EXTREMES) // size) * size, *session.cube_shape), np.float32)
    for row in range(len(cubes)):
        cubes[row] = EXTREMES[row % len(EXTREMES)]
    for start in range(0, len(cubes), size):
        session.backend.run(cubes[start : start + size], list(session.shapes))


def _read_trial() -> tuple[dict[str, Any], Subject]:
    """Read the description, the test cube and the model."""
    pipe = sys.stdin.buffer
    fields = json.loads(pipe.readline())
    shape = tuple(fields["shape"])
    cube = np.frombuffer(pipe.read(4 * int(np.prod(shape))), "<f4").reshape(shape)
    model = pipe.read(fields["bytes"])
    if len(model) != fields["bytes"]:
        raise EOFError("the process that asked has ended")
    output = np.array(fields["output"], np.float32).reshape(1, 2)
    names = fields["source"], tuple(fields["maps"]), fields["features"], fields["tolerance"]
    return fields, Subject(*names, cube, output, model)


def _send(answers: Any, answer: dict[str, str]) -> None:
    answers.write(json.dumps(answer).encode() + b"\n")


def _die_with_parent() -> None:
    """Ask Linux to end this process with the thread that waits for it, and to choose it first."""
    if sys.platform == "win32":
        import ctypes

        ctypes.windll.kernel32.SetErrorMode(0x8007)  # no dialogue after a crash
    if sys.platform == "linux":
        import ctypes

        with suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(1, 9)  # PR_SET_PDEATHSIG, SIGKILL
        with suppress(OSError), open("/proc/self/oom_score_adj", "w", encoding="utf-8") as file:  # noqa: PTH123
            file.write("1000")


def _set_limits(n_bytes: int, memory: int, seconds: float, threads: int) -> None:
    """Limit this process by the system, in case nobody watches it."""
    # It ends the process without Python, which a library may block.
    faulthandler.dump_traceback_later(STARVED * seconds + 5, exit=True, file=sys.stderr)
    if sys.platform == "win32":
        return
    import resource

    usage = resource.getrusage(resource.RUSAGE_SELF)
    seconds = (usage.ru_utime + usage.ru_stime) + threads * (seconds + 1)
    limits = {
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_FSIZE: n_bytes + MIB,  # a backend may store the model
        resource.RLIMIT_CPU: int(seconds) + 1,
    }
    if sys.platform == "linux" and not _uses_accelerator():
        # Threads reserve their stacks, and allocators more than they use.
        limits[resource.RLIMIT_DATA] = _data_size() + memory + (64 + 16 * threads) * MIB
    for kind, limit in limits.items():
        _, highest = resource.getrlimit(kind)
        if highest != resource.RLIM_INFINITY:
            limit = min(limit, highest)
        with suppress(OSError, ValueError):
            resource.setrlimit(kind, (limit, limit))


def _uses_accelerator() -> bool:
    """Whether the library of an accelerator is loaded; they reserve more memory than they take."""
    with open("/proc/self/maps", encoding="utf-8") as file:  # noqa: PTH123
        maps = file.read()
    return any(name in maps for name in ("libcuda.so", "libOpenCL.so", "libze_loader.so"))


def _data_size() -> int:
    """Return the bytes of this process's data segment, as the limit of it counts."""
    with open("/proc/self/status", encoding="utf-8") as file:  # noqa: PTH123
        sizes = dict(line.split(":", 1) for line in file)
    return int(sizes["VmData"].split()[0]) * 1024
