"""Labelled cubes for training and evaluation: from volumes with points, or cube folders.

Synthetic volumes are made by ``zoo.data.synthetic``, which loads scipy and is therefore not here.
"""

from .channels import check_channels, describe_unused_backgrounds
from .cube_writer import write_cubes
from .data_file import read_data
from .labelled_cubes import LabelledCubes, LabelledVolume, Source, load

__all__ = [
    "LabelledCubes",
    "LabelledVolume",
    "Source",
    "check_channels",
    "describe_unused_backgrounds",
    "load",
    "read_data",
    "write_cubes",
]
