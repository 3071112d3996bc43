"""Labelled data: cubes with labels, from volumes and points or from folders of cubes."""

from .cube_writer import write_cubes
from .data_file import read_data
from .labelled_cubes import LabelledCubes, LabelledVolume, Source, load

__all__ = [
    "LabelledCubes",
    "LabelledVolume",
    "Source",
    "load",
    "read_data",
    "write_cubes",
]
