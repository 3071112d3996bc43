"""Markers of Fiji's Cell Counter, whose XML has the root of cellfinder's and another meaning.

``MarkerZ`` is the number of the slice in ImageJ's stack, from 1. Where the stack has several
channels, the slices of all channels of one plane follow each other: number c + channels (z - 1)
for channel c and plane z, all from 1. A type means what its user chose. Image titles and names of
types are written without escaping (fiji/Cell_Counter, ``WriteXML.java``).
"""

import re
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO
from xml.sax.saxutils import escape

import numpy as np

from ..errors import InputError
from .limits import MAX_TEXT

NO_CELL, CELL = 1, 2  # cellfinder's types of points
CELLFINDER, CELL_COUNTER = "cellfinder", "cell-counter"
NAMES_TYPES, HAS_CALIBRATION = "it names its types", "it has a calibration"
_MOST_CHANNELS = 100
_FEW_PLANES = 6  # with fewer, even planes may be chance
_FREE_TEXT = re.compile(
    rb"^([ \t]*<(Image_Filename|Name|Calibration_Unit)>)([^\r\n]*)(</\2>[ \t]*\r?)$", re.MULTILINE
)


@dataclass(frozen=True)
class CellCounter:
    """How the markers of a Cell Counter file become points.

    Attributes
    ----------
    channels : int or None
        Channels of the stack in which they were placed; None if the user did not state it, which
        means one.
    cells, no_cells : tuple of int
        Cell Counter's types that are labels; markers of other types have no label.
    """

    channels: int | None = None
    cells: tuple[int, ...] = ()
    no_cells: tuple[int, ...] = ()

    @classmethod
    def parse(cls, text: str) -> "CellCounter":
        """Return the conversion that ``cell-counter:channels=2,cell=1,no-cell=3`` describes.

        Raises
        ------
        InputError
            The text is not of this form.
        """
        numbers: dict[str, list[int]] = {"channels": [], "cell": [], "no-cell": []}
        _, _, options = text.partition(":")
        for option in options.split(",") if options else ():
            key, _, value = option.partition("=")
            if key not in numbers or not re.fullmatch("[0-9]{1,4}", value):
                raise _syntax_error(text)
            numbers[key].append(int(value))
        channels, cells, no_cells = numbers.values()
        types = cells + no_cells
        if len(channels) > 1 or len(set(types)) < len(types):
            raise _syntax_error(text)
        if channels and not 1 <= channels[0] <= _MOST_CHANNELS:
            raise _syntax_error(text)
        return cls(channels[0] if channels else None, tuple(cells), tuple(no_cells))

    def convert(self, xyz: "array[float]", types: "array[int]", source: str) -> "array[int]":
        """Turn slices of the stack into planes from 0, in place, and types into labels.

        Parameters
        ----------
        xyz : array of float64
            Markers x y z x y z ..., as in the file.
        types : array of int16
            Cell Counter's types.
        source : str
            Name of the file, for messages.

        Returns
        -------
        array of int16
            2 cell, 1 no cell, 0 no label.

        Raises
        ------
        InputError
            A slice is below 1, a type of a label has no marker, or the markers lie as in a stack
            of several channels while their number is not stated.
        """
        slices = np.frombuffer(xyz, np.float64)[2::3]
        slices[:] = np.trunc(slices)
        if (slices < 1).any():
            number = int(np.argmax(slices < 1))
            raise InputError(
                f"{source!r}: MarkerZ of marker {number + 1} is {slices[number]:g}; expected 1 or "
                "more, as Cell Counter counts. If cellfinder wrote the file, leave --points-from "
                "out."
            )
        if self.channels is None:
            _check_spacing(slices, source)
        slices[:] = (slices - 1) // (self.channels or 1)
        labels = np.zeros(len(types), np.int16)
        kinds = np.frombuffer(types, np.int16) if len(types) else labels
        for label, numbers in ((CELL, self.cells), (NO_CELL, self.no_cells)):
            for number in numbers:
                if number not in kinds:
                    present = ", ".join(map(str, np.unique(kinds)[:20])) or "none"
                    raise InputError(
                        f"{source!r} has no marker of type {number}; types with markers: {present}."
                    )
                labels[kinds == number] = label
        return array("h", labels.tobytes())

    @property
    def outside_cause(self) -> str:
        """Why a marker may lie outside the volume, in which it was placed by hand."""
        if self.channels is None:
            return (
                "Cell Counter counts the slices of all channels: state how many the stack had, "
                f"--points-from {CELL_COUNTER}:channels=N."
            )
        return f"Were the markers placed in a stack of {self.channels} channel(s), one time point?"


def parse_origin(text: str | None) -> CellCounter | str | None:
    """Return what ``--points-from`` states: a `CellCounter`, ``cellfinder``, or None.

    Raises
    ------
    InputError
        The text is neither ``cellfinder`` nor ``cell-counter`` with its options.
    """
    if text is None or text == CELLFINDER:
        return text
    if not isinstance(text, str) or text.partition(":")[0] != CELL_COUNTER:  # pyright: ignore[reportUnnecessaryIsInstance]  # of a data file
        raise _syntax_error(text)
    return CellCounter.parse(text)


def find_traits(head: bytes) -> set[str]:
    """Return the signs of Cell Counter at the start of a file that is not valid XML."""
    signs = {
        b"<Name>": NAMES_TYPES,
        b"_Calibration>": HAS_CALIBRATION,
        b"<Calibration_Unit>": HAS_CALIBRATION,
    }
    if b"<CellCounter_Marker_File>" not in head:
        return set()
    return {trait for sign, trait in signs.items() if sign in head}


def read_repaired(file: BinaryIO) -> Iterator[bytes]:
    """Yield the bytes of a Cell Counter file, with the free texts of their lines escaped."""
    rest = b""
    while chunk := file.read(MAX_TEXT):
        # Up to the last complete line, since a free text stands on one line.
        end = chunk.rfind(b"\n") + 1
        piece, rest = (rest + chunk[:end], chunk[end:]) if end else (rest + chunk, b"")
        yield _FREE_TEXT.sub(_escape, piece)
    if rest:
        yield rest


def _escape(match: "re.Match[bytes]") -> bytes:
    text = match[3].decode("utf-8", "replace")
    text = "".join(character if character.isprintable() else "?" for character in text)
    return match[1] + escape(text).encode("ascii", "xmlcharrefreplace") + match[4]


def _check_spacing(slices: np.ndarray, source: str) -> None:
    """Refuse markers that all lie on every second (third, ...) slice, as one channel of several."""
    planes = np.unique(slices)
    step = int(np.gcd.reduce(np.diff(planes).astype(np.int64))) if len(planes) > 1 else 1
    if step > 1 and len(planes) >= _FEW_PLANES:
        raise InputError(
            f"{source!r}: all markers lie {step} slices apart or a multiple of it, as in a stack "
            f"of {step} channels. State them: --points-from {CELL_COUNTER}:channels={step}, or "
            "channels=1 if every slice is a plane."
        )


def _syntax_error(text: object) -> InputError:
    return InputError(
        f"--points-from is {text!r:.100}; expected {CELLFINDER}, or {CELL_COUNTER} with options "
        f"such as {CELL_COUNTER}:channels=2,cell=1,no-cell=3 (a type has one meaning)."
    )
