"""Flags: how the classification of a point ended."""

from enum import IntEnum


class Flag(IntEnum):
    """Outcome of a point: classified normally or at an edge, or the reason why it was not."""

    OK = 0
    EDGE = 1
    """Classified on a cube that extends beyond the volume and is padded by repeating its faces."""
    DROPPED = 2
    """Not classified: its cube extends beyond the volume; cellfinder drops such points as well."""
    OUTSIDE = 3
    """Not classified: the point lies outside the volume, by half a cube or more."""
    NAN = 4
    """Not classified: its cube holds NaN or infinite voxels."""
    ABSENT = 5
    """Not classified: no file holds the voxel at the point, such as a missing chunk of a zarr, or
    the cube reaches into such voxels although the data beside them go on."""

    @property
    def text(self) -> str:
        """Text of the flag in files: ``""`` for OK, otherwise the name in lower case."""
        return "" if self is Flag.OK else self.name.lower()


CLASSIFIED = (Flag.OK, Flag.EDGE)
UNCLASSIFIED = (Flag.DROPPED, Flag.OUTSIDE, Flag.NAN, Flag.ABSENT)
