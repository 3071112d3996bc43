"""Results as cellfinder's XML, for cellfinder, brainmapper and napari."""

from pathlib import Path

import numpy as np

from ..files import atomic_write
from ..points import CELL, NO_CELL
from .outcomes import Outcomes


def write_xml(path: str | Path, outcomes: Outcomes) -> None:
    """Write the classified points as cellfinder's XML: first no cells, then cells, each in order.

    brainglobe-utils writes coordinates below 1 as 1; this function keeps them, and
    brainglobe-utils can read them. Fractions are kept too; brainglobe-utils and cellfinder
    truncate them on reading.

    Parameters
    ----------
    path : str or Path
    outcomes : Outcomes

    Raises
    ------
    InputError, EnvironmentProblem
        See `atomic_write`.
    """
    with atomic_write(path) as file:
        file.write(
            '<?xml version="1.0" encoding="UTF-8"?>\n'
            "<CellCounter_Marker_File>\n"
            "  <Image_Properties>\n"
            "    <Image_Filename>placeholder.tif</Image_Filename>\n"
            "  </Image_Properties>\n"
            "  <Marker_Data>\n"
            "    <Current_Type>1</Current_Type>\n"
        )
        for point_type in (NO_CELL, CELL):
            rows = np.flatnonzero(outcomes.types == point_type)
            if not len(rows):
                continue
            file.write(f"    <Marker_Type>\n      <Type>{point_type}</Type>\n")
            for x, y, z, *_ in outcomes.format_chunks(rows):
                file.writelines(
                    "      <Marker>\n"
                    f"        <MarkerX>{a}</MarkerX>\n"
                    f"        <MarkerY>{b}</MarkerY>\n"
                    f"        <MarkerZ>{c}</MarkerZ>\n"
                    "      </Marker>\n"
                    for a, b, c in zip(x, y, z, strict=True)
                )
            file.write("    </Marker_Type>\n")
        file.write("  </Marker_Data>\n</CellCounter_Marker_File>\n")
