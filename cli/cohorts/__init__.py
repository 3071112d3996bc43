"""Verbs for work on many brains or many machines."""

__all__ = []
