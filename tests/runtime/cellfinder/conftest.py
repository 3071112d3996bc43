"""cellfinder's own test data, and random cells in them."""

from pathlib import Path

import numpy as np
import pytest
import tifffile

CROP = Path(__file__).resolve().parents[4] / "shared" / "data" / "cellfinder_crop"


@pytest.fixture(scope="module")
def crop():
    folders = (CROP / "signal", CROP / "background")
    return tuple(np.stack([tifffile.imread(p) for p in sorted(f.glob("*.tif"))]) for f in folders)


@pytest.fixture(scope="module")
def cells(crop):
    from brainglobe_utils.cells.cells import Cell

    rng = np.random.default_rng(0)
    positions = rng.integers(0, crop[0].shape, (120, 3))
    return [
        Cell((int(x), int(y), int(z)), Cell.UNKNOWN, {"id": i})
        for i, (z, y, x) in enumerate(positions)
    ]
