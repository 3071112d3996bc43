"""Verbs by which a model learns from a few labels of a user."""

__all__ = []
