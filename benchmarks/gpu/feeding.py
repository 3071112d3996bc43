"""A whole classification beside the network alone: whether the rest keeps the GPU busy."""

from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from unittest.mock import patch

import numpy as np
import stages
from sample_cubes import write_planes

STAGES = ("cut", "resample", "network", "write", "whole")


def measure(settings) -> Iterator[dict]:
    """Yield the points/s of each stage and of the whole run, and which stage is the slowest."""
    stages.SECONDS = 3 * settings.seconds
    folders, zyx = write_planes(Path(settings.work, "planes"))
    zyx = np.resize(zyx, (settings.points, 3))
    with _no_trial() if settings.is_rehearsal else nullcontext():
        job = stages.open_job(settings.model, "onnxruntime", folders, zyx, "cuda")
    works = stages.stages_of(job)
    rates: dict[str, float] = {}
    for name in STAGES:
        works[name]()  # warms up
        rates[name] = works[name]()
        yield {"stage": name, "points_per_s": rates[name]}
    slowest = min(STAGES[:-1], key=rates.__getitem__)
    yield {
        "stage": "all",
        "provider": job.sessions[0].provider,
        "batch_size": job.sessions[0].batch_size,
        "slowest": slowest,
        "whole_over_network": rates["whole"] / rates["network"],
        "whole_over_slowest": rates["whole"] / rates[slowest],
    }


def _no_trial():
    """Leave out the trial of a file from elsewhere, whose process would have no pretended CUDA."""
    return patch("cfzoo.runtime.session.session.pass_trial", lambda *_: None)
