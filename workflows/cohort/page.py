"""Page of a cohort: one HTML file with a row a brain, which needs no other file and no network.

A content security policy allows the page's own script and style, by their hashes, and nothing else.
"""

import html
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np

from ... import __version__
from ...runtime.labelling import hash_for_policy, json_for_html
from .plan import Plan
from .record import Record

_FOLDER = Path(__file__).with_name("page")
_MARK = re.compile(r"\{\{(\w+)\}\}")


def render_page(
    title: str,
    own_names: Sequence[str],
    plans: Sequence[Plan],
    records: Sequence[Record],
    outliers: Sequence[Sequence[str]],
) -> str:
    """Render the page.

    Parameters
    ----------
    title : str
    own_names : sequence of str
        Names of the user's own columns.
    plans : sequence of Plan
    records : sequence of Record
    outliers : sequence of sequence of str
        Why each brain stands out.

    Returns
    -------
    str
        HTML. The same input gives the same text.
    """
    rows = [
        _describe(plan, record, reasons, own_names)
        for plan, record, reasons in zip(plans, records, outliers, strict=True)
    ]
    done = [record for record in records if not record.failure]
    points = sum((record.counts or {}).get("points", 0) for record in done)
    failed = f", {len(records) - len(done)} failed" if len(done) < len(records) else ""
    models = ", ".join(dict.fromkeys(record.model for record in done))
    script, style = _read("cohort.js"), _read("cohort.css")
    parts = {
        "title": html.escape(title),
        "subtitle": html.escape(
            f"{len(records)} brains{failed}, {points:,} candidates; {models}; cfzoo {__version__}"
        ),
        "script": script,
        "script_hash": hash_for_policy(script),
        "style": style,
        "style_hash": hash_for_policy(style),
        "data": json_for_html({"own": list(own_names), "brains": rows}),
    }
    return _MARK.sub(lambda match: parts[match[1]], _read("cohort.html"))


def _describe(
    plan: Plan, record: Record, reasons: Sequence[str], own_names: Sequence[str]
) -> dict[str, Any]:
    """Return what the script shows of a brain; null for numbers that are not known."""
    row = record.row()
    return {
        "brain": record.name,
        "link": f"{quote(record.name)}/points.csv" if not record.failure else "",
        "own": [plan.brain.own[name] for name in own_names],
        "reasons": list(reasons),
        "notes": list(record.notes),
        "failure": record.failure,
        "reaching": list(record.at_least),
        "classified": record.at_least[0] if record.at_least else 0,
        "exact": record.threshold if np.isfinite(record.threshold) else None,
        **{
            name: row[name] if row[name] != "" else None
            for name in ("points", "cells", "not_classified", "edge", "shift", "verdict", "seconds")
        },
    }


def _read(name: str) -> str:
    return (_FOLDER / name).read_text(encoding="utf-8")
