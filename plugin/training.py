"""Training cubes of curated candidates, for `cfzoo train` and cellfinder."""

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from ..runtime.errors import EnvironmentProblem, InputError
from ..runtime.points import Points
from ..runtime.volume import open_volume
from .curation import Curation


def write_training(
    folder: Path, points: Points, curation: Curation, report: Callable[[int, int], object]
) -> str:
    """Write cubes from the volumes that the candidates were classified in.

    Cubes that leave the volume are padded with its faces, so that no label is lost.

    Parameters
    ----------
    folder : Path
        New or empty folder.
    points : Points
        Labelled points.
    curation : Curation
    report : callable
        Called with the number of cubes since the last call and their total; it may raise to stop.

    Returns
    -------
    str
        Summary for the user.

    Raises
    ------
    InputError
        There are no points; for other causes see `cfzoo.zoo.data.write_cubes`.
    EnvironmentProblem
        The zoo extra is not installed, or the disk is full.
    """
    if not len(points.types):
        raise InputError("No candidate is curated yet. Curate some, or save all classified ones.")
    try:
        from ..zoo.data import write_cubes
    except ImportError as error:
        raise EnvironmentProblem(
            f"Training data need the zoo extra ({error}). Install it: pip install 'cfzoo[zoo]'."
        ) from None
    with ExitStack() as stack:
        volumes = [stack.enter_context(open_volume(array)) for array in curation.volumes]
        counts = write_cubes(folder, points, volumes, curation.voxel_size, "pad", report)
    text = f"{counts.cells} cells, {counts.no_cells} no cells -> {folder}/training.yaml."
    notes = {"repeated": "at the same voxel as another", "nan": "with NaN or infinite voxels"}
    for name, note in notes.items():
        if count := getattr(counts, name):
            text += f" {count} {note} left out."
    if not (counts.cells and counts.no_cells):
        text += " Training needs both cells and no cells."
    return text
