"""Labelled cubes for training and evaluation: from volumes with points, cube folders, or a seed."""

from .cube_writer import write_cubes
from .data_file import read_data
from .labelled_cubes import LabelledCubes, LabelledVolume, Source, load
from .synthetic import (
    SyntheticVolume,
    background_of,
    make_volume,
    with_shared_debris,
    write_synthetic,
)

__all__ = [
    "LabelledCubes",
    "LabelledVolume",
    "Source",
    "SyntheticVolume",
    "background_of",
    "load",
    "make_volume",
    "read_data",
    "with_shared_debris",
    "write_cubes",
    "write_synthetic",
]
