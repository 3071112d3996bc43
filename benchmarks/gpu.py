"""Measure cfzoo on a GPU in under six minutes: answers, speed, and what it does when the GPU fails.

    python3 benchmarks/gpu.py                # on a bare machine with CUDA and a clone of cfzoo
    python benchmarks/gpu.py --device cpu    # a rehearsal of every line, without a GPU

With CUDA it makes a virtual environment in a temporary folder and installs cfzoo there with the
extra ``gpu``, and later, if time is left, torch and cellfinder (pip's own settings apply, such as
PIP_FIND_LINKS). ``--no-install`` takes the Python that runs it and what that has. Making a
ResNet-50 takes much of the time: ``cfzoo import`` makes one beforehand, and ``--model FILE`` takes
it. Each part runs in a process that ends when its time is up, and results/gpu.json is written
after each, so that whatever was measured is there. A rehearsal computes on the CPU under the names
of CUDA (see tests/runtime/session/fake_accelerator.py) and writes elsewhere: none of its figures is
of a GPU.
"""

import argparse
import importlib
import json
import os
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
STORED = HERE / "results" / "gpu.json"
TOTAL = 350.0  # s
AFTER_INSTALL = 100.0  # s that the first installation leaves, however long it takes
MODELS = ("pyramid3d", "attention3d", "resnet50")
RESNET = "resnet50"
BATCHES = (1, 8, 64, 512, 4096)
CUDA, TENSORRT = "CUDAExecutionProvider", "TensorrtExecutionProvider"


