"""Columns of a table of points beside its coordinates: they are kept as text and written again."""

from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate, islice, pairwise

# The columns of a points.csv; the last only for an ensemble.
OWN_COLUMNS = ("x", "y", "z", "type", "probability", "flag", "uncertainty")
MAX_BYTES = 1 << 32  # of all rows of one table


@dataclass(frozen=True)
class Columns:
    r"""Further columns of a table, in the order of its rows.

    The rows are kept as one text, because a Python object per field would take ten times as much.

    Attributes
    ----------
    names : tuple of str
    text : bytes
        The rows, fields separated by commas and quoted where necessary, without line ends. UTF-8;
        bytes that are not UTF-8 are those of the file.
    ends : array of int64
        End of each row in ``text``.
    """

    names: tuple[str, ...]
    text: bytes | bytearray
    ends: "array[int]"

    @classmethod
    def of(cls, names: Iterable[str], rows: Iterable[Sequence[str]]) -> "Columns":
        """Return columns of these names and rows of fields."""
        columns = cls(tuple(names), bytearray(), array("q"))
        columns.extend(list(rows))
        return columns

    def __len__(self) -> int:
        return len(self.ends)

    def extend(self, rows: Sequence[Sequence[str]]) -> None:
        """Add rows while the table is read; ValueError if the table becomes too large."""
        assert isinstance(self.text, bytearray)
        lines = [join_fields(fields).encode("utf-8", "surrogateescape") for fields in rows]
        lengths = accumulate(map(len, lines), initial=len(self.text))
        self.ends.extend(islice(lengths, 1, None))  # without the initial length
        self.text.extend(b"".join(lines))
        if len(self.text) > MAX_BYTES:
            raise ValueError(f"the further columns have more than {MAX_BYTES} bytes. Remove some.")

    def title(self) -> str:
        """Return the part of the header line."""
        return join_fields(self.names)

    def rows(self, start: int, stop: int) -> list[str]:
        """Return the parts of some lines, without line ends."""
        first = self.ends[start - 1] if start else 0
        bounds = pairwise([first, *self.ends[start:stop]])
        return [self.text[a:b].decode("utf-8", "surrogateescape") for a, b in bounds]


def join_fields(fields: Sequence[str]) -> str:
    """Return fields as a line of a CSV file, without its end."""
    line = ",".join(fields)
    if '"' in line or "\n" in line or "\r" in line or line.count(",") != len(fields) - 1:
        return ",".join(map(_quote, fields))
    return line


def _quote(field: str) -> str:
    """Return a field, in quotes if it needs them."""
    if any(mark in field for mark in ',"\r\n'):
        return '"' + field.replace('"', '""') + '"'
    return field
