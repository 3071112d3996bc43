"""Curated candidates to the cubes that `cfzoo train` and cellfinder learn from."""

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
    """Write cubes of the volumes that the candidates were classified in.

    Cubes that leave the volume are written on repeated faces, so that no label is lost.

    Parameters
    ----------
    folder : Path
        Empty, or new.
    points : Points
        With types.
    curation : Curation
    report : callable
        Called with the number of cubes done since the last call, and of all; it may raise.

    Returns
    -------
    str
        What was written, for people.

    Raises
    ------
    InputError
        There are no points, or see `cfzoo.zoo.data.write_cubes`.
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
    with ExitStack() as opened:
        volumes = [opened.enter_context(open_volume(array)) for array in curation.volumes]
        written = write_cubes(folder, points, volumes, curation.voxel_size, "pad", report)
    told = f"{written.cells} cells, {written.no_cells} no cells -> {folder}/training.yaml."
    left = {"repeated": "at the voxel of another", "nan": "with NaN or infinite voxels"}
    for name, why in left.items():
        if count := getattr(written, name):
            told += f" {count} {why} left out."
    if not (written.cells and written.no_cells):
        told += " Training needs both cells and no cells."
    return told
