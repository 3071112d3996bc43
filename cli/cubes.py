"""``cfzoo cubes``: labelled points of a volume in, cellfinder's training cubes out."""

import sys
from contextlib import ExitStack
from pathlib import Path

import click
from tqdm import tqdm

from ..runtime.errors import EnvironmentProblem
from ..runtime.job import choose_voxel_size
from ..runtime.options import EDGES
from ..runtime.points import read_points
from ..runtime.volume import open_volume


@click.command()
@click.argument("volume")
@click.argument("points")
@click.option("--background", help="Background channel, of the volume's shape.", metavar="VOLUME")
@click.option(
    "--voxel-size",
    nargs=3,
    type=float,
    metavar="Z Y X",
    help="In um; read from the volume's metadata when it is there.",
)
@click.option("--channel", type=int, help="Channel of VOLUME, when it holds several.")
@click.option("--background-channel", type=int, help="Channel of the background's file.")
@click.option(
    "--edges",
    type=click.Choice(EDGES),
    default="drop",
    show_default=True,
    help="Points near a face: write a padded cube, or drop as cellfinder does.",
)
@click.option(
    "-o",
    "--output",
    default="cubes",
    show_default=True,
    metavar="DIR",
    help="New or empty folder.",
)
def command(volume, points, background, voxel_size, channel, background_channel, edges, output):
    """Write training cubes of the labelled POINTS (2 cell, 1 no cell) of VOLUME.

    DIR gets cells, non_cells and training.yaml, which cellfinder trains on as well.
    """
    try:
        from ..zoo.data import write_cubes
    except ImportError as error:
        raise EnvironmentProblem(f"{error}: pip install 'cfzoo[zoo]'.") from None
    labelled = read_points(points)
    with ExitStack() as opened:
        volumes = [opened.enter_context(open_volume(volume, channel=channel))]
        if background:
            other = open_volume(background, channel=background_channel)
            volumes.append(opened.enter_context(other))
        size = choose_voxel_size(voxel_size or None, volumes)
        bar = opened.enter_context(
            tqdm(unit="cubes", unit_scale=True, disable=not sys.stderr.isatty())
        )

        def progress(done: int, total: int) -> None:
            bar.total = total
            bar.update(done)

        written = write_cubes(Path(output), labelled, volumes, size, edges, progress)
    click.echo(_summary(written, edges, output))


def _summary(written, edges: str, output: str) -> str:
    text = f"{written.cells} cells, {written.no_cells} no cells -> {output}/training.yaml"
    edge = "dropped (--edges pad writes them)" if edges == "drop" else "written on padded cubes"
    notes = {
        "edge": f"near a face, {edge}",
        "unlabelled": "of another type than 2 (cell) and 1 (no cell), left out",
        "repeated": "at the voxel of another with the same label, written once",
        "nan": "with NaN or infinite voxels, left out",
    }
    for name, note in notes.items():
        if count := getattr(written, name):
            text += f"\n{count} {note}"
    return text
