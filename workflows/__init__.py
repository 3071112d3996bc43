"""Workflows: what a verb of the command line does, as one function each."""
