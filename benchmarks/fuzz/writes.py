"""Let each write of one `cfzoo classify` fail in turn, and give the same command again.

    python benchmarks/fuzz/writes.py --executions 1000 --seed 0

The Nth call that opens, writes, syncs, renames, removes or closes a file of the output folder or
the log fails with ENOSPC, EIO and EDQUOT, for every N; once into a new folder and once, with
--overwrite, over older results. After it, the visible results must be all old, all new or none, and
the exit code 2 or 4 (or 0 with all new); the same command must then give the results of an
undisturbed run. Prints one line of JSON. If there are more cases than executions, some are drawn.
"""

import argparse
import contextlib
import errno
import io
import json
import random
import re
import runpy
import shutil
import sys
import tempfile
import time
from pathlib import Path

from cfzoo.cli import main as cfzoo

FailingDisk = runpy.run_path(str(Path(__file__).parents[2] / "tests/failing_calls.py"))[
    "FailingDisk"
]
ERRORS = ("ENOSPC", "EIO", "EDQUOT")
NAMES = ("points.csv", "points.xml", "points.yml", "run.json")


def run(*words: object) -> tuple[int, str]:
    """Run a verb in this process; return its exit code and standard error."""
    with (
        contextlib.redirect_stderr(io.StringIO()) as err,
        contextlib.redirect_stdout(io.StringIO()),
    ):
        try:
            cfzoo([str(word) for word in words])
        except SystemExit as end:
            return int(end.code or 0), err.getvalue()
        except BaseException as error:
            return 1, f"Traceback: {error!r}"
    raise AssertionError


def read_results(out: Path) -> dict[str, object]:
    """Read the visible files of a folder; of run.json without what differs between runs."""
    results: dict[str, object] = {}
    for path in out.iterdir() if out.is_dir() else ():
        if path.name[0] != ".":
            results[path.name] = path.read_bytes()
    if "run.json" in results:
        record = json.loads(results["run.json"])
        results["run.json"] = {
            k: record[k] for k in record if k not in ("started", "seconds", "memory")
        }
    return results


class Case:
    """One command, the results before it and those after it."""

    def __init__(self, work: Path, has_old: bool):
        self.out, self.log = work / "out", work / "out.log"
        words = ["classify", work / "s" / "signal.tif", work / "few.csv"]
        words += ["--model", "pipnet3d", "-q", "-o", self.out]
        self.old_words = [*words, "--threshold", 0.9] if has_old else None
        self.words = [*words, "--log", self.log, *(["--overwrite"] if has_old else [])]
        self.prepare()
        self.old = read_results(self.out)
        with FailingDisk(self.out, 1 << 30, 0) as disk:
            assert run(*self.words)[0] == 0
        self.calls = len(disk.calls)
        self.new = read_results(self.out)
        assert set(self.new) == set(NAMES)
        self.store = work / f"old-{has_old}"
        if has_old:
            self.prepare()
            shutil.copytree(self.out, self.store)

    def prepare(self) -> None:
        """Restore what was there before the command."""
        shutil.rmtree(self.out, ignore_errors=True)
        self.log.unlink(missing_ok=True)
        store = getattr(self, "store", None)
        if store and store.is_dir():
            shutil.copytree(store, self.out)
        elif self.old_words:
            assert run(*self.old_words)[0] == 0

    def fail(self, number: int, error: str) -> list[str]:
        """Let one call fail; return what is wrong."""
        self.prepare()
        with FailingDisk(self.out, number, getattr(errno, error)) as disk:
            code, text = run(*self.words)
        results, faults = read_results(self.out), []
        if code not in (0, 2, 4) or "Traceback" in text or text.count("\n") > 1:
            faults.append(f"exit code {code}: {text}")
        if results not in (self.old, self.new) or (code == 0 and results != self.new):
            faults.append(f"exit code {code} with {sorted(results)}")
        if code:
            again, text = run(*self.words)
            if again or read_results(self.out) != self.new:
                faults.append(f"again: exit code {again}: {text}")
            hidden = [path.name for path in self.out.iterdir() if path.name[0] == "."]
            if hidden:
                faults.append(f"again: left {hidden}")
        return [f"{disk.calls[number]}, {error}: {fault}" for fault in faults]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--executions", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    begin, faults = time.monotonic(), []
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        assert run("sample", work / "s")[0] == 0
        rows = (work / "s" / "candidates.xml").read_text(encoding="utf-8").split("<MarkerX>")[1:41]
        points = [",".join(re.findall(r"\d+", row)[:3]) for row in rows]
        (work / "few.csv").write_text("\n".join(["x,y,z", *points]) + "\n", encoding="utf-8")
        cases = [Case(work, has_old) for has_old in (False, True)]
        todo = [(c, n, e) for c in cases for n in range(c.calls) for e in ERRORS]
        if len(todo) > arguments.executions:
            todo = random.Random(arguments.seed).sample(todo, arguments.executions)
        for case, number, error in todo:
            faults += case.fail(number, error)
    report = {
        "calls_of_a_run": [case.calls for case in cases],
        "executions": len(todo),
        "tracebacks": sum("Traceback" in fault for fault in faults),
        "faults": faults,
        "seconds": round(time.monotonic() - begin),
    }
    print(json.dumps(report))
    sys.exit(bool(faults))


if __name__ == "__main__":
    main()
