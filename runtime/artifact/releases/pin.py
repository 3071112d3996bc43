"""The name of a model, perhaps with a version: ``NAME`` or ``NAME@VERSION``."""

from dataclasses import dataclass

from ..card import is_name, is_version


@dataclass(frozen=True)
class Pin:
    """A model's name, and the version that is asked for.

    Attributes
    ----------
    name : str
    version : str
        "" for the latest.
    is_explicit : bool
        Whether the version was given with ``@``, which no file name of cfzoo has.
    """

    name: str
    version: str = ""
    is_explicit: bool = False

    @classmethod
    def parse(cls, text: str) -> "Pin | None":
        """Parse ``NAME``, ``NAME@VERSION``, or the file name ``NAME-VERSION``; None for others.

        Each may end with ``.onnx``.
        """
        text = text.removesuffix(".onnx")
        for mark in ("@", "-"):
            name, separator, version = text.rpartition(mark)
            if separator and is_name(name) and (is_version(version) or (mark == "@" and version)):
                return cls(name, version, mark == "@")
        return cls(text) if is_name(text) else None

    def __str__(self) -> str:
        return f"{self.name}@{self.version}" if self.version else self.name
