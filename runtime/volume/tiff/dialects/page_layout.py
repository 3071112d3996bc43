"""The pages of a TIFF by plane and channel, and the checks that every dialect shares."""

import math
from dataclasses import dataclass

import numpy as np

from ....errors import InputError


@dataclass(frozen=True)
class PageLayout:
    """The pages of a TIFF by plane and channel, as one dialect declares them.

    Attributes
    ----------
    dialect : str
        Who declares it, for messages.
    pages : (Z, C) int array
        Index of the page of each plane.
    voxel_size : tuple of float, or None
        Voxel size (z, y, x), um; None if it is not stated.
    single_page : bool
        Only the first plane has a page; the data of all planes follow each other in the file.
    is_counted : bool
        The number of planes is stated beside the pages, and was compared with theirs.
    """

    dialect: str
    pages: np.ndarray
    voxel_size: tuple[float, float, float] | None = None
    single_page: bool = False
    is_counted: bool = True


def check_count(name: str, count: int, shape: tuple[int, ...], dialect: str) -> None:
    """Check that a file has the planes that it declares.

    Parameters
    ----------
    name : str
        The file.
    count : int
        Planes in the file.
    shape : tuple of int
        Lengths of the declared axes.
    dialect : str
        Who declares them.

    Raises
    ------
    InputError
        The numbers differ.
    """
    if count != math.prod(shape):
        raise InputError(
            f"{name} has {count} planes, but its {dialect} declares {math.prod(shape)} "
            f"({' x '.join(map(str, shape))}): it is cut short, or one of a set of files. Copy it "
            "again from its source, or save the whole stack as one file."
        )


def arrange_pages(
    numbers: np.ndarray, axes: str, lengths: dict[str, int], name: str, dialect: str
) -> PageLayout:
    """Return the layout of pages that lie along named axes.

    Parameters
    ----------
    numbers : int array
        Index of each page, in the order of the axes.
    axes : str
        Each of T, Z and C once, the slowest first.
    lengths : dict of str to int
        Length of each axis.
    name, dialect : str
        The file and who declares the axes, for messages.

    Returns
    -------
    PageLayout

    Raises
    ------
    InputError
        There are several time points.
    """
    pages = numbers.reshape([lengths[axis] for axis in axes])
    pages = pages.transpose([axes.index(axis) for axis in "TZC"])
    if len(pages) > 1:
        raise InputError(
            f"{name} has {len(pages)} time points; expected one. Save one time point, or, if these "
            "are planes in z, correct the file (Fiji: Image > Properties, slices and frames)."
        )
    return PageLayout(dialect, pages[0])
