"""Kill `cfzoo classify` (SIGKILL) at random moments, and give the same command again.

    python benchmarks/fuzz/kills.py --executions 500 --seed 0

Every run is a process of its own. Half of the moments are uniform over the run; the others lie in
the phase of writing, which the folder that holds the unpublished files shows. After a kill, each
visible result must be whole; after the same command, the folder must hold the results that an
undisturbed run gives, byte for byte, and nothing else. Prints one
line of JSON, also after Ctrl-C.
"""

import argparse
import contextlib
import json
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

NAMES = ("points.csv", "points.xml", "points.yml", "run.json")
TIMES = ("started", "seconds", "memory")  # of run.json: the only fields that may differ


def start(work: Path, out: Path) -> subprocess.Popen:
    """Start the command."""
    words = ["classify", "s/signal.tif", "s/candidates.xml", "--model", "pipnet3d", "-q", "-o", out]
    code = "from cfzoo.cli import main; main()"
    command = [sys.executable, "-c", code, *map(str, words)]
    return subprocess.Popen(command, cwd=work, stderr=subprocess.PIPE, encoding="utf-8")


def read_results(out: Path) -> dict[str, object]:
    """Read all files of a folder; of run.json without its times."""
    results: dict[str, object] = {}
    for path in out.iterdir():
        results[path.name] = path.read_bytes() if path.is_file() else "a folder"
    if "run.json" in results:
        run = json.loads(results["run.json"])
        results["run.json"] = {key: value for key, value in run.items() if key not in TIMES}
    return results


def wait_for_writing(process: subprocess.Popen, out: Path) -> None:
    """Wait until the run has created its folder of unpublished files, or has ended."""
    while process.poll() is None and not list(out.glob(".cfzoo-*.part")):
        time.sleep(0.0005)


def measure(work: Path, out: Path) -> tuple[dict[str, object], float, float]:
    """Run undisturbed; return the results, and the seconds of the run and of its writing."""
    begin = time.monotonic()
    process = start(work, out)
    wait_for_writing(process, out)
    writing = time.monotonic()
    assert process.wait() == 0, process.stderr.read()
    end = time.monotonic()
    return read_results(out), end - begin, end - writing


def kill_once(work: Path, out: Path, delay: float, while_writing: bool) -> str:
    """Start the command and kill it; return the phase, or "" if it was over before."""
    process = start(work, out)
    if while_writing:
        wait_for_writing(process, out)
    time.sleep(delay)
    phase = "start"
    if out.is_dir():
        phase = "writing" if list(out.glob(".cfzoo-*.part")) else "work"
        phase = "published" if (out / "run.json").exists() else phase
    process.send_signal(signal.SIGKILL)
    return "" if process.wait() == 0 else phase


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--executions", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    draw, begin = random.Random(arguments.seed), time.monotonic()
    phases, faults, over = dict.fromkeys(("start", "work", "writing", "published"), 0), [], 0
    signal.signal(signal.SIGINT, signal.default_int_handler)  # also in the background
    with contextlib.suppress(KeyboardInterrupt), tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        code = "from cfzoo.cli import main; main(['sample', 's'])"
        subprocess.run([sys.executable, "-c", code], cwd=work, check=True, capture_output=True)
        measure(work, work / "warm")
        results, seconds, writing = measure(work, work / "out")  # the name is in no file
        while sum(phases.values()) < arguments.executions:
            number = sum(phases.values())
            out = work / f"out-{number}"
            while_writing = draw.random() < 0.5
            delay = draw.uniform(0, 1.2 * writing if while_writing else seconds)
            phase = kill_once(work, out, delay, while_writing)
            if not phase:  # it had finished, so that another run would be refused
                over += 1
                subprocess.run(["rm", "-r", str(out)], check=True)
                continue
            phases[phase] += 1
            torn = read_results(out) if out.is_dir() else {}
            torn = [n for n in NAMES if n in torn and torn[n] != results[n]]
            process = start(work, out)
            _, error = process.communicate()
            if torn or process.returncode or error or read_results(out) != results:
                faults.append(
                    {"phase": phase, "torn": torn, "code": process.returncode, "error": error}
                )
            subprocess.run(["rm", "-r", str(out)], check=True)
    report = {
        "kills": sum(phases.values()),
        "phases": phases,
        "finished_before_the_kill": over,
        "faults": faults,
        "seconds": round(time.monotonic() - begin),
    }
    print(json.dumps(report))
    sys.exit(bool(faults))


if __name__ == "__main__":
    main()
