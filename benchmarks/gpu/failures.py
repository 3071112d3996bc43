"""What cfzoo does when the memory of the GPU runs out: halve the batches, then say so and end."""

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

import numpy as np
from sample_cubes import read_candidates

from cfzoo.runtime.errors import EnvironmentProblem
from cfzoo.runtime.session import Session
from cfzoo.runtime.session.backends import devices

MODEL = "attention3d"
MEGABYTES = (256, 128, 64, 32, 16)  # of the GPU that the network may take, until they run out


def measure(settings) -> Iterator[dict]:
    """Yield a row for a memory that holds some cubes, and one for a memory that holds none."""
    candidates = read_candidates(MODEL, settings.points)
    artifact, cubes = candidates.artifact, candidates.cubes
    expected = Session(artifact, "cpu", is_own=True, backend="onnxruntime").run(cubes)
    row: dict = {"case": "memory for some of the cubes", "is_right": False}
    for megabytes in MEGABYTES:
        with little_memory(settings, megabytes):
            session = Session(artifact, "cuda", batch_size=len(cubes), is_own=True)
            difference = float(np.abs(session.run(cubes) - expected).max())
        if session.backend.remarks:
            row |= {"provider": session.provider, "remarks": session.backend.remarks}
            row |= {"megabytes": megabytes, "largest_difference": difference}
            row["is_right"] = difference <= 1e-4
            break
    yield row
    row = {"case": "memory for no cube", "is_right": False}
    with little_memory(settings, 0):
        try:
            session = Session(artifact, "cuda", batch_size=len(cubes), is_own=True)
            session.run(cubes)
            row["remarks"] = session.backend.remarks
        except EnvironmentProblem as error:
            row |= {"error": str(error), "is_right": "emory" in str(error)}
    yield row


@contextmanager
def little_memory(settings, megabytes: int):
    """Leave the provider only some memory; for a rehearsal, for a cube per 10 MB."""
    if settings.is_rehearsal:
        from fake_accelerator import accelerator

        with accelerator(most_cubes=megabytes // 10):
            yield
        return
    cuda = devices.ACCELERATORS["cuda"]
    options = {**cuda.options, "arena_extend_strategy": "kSameAsRequested"}
    small = dataclasses.replace(
        cuda, options={**options, "gpu_mem_limit": str(2**20 * (1 + megabytes))}
    )
    with patch.dict(devices.ACCELERATORS, {"cuda": small}):
        yield
