"""A cohort of three small brains of different formats, and its table."""

import csv

import numpy as np
import pytest
import tifffile
import zarr

SHAPE = (20, 40, 50)


@pytest.fixture
def cohort(tmp_path, make_artifact):
    """Folder of table.csv, a stack, a folder of planes and a zarr, 150 points each."""
    folder = tmp_path / "data"
    folder.mkdir()
    make_artifact(folder)
    rows = []
    for seed, name in enumerate(("stack", "planes", "chunks")):
        rng = np.random.default_rng(seed)
        data = rng.integers(0, 4000, SHAPE).astype(np.uint16)
        path = folder / name
        if name == "stack":
            path = path.with_suffix(".tif")
            tifffile.imwrite(path, data)
        elif name == "planes":
            path.mkdir()
            for z, plane in enumerate(data):
                tifffile.imwrite(path / f"z{z:02d}.tif", plane)
        else:
            path = path.with_suffix(".zarr")
            zarr.create_array(path, data=data, zarr_format=2, chunks=(8, 20, 25))
        zyx = rng.integers(0, SHAPE, (150, 3))
        points = ["x,y,z", *(f"{x},{y},{z}" for z, y, x in zyx)]
        (folder / f"{name}.csv").write_text("\n".join(points) + "\n")
        rows.append([name, path.name, f"{name}.csv", "5 2 2", "linear-1.0.0.onnx", f"group {seed}"])
    header = ["brain", "volume", "points", "voxel_size", "model", "group"]
    with (folder / "table.csv").open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    return folder
