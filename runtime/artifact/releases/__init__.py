"""Releases of the zoo: names with versions, and the table of what was released and deprecated."""

from .pin import Pin
from .release import Release, Releases, read_releases

__all__ = ["Pin", "Release", "Releases", "read_releases"]
