"""The report of a comparison: figures, tables, plots, and the page that shows them."""

from .gallery import candidate_gallery
from .render import render_html, render_markdown
from .report import Entrant, report_of

__all__ = [
    "Entrant",
    "candidate_gallery",
    "render_html",
    "render_markdown",
    "report_of",
]
