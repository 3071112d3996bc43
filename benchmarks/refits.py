"""Time a refit of an adapted head, and what follows each label; `adapt.py --times` stores it."""

import time

import numpy as np

from cfzoo.runtime.adapt import (
    Prior,
    choose_next,
    estimate_quality,
    fit_head,
    make_pool,
    weigh_labels,
)

REPEATS = 25  # of a refit


def time_refits() -> dict[str, dict[str, float]]:
    """Return processor seconds of a refit with 200 labels of 64 features, and of what follows.

    Set OMP_NUM_THREADS=1: the time of all threads is added.
    """
    report = {}
    for count in (10_000, 100_000, 1_000_000):
        random = np.random.default_rng(0)
        z = random.standard_normal((count, 64), np.float32)
        rows = random.permutation(count)[:200]
        labels = z[rows, :8].sum(axis=1) + random.logistic(0, 2, 200) > 0
        prior, scale = Prior(np.zeros(64), 0.0), np.ones(64)
        pool, before = make_pool(z, scale), prior.margin(z)
        seconds: dict[str, list[float]] = {"refit": [], "choice": [], "estimate": []}
        for _ in range(REPEATS):
            began = time.process_time()
            weights = weigh_labels(before[rows], before)
            lesson = fit_head(z[rows], labels, prior, scale, weights)
            margin = lesson.margin(z)
            seconds["refit"].append(time.process_time() - began)
            began = time.process_time()
            choose_next(pool, z, lesson, rows, labels)
            seconds["choice"].append(time.process_time() - began)
            began = time.process_time()
            estimate_quality(lesson, z[rows], labels, prior, scale, margin)
            seconds["estimate"].append(time.process_time() - began)
        # The smallest: other programs of the computer only add.
        report[str(count)] = {name: round(min(times), 4) for name, times in seconds.items()}
    return report
