"""The answers of each configuration against those of the CPU."""

from collections.abc import Iterator

import numpy as np
from configurations import CONFIGURATIONS, open_session
from sample_cubes import read_candidates
from scipy.stats import spearmanr
from sklearn.metrics import roc_auc_score

from cfzoo.runtime.artifact import INPUT, OUTPUT
from cfzoo.runtime.session import Session

ACCEPTED = 1e-4  # difference of a probability in single precision
BATCH = 64


def measure(settings) -> Iterator[dict]:
    """Yield a row for cfzoo itself with ``--device cuda``, then one for each configuration."""
    candidates = read_candidates(settings.model, settings.points)
    artifact, cubes = candidates.artifact, candidates.cubes
    expected = Session(artifact, "cpu", is_own=True, backend="onnxruntime").run(cubes)[:, 1]

    labels = expected >= artifact.card.threshold

    def compare(name: str, probability: np.ndarray, precision: str) -> dict:
        difference = np.abs(probability - expected)
        row = {
            "configuration": name,
            "precision": precision,
            "points": len(cubes),
            "largest_difference": float(difference.max()),
            "other_labels": int(np.sum((probability >= artifact.card.threshold) != labels)),
            "spearman": float(spearmanr(probability, expected).statistic),
            "auc": float(roc_auc_score(candidates.is_cell, probability)),
            "auc_of_cpu": float(roc_auc_score(candidates.is_cell, expected)),
        }
        if precision == "fp32":
            row["is_accepted"] = bool(difference.max() <= ACCEPTED)
        return row

    own = Session(artifact, "cuda", is_own=True)
    yield compare(f"cfzoo, {own.provider}", own.run(cubes)[:, 1], "fp32")
    del own
    for configuration in CONFIGURATIONS:
        if settings.time_left() < 1:
            yield {"configuration": configuration.name, "note": "no time was left"}
            continue
        try:
            session = open_session(artifact, configuration, [BATCH])
            parts = np.array_split(cubes, max(1, len(cubes) // BATCH))
            outputs = [session.run([OUTPUT], {INPUT: part})[0][:, 1] for part in parts]
            yield compare(configuration.name, np.concatenate(outputs), configuration.precision)
        except Exception as error:  # of any library
            yield {"configuration": configuration.name, "note": str(error).splitlines()[0][:300]}
