"""Verbs that show what a model's answers are based on."""

__all__ = []
