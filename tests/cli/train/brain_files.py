"""Short trainings on two small brains with bright cells."""

import numpy as np
import pytest
import tifffile

from cfzoo.cli import main

SHORT = ["--epochs", 2, "--steps", 2, "--batch-size", 8]
SHAPE = (24, 90, 100)


def write_brain(folder, name, seed):
    """Write a volume of noise with 15 blobs, and its points: 15 cells, 15 no cells."""
    rng = np.random.default_rng(seed)
    zyx = rng.integers(4, np.subtract(SHAPE, 4), (30, 3))
    volume = rng.normal(1000, 100, SHAPE)
    grid = np.stack(np.meshgrid(*map(np.arange, SHAPE), indexing="ij"), -1) * (5, 2, 2)
    for centre in zyx[:15]:
        distance = ((grid - centre * np.array((5, 2, 2))) ** 2).sum(-1)
        volume += 1500 * np.exp(-distance / (2 * 5**2))
    tifffile.imwrite(folder / f"{name}.tif", volume.clip(0).astype(np.uint16))
    rows = [f"{z},{y},{x},{2 if i < 15 else 1}" for i, (z, y, x) in enumerate(zyx)]
    (folder / f"{name}.csv").write_text("\n".join(["z,y,x,type", *rows]) + "\n")


def entry(name, **extra):
    fields = {"name": name, "signal": f"{name}.tif", "points": f"{name}.csv"}
    return {**fields, "voxel_size": [5, 2, 2], **extra}


def run(*args):
    with pytest.raises(SystemExit) as stopped:
        main([str(a) for a in args])
    return stopped.value.code


def list_files(folder):
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())


def write(folder, name, text):
    (folder / name).write_text(text)
    return folder / name
