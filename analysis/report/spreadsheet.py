"""Tables of a report as CSV, for spreadsheets and other programs."""

import csv
import io

from .tables import NOTHING, Cell, Table


def render_csv(table: Table) -> str:
    """Render a table as CSV, with all digits of its numbers and a row for the totals, if any.

    The ends of an interval, and other numbers below a cell, have columns of their own after it.

    Parameters
    ----------
    table : Table

    Returns
    -------
    str
        Lines end in a newline alone. A missing value is empty.
    """
    rows = [*table.rows, *([table.foot] if table.foot else [])]
    names = [
        list(dict.fromkeys(name for row in rows for name in row[column].parts))
        for column in range(len(table.columns))
    ]
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(
        word
        for (heading, _), parts in zip(table.columns, names, strict=True)
        for word in (heading, *(f"{heading} {part}" for part in parts))
    )
    for row in rows:
        writer.writerow(
            word
            for (_, way), cell, parts in zip(table.columns, row, names, strict=True)
            for word in (
                _write_value(cell, way is None),
                *(_write_number(cell.parts.get(part)) for part in parts),
            )
        )
    return stream.getvalue()


def _write_value(cell: Cell, is_text: bool) -> str:
    if not is_text:
        return _write_number(cell.value)
    text = "" if cell.text == NOTHING else cell.text
    # A spreadsheet would run such a text as a formula.
    return f"'{text}" if text.startswith(("=", "+", "-", "@")) else text


def _write_number(value: float | None) -> str:
    return "" if value is None else str(value)
