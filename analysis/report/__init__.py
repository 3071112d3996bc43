"""The report of a comparison: numbers, tables, plots, and the page that shows them."""

from .gallery import candidate_gallery
from .render import render_html, render_markdown
from .report import ModelFacts, build_report

__all__ = [
    "ModelFacts",
    "build_report",
    "candidate_gallery",
    "render_html",
    "render_markdown",
]
