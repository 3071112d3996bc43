"""Results from rows, and the writers of files."""

import numpy as np

from cfzoo.runtime.results import Flag, Results, write_csv, write_xml, write_yaml

WRITERS = {"csv": write_csv, "xml": write_xml, "yaml": write_yaml}


def make_results(rows):
    """Return results from rows of (z, y, x, type, probability, flag)."""
    z, y, x, types, probability, flags = zip(*rows, strict=True) if rows else [()] * 6
    return Results(
        np.array([z, y, x], np.float64).T.reshape(-1, 3),
        np.array(types, np.int8),
        np.array(probability, np.float32),
        np.array(flags, np.uint8),
    )


RESULTS = make_results(
    [
        (3, 2, 0, 2, 0.9, Flag.OK),
        (30, 20, -1, 0, np.nan, Flag.OUTSIDE),
        (5, 2, 1, 1, 1e-7, Flag.EDGE),
        (3, 2, 0, 2, 1.0, Flag.EDGE),
        (4, 4, 4, 0, np.nan, Flag.NAN),
        (1, 1, -0.0, 0, np.nan, Flag.DROPPED),
    ]
)
