"""How long a cohort will take: in proportion to candidates and planes, without what is done."""

from dataclasses import replace

import numpy as np
import pytest

from cfzoo.runtime.cubes import measure_reading
from cfzoo.workflows.cohort import (
    classify_cohort,
    duration,
    estimate_durations,
    plan_cohort,
)


def test_durations_count_what_is_still_to_be_done(cohort, monkeypatch):
    # Of clocks that do not go, only the work in proportion to points and voxels is left.
    monkeypatch.setattr(duration, "_time_networks", lambda job: 1.0)
    monkeypatch.setattr(duration, "_time_reading", lambda job, index: 30.0)
    plans = plan_cohort(cohort / "table.csv", cohort / "out")
    assert estimate_durations(plans) == [180.0] * 3
    half = [replace(plan, parts_present=len(plan.sizes) // 2) for plan in plans]
    assert estimate_durations(half) == [pytest.approx(180 * 2 / 3)] * 3
    classify_cohort(cohort / "table.csv", cohort / "out")
    assert estimate_durations(plan_cohort(cohort / "table.csv", cohort / "out")) == [0] * 3


def test_durations_grow_with_the_candidates_and_the_planes(cohort):
    (plan, *_) = plan_cohort(cohort / "table.csv", cohort / "out")
    with plan.request.prepare() as job:
        assert 0 < duration._time_networks(job) < 1
        index = np.arange(150)
        few = index[job.points.zyx[:, 0] < 3]
        reads = [measure_reading(job.volumes[0], job.specs, rows) for rows in (index, few)]
        assert duration._time_reading(job, index) > 0
    (box, voxels), (_, fewer) = reads
    assert voxels == 20 * 40 * 50 and 0 < fewer < voxels
    assert all(side.start < side.stop for side in box)
