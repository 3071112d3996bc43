"""The report of a comparison as a page for a browser, and as Markdown.

Both show the same tables; the page adds plots, pictures and a threshold slider.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from . import plots
from .spreadsheet import render_csv
from .tables import WORDS, Cell, Table, build_tables


def render_html(report: Mapping) -> str:
    """Render one page that needs no other file and no network.

    The same report gives the same text.

    Parameters
    ----------
    report : mapping
        The report that `compare` returns and report.json holds.

    Returns
    -------
    str
        HTML.

    Raises
    ------
    InputError
        The report has another schema.
    """
    tables = build_tables(report)
    counts = [
        {key: model[key] for key in ("name", "threshold", "confusion", "counts")}
        for model in report["models"]
        if model["counts"] and model["confusion"]
    ]
    names = {"report": report, "tables": tables, "counts": counts}
    return render_page("report.html.j2", **names, plots=plots, csv=render_csv) + "\n"


def render_page(template: str, **names: Any) -> str:
    """Render a template of this folder as HTML; texts are escaped."""
    environment = Environment(
        loader=PackageLoader("cfzoo.analysis.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
    )
    return environment.get_template(template).render(names)


def render_markdown(report: Mapping) -> str:
    """Render all numbers of a report as tables, without pictures.

    The same report gives the same text.

    Parameters
    ----------
    report : mapping
        The report that `compare` returns and report.json holds.

    Returns
    -------
    str
        Markdown.

    Raises
    ------
    InputError
        The report has another schema.
    """
    tables = build_tables(report)
    parts = [f"# {_escape(report['title'])}"]
    for title, names in {
        "Results": ["ranking", "decisions"],
        "Differences between models": ["pairs"],
        "Each data set": [name for name in tables if name.startswith("dataset ")],
        "Robustness": ["robustness"],
        "Cost": ["cost"],
        "Data": ["datasets"],
        "Models": ["models"],
    }.items():
        if texts := [_render_table(tables[name]) for name in names if name in tables]:
            parts += [f"## {title}", *texts]
    parts += ["## Notes", *map(_escape, report["notes"])]
    # A fence longer than any in the command, so that the command cannot end it.
    fence = "`" * max([3, *(1 + len(run) for run in re.findall("`+", report["command"]))])
    parts.append(f"## Made by\n\n{fence}\n{report['command']}\n{fence}")
    return "\n\n".join(parts) + "\n"


def _render_table(table: Table) -> str:
    def join_cells(cells: Sequence[str]) -> str:
        return f"| {' | '.join(cells)} |"

    def render_cell(cell: Cell) -> str:
        text = f"**{_escape(cell.text)}**" if cell.best else _escape(cell.text)
        return "<br>".join(filter(None, (text, cell.interval, cell.note)))

    heads = join_cells([_escape(heading) for heading, _ in table.columns])
    rule = join_cells(["---" if way is WORDS else "---:" for _, way in table.columns])
    rows = [join_cells(list(map(render_cell, row))) for row in (*table.rows, table.foot) if row]
    return "\n".join([_escape(table.caption), "", heads, rule, *rows])


def _escape(text: str) -> str:
    """Escape plain text so that Markdown does not interpret it as markup."""
    text = re.sub(r"([\\`*_\[\]|~$])", r"\\\1", " ".join(text.split()))
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"^(\d*)([-+.)#])(?=[-#\s]|$)", r"\1\\\2", text)
