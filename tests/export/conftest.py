"""Exports are traced without notes of where each node comes from: a seventh of their time."""

from torch.fx import config

if hasattr(config, "do_not_emit_stack_traces"):
    config.do_not_emit_stack_traces = True
