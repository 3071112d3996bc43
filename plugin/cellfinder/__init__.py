"""cellfinder's own widget: the switch that makes it take artifacts, and the line that says so."""

from .switch import CellfinderSwitch

__all__ = ["CellfinderSwitch"]
