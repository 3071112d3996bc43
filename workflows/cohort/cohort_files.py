"""Files of a cohort: a table with a row a brain, and a page that shows it."""

import csv
import importlib.util
import json
import logging
from collections.abc import Sequence
from pathlib import Path

from ... import __version__
from ...runtime.files import atomic_write
from .outliers import find_outliers
from .page import render_page
from .plan import Plan
from .record import COLUMNS, OUTLIER_COLUMN, Record

MARK = "cohort.json"  # by which a folder is known to be a cohort's
_log = logging.getLogger("cfzoo")
COHORT_FILES = ("cohort.csv", "cohort.parquet", "index.html", MARK)


def write_cohort(
    folder: Path, title: str, plans: Sequence[Plan], records: Sequence[Record]
) -> None:
    """Write the files of a cohort; ``cohort.parquet`` if pandas and pyarrow are installed.

    Parameters
    ----------
    folder : Path
    title : str
        Of the page.
    plans : sequence of Plan
    records : sequence of Record
        Of the same brains.

    Raises
    ------
    InputError, EnvironmentProblem
        See `atomic_write`.
    """
    own_names = list(plans[0].brain.own)
    names = [COLUMNS[0], *own_names, *COLUMNS[1:], OUTLIER_COLUMN]
    outliers = find_outliers(records)
    rows = [
        {**plan.brain.own, **record.row(), OUTLIER_COLUMN: "; ".join(reasons)}
        for plan, record, reasons in zip(plans, records, outliers, strict=True)
    ]
    with atomic_write(folder / "cohort.csv") as file:
        writer = csv.DictWriter(file, names, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    if all(importlib.util.find_spec(package) for package in ("pandas", "pyarrow")):
        try:
            _write_parquet(folder / "cohort.parquet", names, rows)
        except ImportError as error:  # as pandas says it, if one of the two is too old
            _log.warning("cohort.parquet is not written: %s", " ".join(str(error).split()))
    with atomic_write(folder / "index.html") as file:
        file.write(render_page(title, own_names, plans, records, outliers))
    with atomic_write(folder / MARK) as file:
        brains = [{"brain": plan.brain.name, "key": plan.results_key} for plan in plans]
        json.dump({"cfzoo": __version__, "brains": brains}, file, indent=1)


def _write_parquet(path: Path, names: Sequence[str], rows: Sequence[dict[str, object]]) -> None:
    import pandas

    frame = pandas.DataFrame(rows, columns=list(names)).replace({"": None})
    with atomic_write(path, "wb") as file:
        frame.to_parquet(file, engine="pyarrow", index=False)
