"""Inputs of `benchmarks/speed.py`: models, points and folders of planes."""

import sys
from pathlib import Path

import numpy as np

from cfzoo.runtime.cubes import CubeSpec, Grid, read_batches
from cfzoo.runtime.results import Results, write_xml
from cfzoo.runtime.volume import open_volume

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))
import random_resnet

VOXEL_SIZE = (5.0, 2.0, 2.0)  # z y x, um
FAMILY = ("attention3d", "attention3d-small", "attention3d-tiny", "wavemix3d", "pipnet3d")


def scatter_points(zyx: np.ndarray, count: int) -> np.ndarray:
    """Draw random points close to real cells, whose cubes lie inside the crop.

    Parameters
    ----------
    zyx : (N, 3) float, voxels
        Cells of the crop.
    count : int

    Returns
    -------
    (count, 3) float, z y x, voxels
    """
    rng = np.random.default_rng(0)
    points = zyx[rng.integers(0, len(zyx), count)] + rng.normal(0, (2, 6, 6), (count, 3))
    return np.clip(points.round(), (10, 13, 13), (20, 495, 652))


def make_artifacts(work, folders, zyx, weights: Path | None) -> tuple[dict[str, str], Path]:
    """Return the files of the models, and the weights of cellfinder's ResNet-50.

    Models that are not released get random weights, which do not change their speed.
    """
    from cfzoo.export.graph import export_artifact
    from cfzoo.export.release import write_artifact
    from cfzoo.runtime.artifact import bundled
    from cfzoo.zoo.recipe import recipe_for
    from cfzoo.zoo.registry import build

    files = {}
    for name in FAMILY:
        if name in bundled():
            files[name] = str(bundled()[name])
        else:
            card = recipe_for(name).card()
            files[name] = str(write_artifact(export_artifact(build(card), card), work, True))
    files["resnet50"], weights = import_resnet(work, folders, zyx, weights)
    return files, weights


def import_resnet(work: Path, folders, zyx, weights: Path | None) -> tuple[str, Path]:
    """Import cellfinder's ResNet-50 of both channels; return the artifact's file and the weights.

    Without weights, random ones are made whose answers to the points spread.
    """
    from cfzoo.export.import_cellfinder import import_cellfinder
    from cfzoo.zoo.recipe import recipe_for

    if weights is None:
        weights = work / "random.weights.h5"
        network = random_resnet.random_resnet(50, 2)
        grid = Grid.of(recipe_for("resnet50").card(), VOXEL_SIZE)
        spec = CubeSpec(grid, grid.starts(zyx), len(folders))
        volumes = [open_volume(folder) for folder in folders]
        (batch,) = read_batches(volumes, [spec], np.arange(32), 32)
        random_resnet.spread_logits(network, batch.network_cubes()[0])
        network.save_weights(weights)
    return str(import_cellfinder(weights, output=work, overwrite=True)), weights


def write_points(path: Path, zyx: np.ndarray) -> Path:
    """Write candidates as cellfinder's XML."""
    n = len(zyx)
    types, flags = np.ones(n, np.int8), np.zeros(n, np.uint8)
    write_xml(path, Results(zyx, types, np.zeros(n, np.float32), flags))
    return path


def link_planes(folder: Path, planes: Path, count: int) -> Path:
    """Fill a folder with ``count`` links to the planes of another, repeated as often as needed."""
    folder.mkdir()
    files = sorted(planes.resolve().glob("*.tif"))
    for z in range(count):
        (folder / f"{z:06}.tif").symlink_to(files[z % len(files)])
    return folder
