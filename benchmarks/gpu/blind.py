"""What cfzoo does where `CUDA_VISIBLE_DEVICES` is empty: no device for those who ask for one."""

import os
from collections.abc import Iterator
from contextlib import nullcontext

from cfzoo.runtime.artifact import read_artifact
from cfzoo.runtime.errors import EnvironmentProblem
from cfzoo.runtime.session import Session

MODEL = "attention3d"
WORDS = "CUDA failure 100: no CUDA-capable device is detected"


def measure(settings) -> Iterator[dict]:
    """Yield a row for ``--device cuda``, an error, and one for ``auto``, which must be loud."""
    artifact = read_artifact(MODEL)
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    context = nullcontext()
    if settings.is_rehearsal:
        from fake_accelerator import accelerator

        context = accelerator(loading=WORDS)
    with context:
        row: dict = {"case": "--device cuda", "visible": visible, "is_right": False}
        try:
            row["provider"] = Session(artifact, "cuda", is_own=True).provider
        except EnvironmentProblem as error:
            row |= {"error": str(error), "is_right": True}
        yield row
        session = Session(artifact, "auto", is_own=True)
        remarks = session.backend.remarks
        yield {
            "case": "--device auto",
            "visible": visible,
            "provider": session.provider,
            "remarks": remarks,
            "is_right": "CPU" in session.provider and any("CUDA" in text for text in remarks),
        }
