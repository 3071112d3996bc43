"""Kinds of attributes: the type and the range that each value must have."""

import math
from dataclasses import dataclass

from .node import Value

MAX_WINDOW = 256  # the largest kernel, stride or pad; the side of the largest cube


@dataclass(frozen=True)
class Integer:
    """An integer in a range."""

    low: int
    high: int

    def accepts(self, value: Value) -> bool:
        """Whether the value is of this kind."""
        return isinstance(value, int) and self.low <= value <= self.high

    def __str__(self):
        return f"an integer from {self.low} to {self.high}"


@dataclass(frozen=True)
class Integers:
    """A list of integers in a range, with a bounded length."""

    low: int
    high: int
    shortest: int = 1
    longest: int = 3

    def accepts(self, value: Value) -> bool:
        """Whether the value is of this kind."""
        return (
            isinstance(value, tuple)
            and self.shortest <= len(value) <= self.longest
            and all(self.low <= number <= self.high for number in value)
        )

    def __str__(self):
        return f"{self.shortest} to {self.longest} integers, each from {self.low} to {self.high}"


@dataclass(frozen=True)
class Number:
    """A finite number in a range."""

    low: float = -1e6
    high: float = 1e6

    def accepts(self, value: Value) -> bool:
        """Whether the value is of this kind."""
        return isinstance(value, float) and math.isfinite(value) and self.low <= value <= self.high

    def __str__(self):
        return f"a number from {self.low:g} to {self.high:g}"


@dataclass(frozen=True)
class Word:
    """One of several words."""

    words: tuple[str, ...]

    def accepts(self, value: Value) -> bool:
        """Whether the value is of this kind."""
        return isinstance(value, str) and value in self.words

    def __str__(self):
        return " or ".join(self.words)


Attribute = Integer | Integers | Number | Word

FLAG = Integer(0, 1)
OFF, ON = Integer(0, 0), Integer(1, 1)
AXIS = Integer(-8, 8)
EPSILON = Number(1e-12, 1.0)
LENGTHS = Integers(1, MAX_WINDOW)  # of a kernel, its strides or its dilations
PADS = Integers(0, MAX_WINDOW, 2, 6)
