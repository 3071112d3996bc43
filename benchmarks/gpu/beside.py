"""cellfinder's own classification and cfzoo's with the same ResNet-50, on the same GPU."""

import json
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from sample_cubes import write_planes

POINTS_PER_SECOND = 2000  # that are tried on a GPU for a second of a measurement
ON_CPU = 24  # points of a rehearsal


def measure(settings) -> Iterator[dict]:
    """Yield the seconds and points/s of each, or the reason why there is no comparison."""
    if not find_spec("cellfinder"):
        yield {"note": "cellfinder is not installed, so nothing was compared"}
        return
    import torch

    if not settings.is_rehearsal and not torch.cuda.is_available():
        yield {"note": f"torch {torch.__version__} finds no CUDA, so nothing was compared"}
        return
    import speed
    from inputs import write_points

    work = Path(settings.work)
    (resnet,) = [
        json.loads(line)
        for line in (work / "resnet.jsonl").read_text(encoding="utf-8").splitlines()
    ]
    folders, zyx = write_planes(work / "planes")
    count = ON_CPU if settings.is_rehearsal else int(POINTS_PER_SECOND * settings.seconds)
    zyx = zyx[[i % len(zyx) for i in range(count)]]
    points = write_points(work / "points.xml", zyx)
    weights = resnet["keras_weights"]
    output = work / "cellfinder"
    commands = {
        "cellfinder": [speed.CELLFINDER, *map(str, folders), str(points), weights, str(output)],
        "cfzoo": speed.classify_words(
            resnet["file"], "onnxruntime", folders, points, work / "cfzoo", settings.device
        ),
    }
    for name, words in commands.items():
        row = speed.run_command(words, work / name)
        yield {"program": name, "points": count, **row, "points_per_s": count / row["seconds"]}
