"""One of several GPUs: its rate and its answers; `devices` starts it."""

from collections.abc import Iterator

import numpy as np
from rates import measure_rate

from cfzoo.runtime.artifact import read_artifact
from cfzoo.runtime.session import Session

MODEL = "attention3d"


def measure(settings) -> Iterator[dict]:
    """Yield one row."""
    artifact, count = read_artifact(MODEL), settings.points
    # The test cube in many contrasts, of which the network makes many probabilities.
    scale = np.linspace(0.2, 3, count, dtype=np.float32).reshape(-1, 1, 1, 1, 1)
    cubes = scale * (artifact.test_cube - artifact.test_cube.mean()) + artifact.test_cube.mean()
    session = Session(artifact, "cuda", batch_size=count, is_own=True)
    probability = session.run(cubes)[:, 1]
    rate = count * measure_rate(lambda: session.run(cubes), settings.seconds)
    yield {
        "provider": session.provider,
        "points_per_s": rate,
        "probability": [float(p) for p in probability],
    }
