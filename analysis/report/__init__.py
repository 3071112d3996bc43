"""The report of a comparison: numbers, tables, plots, and the page that shows them."""

from .gallery import candidate_gallery
from .render import render_html, render_markdown
from .report import ModelFacts, build_report
from .suspects import list_suspects, render_suspects

__all__ = [
    "ModelFacts",
    "build_report",
    "candidate_gallery",
    "list_suspects",
    "render_html",
    "render_markdown",
    "render_suspects",
]
