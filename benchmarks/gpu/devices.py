"""Two GPUs at once, a process on each by `CUDA_VISIBLE_DEVICES`, as for workers of a cohort."""

import dataclasses
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

SCRIPT = Path(__file__).resolve().parent.parent / "gpu.py"


def measure(settings) -> Iterator[dict]:
    """Yield the points/s of each device while both work, and how far their answers differ."""
    count = len(settings.chip.get("devices", []))
    if count < 2:
        yield {"devices": count, "note": "two devices are needed, so nothing was measured"}
        return
    text = json.dumps(dataclasses.asdict(settings))
    started = []
    for number in range(2):
        rows = Path(settings.work, f"device-{number}.jsonl")
        command = [sys.executable, str(SCRIPT), "--task", "one_device", "--rows", str(rows)]
        environment = {**os.environ, "CUDA_VISIBLE_DEVICES": str(number)}
        process = subprocess.Popen([*command, "--settings", text], env=environment)
        started.append((process, rows))
    for process, _ in started:
        try:
            process.wait(max(1.0, settings.deadline - time.time() - 1))
        except subprocess.TimeoutExpired:
            process.kill()
    answers = []
    for number, (process, rows) in enumerate(started):
        lines = rows.read_text(encoding="utf-8").splitlines() if rows.exists() else []
        if process.returncode or not lines:
            yield {"device": number, "note": f"its process ended with {process.returncode}"}
            continue
        row = json.loads(lines[0])
        answers.append(np.array(row.pop("probability")))
        yield {"device": number, **row}
    if len(answers) == 2:
        difference = float(np.abs(answers[0] - answers[1]).max())
        yield {
            "case": "two devices",
            "largest_difference": difference,
            "is_right": difference <= 1e-4,
        }
