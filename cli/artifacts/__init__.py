"""Verbs about artifacts as files: which there are, who signed them."""

__all__ = []