@dataclass(frozen=True)
class Task:
    """A part of the measurement: the module of benchmarks/gpu that does it, and its time.

    Attributes
    ----------
    module : str
    seconds : float
        More if earlier tasks leave some.
    model : str
        "" if the task is about none.
    environment : dict of str
        Variables besides those of this process.
    """

    module: str
    seconds: float
    model: str = ""
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The key of its results."""
        return f"{self.module} {self.model}".strip()


@dataclass(frozen=True)
class Settings:
    """What the processes of the tasks are told.

    Attributes
    ----------
    device : str
        ``cuda``, or ``cpu`` for a rehearsal.
    model : str
        Bundled name or file.
    points : int
        Candidates whose answers are compared.
    seconds : float
        Time of one measurement of a rate.
    batches : list of int
        Cubes per run.
    deadline : float
        When the task's time ends, in seconds of `time.time`.
    work : str
        Folder for temporary files.
    weights : str
        cellfinder's weights, "" for random ones.
    chip : dict
        What the task ``chip`` has found.
    """

    device: str
    model: str
    points: int
    seconds: float
    batches: list[int]
    deadline: float
    work: str
    weights: str
    chip: dict

    @property
    def is_rehearsal(self) -> bool:
        """Whether the CPU stands in for the GPU."""
        return self.device == "cpu"

    @property
    def buffers(self) -> str:
        """The device whose memory holds the buffers, as onnxruntime calls it."""
        return self.device

    def time_left(self) -> float:
        """Return the seconds that the task still has."""
        return self.deadline - time.time()


def list_tasks(models: list[str], install: str) -> list[Task]:
    """List the tasks in order: what is most wanted first.

    Parameters
    ----------
    models : list of str
        Bundled names or files, and `RESNET`.
    install : str
        The extra of cfzoo to install first, "" for nothing.
    """
    released = [model for model in models if model != RESNET]
    tasks = [Task("install", 65, f"{install},analysis")] if install else []
    tasks += [Task("chip", 5)]
    tasks += [Task("answers", 10, model) for model in released]
    tasks += [Task("failures", 15), Task("blind", 10, environment={"CUDA_VISIBLE_DEVICES": ""})]
    tasks += [Task("devices", 10)]
    tasks += [Task("rates", 25, model) for model in released]
    tasks += [Task("feeding", 10, model) for model in released]
    if RESNET in models:
        everything = f"{install},export,analysis,cellfinder"
        tasks += [Task("install", 45, everything)] if install else []
        tasks += [Task("resnet", 45), Task("answers", 8, RESNET), Task("rates", 20, RESNET)]
        tasks += [Task("feeding", 8, RESNET), Task("beside", 20)]
    return tasks


def main() -> None:
    """Run the tasks, store what each gives, and print it as a table."""
    arguments = read_arguments()
    if arguments.task:
        run_task(arguments.task, Settings(**json.loads(arguments.settings)), arguments.rows)
        return
    is_rehearsal = arguments.device == "cpu"
    output = arguments.output or (
        Path(tempfile.gettempdir()) / "gpu-rehearsal.json" if is_rehearsal else STORED
    )
    if is_rehearsal and output.resolve() == STORED:
        sys.exit(f"A rehearsal is not stored as {STORED.name}: it has no figure of a GPU.")
    extra = ("cpu" if is_rehearsal else "gpu") if arguments.install else ""
    tasks = list_tasks(arguments.model, extra)
    tasks = [t for t in tasks if not arguments.only or t.module in (*arguments.only, "install")]
    results: dict = {"rehearsal": is_rehearsal, "total_s": arguments.total, "parts": {}}
    end = time.time() + arguments.total
    with tempfile.TemporaryDirectory(prefix="cfzoo-gpu-") as work:
        python = Path(work, "venv", "bin", "python") if arguments.install else Path(sys.executable)
        for number, task in enumerate(tasks):
            reserved = sum(later.seconds for later in tasks[number + 1 :])
            if number == 0 and task.module == "install":  # without which nothing runs
                reserved = min(reserved, AFTER_INSTALL)
            seconds = min(max(task.seconds, end - time.time() - reserved), end - time.time())
            print(f"{task.name}, {max(0, seconds):.0f} s at most", file=sys.stderr, flush=True)
            if task.module == "install":
                part = install(task.model, Path(work, "venv"), seconds)
            else:
                part = start_task(task, arguments, python, work, seconds, results["parts"])
            results["parts"][task.name] = part
            write(output, results)
    sys.path.insert(0, str(HERE / "gpu"))
    print(importlib.import_module("table").render(results))
    print(f"-> {output}", file=sys.stderr)


def read_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--install", action=argparse.BooleanOptionalAction, default=None)
    parser.add_argument("--model", action="append", metavar="NAME", help=f"[{', '.join(MODELS)}]")
    parser.add_argument("--only", action="append", metavar="PART", help="e.g. answers, rates")
    parser.add_argument("--weights", default="", help="weights of cellfinder's ResNet-50 [random]")
    parser.add_argument("--points", type=int, default=1024)
    parser.add_argument("--seconds", type=float, default=0.5, help="of a measurement of a rate")
    parser.add_argument(
        "--batch", type=int, action="append", help=f"[{', '.join(map(str, BATCHES))}]"
    )
    parser.add_argument("--total", type=float, default=TOTAL, help="seconds of all [%(default)s]")
    parser.add_argument("--output", type=Path)
    for name in ("--task", "--settings", "--rows"):  # of its own processes
        parser.add_argument(name, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.install is None:
        arguments.install = arguments.device == "cuda"
    arguments.model = arguments.model or list(MODELS)
    return arguments


def install(extras: str, folder: Path, seconds: float) -> dict:
    """Install cfzoo with some extras into a virtual environment; return what came of it."""
    start = time.time()
    commands = [] if folder.exists() else [[sys.executable, "-m", "venv", str(folder)]]
    pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "-q"]
    commands.append([*pip, f"{ROOT}[{extras}]"])
    for command in commands:
        try:
            done = subprocess.run(
                command,
                capture_output=True,
                encoding="utf-8",
                timeout=start + seconds - time.time(),
            )
        except subprocess.TimeoutExpired:
            return {"status": f"stopped after {seconds:.0f} s", "rows": []}
        if done.returncode:
            return {"status": f"failed: {last_line(done.stderr)}", "rows": []}
    return {"status": "done", "seconds": round(time.time() - start, 1), "rows": []}


def start_task(
    task: Task,
    arguments: argparse.Namespace,
    python: Path,
    work: str,
    seconds: float,
    parts: dict,
) -> dict:
    """Run a task in a process of its own; return its rows and how it ended."""
    if seconds < 1:
        return {"status": "not begun: no time was left", "rows": []}
    chip = next(iter(parts.get("chip", {}).get("rows", [])), {})
    model = task.model
    if model == RESNET:
        model = next((row["file"] for row in parts.get("resnet", {}).get("rows", [])), "")
        if not model:
            return {"status": "not begun: there is no ResNet-50, see resnet", "rows": []}
    settings = Settings(
        arguments.device, model, arguments.points, arguments.seconds,
        arguments.batch or list(BATCHES), time.time() + seconds, work, arguments.weights, chip,
    )  # fmt: skip
    rows = Path(work, "-".join(filter(None, (task.module, Path(task.model).stem))) + ".jsonl")
    command = [str(python), __file__, "--task", task.module, "--rows", str(rows)]
    command += ["--settings", json.dumps(asdict(settings))]
    start = time.time()
    status = "done"
    try:
        done = subprocess.run(
            command, env={**os.environ, **task.environment}, capture_output=True, encoding="utf-8",
            timeout=seconds,
        )  # fmt: skip
        if done.returncode:
            status = f"failed: {last_line(done.stderr)}"
    except subprocess.TimeoutExpired:
        status = f"stopped after {seconds:.0f} s"
    lines = rows.read_text(encoding="utf-8").splitlines() if rows.exists() else []
    return {
        "status": status,
        "seconds": round(time.time() - start, 1),
        "rows": [json.loads(line) for line in lines],
    }


def run_task(module: str, settings: Settings, rows: str) -> None:
    """Do one task and write its rows, one by one."""
    for folder in (ROOT / "tests" / "runtime" / "session", HERE, HERE / "gpu"):
        sys.path.insert(0, str(folder))
    with ExitStack() as stack:
        if settings.is_rehearsal:
            from fake_accelerator import accelerator

            stack.enter_context(accelerator(CUDA, TENSORRT))
        file = stack.enter_context(Path(rows).open("w", encoding="utf-8"))
        for row in importlib.import_module(module).measure(settings):
            file.write(json.dumps(row) + "\n")
            file.flush()


def last_line(text: str) -> str:
    """Return the last line of what a process has said, without the folders of this computer."""
    lines = [line for line in text.strip().splitlines() if line.strip()]
    return (lines or ["it said nothing"])[-1].replace(str(ROOT), "cfzoo")[:300]


def write(path: Path, results: dict) -> None:
    """Replace a JSON file at once."""
    part = path.with_suffix(".part")
    part.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    part.replace(path)


if __name__ == "__main__":
    main()
