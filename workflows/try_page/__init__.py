"""A page that classifies candidates in a browser, with the artifacts themselves."""

from .try_page import TryPage, write_try_page

__all__ = ["TryPage", "write_try_page"]
