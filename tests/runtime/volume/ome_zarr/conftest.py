"""Fixtures that write and edit zarrs."""

import json

import numpy as np
import pytest
import zarr


@pytest.fixture(scope="session")
def data():
    """Voxels (z, y, x), none of them 0."""
    return np.random.default_rng(0).integers(1, 2**12, (6, 12, 10), "u2")


@pytest.fixture
def write(tmp_path, data):
    """Call it with (version=3, **options of zarr.create_array) for the folder of an array."""

    def write(version=3, *, name="brain.zarr", values=data, **options):
        options = {"chunks": (1,) * (values.ndim - 3) + (2, 4, 5), "fill_value": 0} | options
        array = zarr.create_array(
            tmp_path / name, shape=values.shape, dtype=values.dtype, zarr_format=version, **options
        )
        array[:] = values
        return tmp_path / name

    return write


@pytest.fixture
def edit():
    """Call it with a metadata file and a function that changes its content, or a dict to add."""

    def edit(file, change):
        content = json.loads(file.read_text())
        content = content | change if isinstance(change, dict) else change(content) or content
        file.write_text(json.dumps(content))

    return edit
