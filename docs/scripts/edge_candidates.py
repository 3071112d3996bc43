"""Draw docs/edge_candidates.png: the candidates of a crop that cellfinder's network never sees.

    python docs/scripts/edge_candidates.py --root FOLDER

FOLDER holds cellfinder_crop, cellfinder's own test data. cellfinder detects the candidates; those
whose cube of 20 planes and 50 x 50 um leaves the volume are dropped before the network. Writes
their number to benchmarks/results/edge_candidates.json too. Needs cellfinder, and a minute.
"""

import json
from pathlib import Path

import click
import numpy as np
from PIL import Image

from cfzoo.runtime import open_volume
from cfzoo.runtime.cubes import Grid
from cfzoo.runtime.files import atomic_write
from cfzoo.zoo.recipe import recipe_for

DOCS = Path(__file__).resolve().parent.parent
PICTURE = DOCS / "edge_candidates.png"
STORED = DOCS.parent / "benchmarks" / "results" / "edge_candidates.json"
VOXEL_SIZE = (5.0, 2.0, 2.0)
HALF = 12  # voxels of a patch to each side of the candidate
PLANES = 1  # to each side, of which the brightest is drawn
COLUMNS = 21
ZOOM = 2


def detect(volumes: list[np.ndarray]) -> np.ndarray:
    """Return the candidates that cellfinder detects, (N, 3), z y x."""
    from cellfinder.core.main import main

    cells = main(*volumes, VOXEL_SIZE, n_free_cpus=0, skip_classification=True)
    return np.array([(cell.z, cell.y, cell.x) for cell in cells], float)


def drop(zyx: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Return which candidates cellfinder drops, (N,) bool: those whose cube leaves the volume."""
    grid = Grid.of(recipe_for("resnet50").card(), VOXEL_SIZE)  # cellfinder's cube
    return ~grid.inside(grid.starts(zyx), shape)


def draw_patch(volume: np.ndarray, zyx: np.ndarray) -> np.ndarray:
    """Return the surroundings of a candidate, uint8; black beyond the volume."""
    z, y, x = zyx.astype(int)
    z = min(max(z, 0), len(volume) - 1)
    plane = volume[max(z - PLANES, 0) : z + PLANES + 1].max(axis=0).astype(float)
    plane = np.pad(plane, HALF, constant_values=np.nan)
    patch = plane[y : y + 2 * HALF + 1, x : x + 2 * HALF + 1]
    low, high = np.nanquantile(patch, (0.02, 0.998))
    return (np.nan_to_num(np.clip((patch - low) / (high - low), 0, 1)) * 255).astype(np.uint8)


def draw(volume: np.ndarray, zyx: np.ndarray) -> Image.Image:
    """Return a sheet of all candidates, by plane from the first, a gap between the patches."""
    side = 2 * HALF + 2
    sheet = np.full((-(-len(zyx) // COLUMNS) * side + 1, COLUMNS * side + 1), 70, np.uint8)
    for number, row in enumerate(np.argsort(zyx[:, 0], kind="stable")):
        top, left = (n * side + 1 for n in divmod(number, COLUMNS))
        sheet[top : top + side - 1, left : left + side - 1] = draw_patch(volume, zyx[row])
    image = Image.fromarray(sheet)
    return image.resize((image.width * ZOOM, image.height * ZOOM), Image.Resampling.NEAREST)


@click.command()
@click.option("--root", required=True, type=click.Path(exists=True, path_type=Path))
def main(root):
    """Detect and draw."""
    folder, volumes = root / "cellfinder_crop", []
    for name in ("signal", "background"):
        with open_volume(folder / name) as volume:
            volumes.append(volume.read(*(slice(0, n) for n in volume.shape)))
    zyx = detect(volumes)
    is_dropped = drop(zyx, volumes[0].shape)
    draw(volumes[0], zyx[is_dropped]).save(PICTURE, optimize=True)
    dropped = int(is_dropped.sum())
    counts = {"candidates": len(zyx), "dropped": dropped, "seen": len(zyx) - dropped}
    with atomic_write(STORED) as file:
        file.write(json.dumps(counts, indent=1) + "\n")
    click.echo(f"{counts}; {PICTURE.stat().st_size} bytes")


if __name__ == "__main__":
    main()
