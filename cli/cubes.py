"""``cfzoo cubes``: write cellfinder's training cubes of labelled points of a volume."""

from contextlib import ExitStack
from pathlib import Path

import click

from ..runtime.job import choose_voxel_size
from ..runtime.points import read_points
from ..runtime.volume import describe_other_voxel_sizes
from . import options
from .terminal import Progress, echo, escape


@click.command()
@click.argument("volume")
@click.argument("points")
@options.points_from
@options.background
@options.voxel_size
@options.channel
@options.background_channel
@options.edges("drop", "write")
@click.option(
    "-o",
    "--output",
    default="cubes",
    show_default=True,
    metavar="DIR",
    help="New or empty folder.",
)
@options.quiet
@options.log
@options.gather("brain", options.BrainOptions)
def command(volume, points, points_from, brain, edges, output, quiet):
    """Write training cubes of the labelled POINTS (2 cell, 1 no cell) of VOLUME.

    Writes cells, non_cells and training.yaml to DIR; cellfinder can train on them too.
    """
    from ..zoo.data import write_cubes

    labelled = read_points(points, points_from)
    with ExitStack() as stack:
        volumes = stack.enter_context(brain.open(volume))
        size = choose_voxel_size(brain.voxel_size, volumes)
        progress = stack.enter_context(Progress("cubes", quiet))
        counts = write_cubes(Path(output), labelled, volumes, size, edges, progress.update)
        notes = describe_other_voxel_sizes(volumes, size)
    if not quiet:
        echo("\n".join([_summary(counts, edges, escape(output)), *(f"Note: {n}" for n in notes)]))


def _summary(counts, edges: str, output: str) -> str:
    text = f"{counts.cells} cells, {counts.no_cells} no cells -> {output}/training.yaml"
    edge = "dropped (--edges pad writes them)" if edges == "drop" else "written on padded cubes"
    notes = {
        "edge": f"near a face, {edge}",
        "outside": "outside the volume by half a cube or more, left out",
        "unlabelled": "neither 2 (cell) nor 1 (no cell), left out",
        "repeated": "at the same voxel as another with the same label, written once",
        "nan": "with NaN or infinite voxels, left out",
    }
    for name, note in notes.items():
        if count := getattr(counts, name):
            text += f"\n{count} {note}"
    return text
