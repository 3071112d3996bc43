"""Give hostile models with a valid digest to cfzoo, and see who refuses them.

``python benchmarks/fuzz/hostile_models.py --backend openvino`` reads each model of
`hostile_families` in a process of its own and opens sessions as ``cfzoo classify`` does. With
``--no-guard`` the models skip the guard, so that the trial stands alone. ``--every 10`` takes one
in ten. It prints one line of JSON: by family, how many were refused by whom; the exit codes; the
largest memory of that process and of its children, and the longest times. The time of work is
that of the processor, for both processes.

A model that loads, gives the right answer and needs little is strange but harmless, and counted so.
"""

import argparse
import contextlib
import dataclasses
import json
import os
import random
import resource
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

os.environ["CFZOO_CACHE"] = tempfile.mkdtemp(prefix="cfzoo-hostile-")
sys.path.insert(0, str(Path(__file__).parent))
import numpy as np
from hostile_families import CARD, SHAPE, list_models, network

from cfzoo.runtime.artifact import Ensemble, read_artifact, verify
from cfzoo.runtime.errors import ArtifactError, CfzooError
from cfzoo.runtime.options import Options
from cfzoo.runtime.session import open_sessions


def open_model(path: Path, backend: str, has_guard: bool) -> tuple[str, str, int]:
    """Open a model as the runtime does; return who refused it, why, and the exit code."""
    refuser = "refused by the guard"
    try:
        if has_guard:
            artifact = read_artifact(path)
        else:
            good = verify(network(("Relu", ["cubes"], "last", {})))
            card = dataclasses.replace(CARD, digest=path.stem)
            artifact = dataclasses.replace(good, source=path.name, card=card, load=path.read_bytes)
        refuser = "refused by the trial"
        options = Options(device="cpu", backend=backend, threads=2)
        (session,) = open_sessions(Ensemble.of([artifact]), options)
        session.run(np.zeros((1, *SHAPE), np.float32))
    except ArtifactError as error:
        return refuser, str(error), error.exit_code
    except CfzooError as error:
        return "another error", str(error), error.exit_code
    return "harmless", "", 0


def measure(path: Path, backend: str, has_guard: bool) -> dict:
    """Open a model in a forked process; return its outcome, memory (MB) and time (s)."""
    reader, writer = os.pipe()
    start = time.monotonic()
    pid = os.fork()
    if pid == 0:  # no library is loaded and no thread runs yet
        code = 1
        with contextlib.suppress(BaseException):
            outcome, reason, code = open_model(path, backend, has_guard)
            kinds = {"main": resource.RUSAGE_SELF, "child": resource.RUSAGE_CHILDREN}
            sizes = {
                name: resource.getrusage(kind).ru_maxrss / 1024 for name, kind in kinds.items()
            }
            fields = {"outcome": outcome, "reason": reason, **sizes}
            os.write(writer, json.dumps(fields).encode()[:60_000])
        os._exit(code)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        raw = pipe.read()
    _, status, usage = os.wait4(pid, 0)
    fields = {"outcome": "CRASH", "reason": "", "main": usage.ru_maxrss / 1024, "child": 0}
    return {
        **(json.loads(raw) if raw else fields),
        "code": os.waitstatus_to_exitcode(status),
        "wall": time.monotonic() - start,
        "work": usage.ru_utime + usage.ru_stime,
    }


def run(backend: str, has_guard: bool, every: int, log: Path | None) -> dict:
    """Open all models; return the counts and the largest figures."""
    families: dict[str, Counter[str]] = {}
    rows = []
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        models = list(list_models())
        random.Random(0).shuffle(models)
        for number, (family, name, model) in enumerate(models[::every]):
            path = Path(folder, f"{number}.onnx")
            path.write_bytes(model)
            row = {"family": family, "name": name, **measure(path, backend, has_guard)}
            path.unlink()
            rows.append(row)
            families.setdefault(family, Counter())[row["outcome"]] += 1
            if log:
                with log.open("a", encoding="utf-8") as file:
                    file.write(json.dumps({"backend": backend, "guard": has_guard, **row}) + "\n")
    hostile = [row for row in rows if row["outcome"] != "harmless"]
    return {
        "backend": backend,
        "guard": has_guard,
        "models": len(rows),
        "harmless": len(rows) - len(hostile),
        "families": families,
        "exit codes": dict(Counter(row["code"] for row in hostile)),
        "largest MB": {k: round(max(row[k] for row in hostile)) for k in ("main", "child")},
        "longest s": {k: round(max(row[k] for row in hostile), 2) for k in ("wall", "work")},
        "over 2 s": sum(row["wall"] > 2 for row in hostile),
        "seconds": round(time.monotonic() - start),
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--backend", choices=("onnxruntime", "openvino"), default="onnxruntime")
    parser.add_argument("--no-guard", action="store_true")
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--log", type=Path)
    arguments = parser.parse_args()
    print(
        json.dumps(run(arguments.backend, not arguments.no_guard, arguments.every, arguments.log))
    )
