"""The results of `benchmarks/gpu.py` as tables in Markdown; needs nothing but Python."""

REHEARSAL = "A rehearsal on the CPU: none of these figures is one of a GPU.\n"
HEADS = {  # of the parts, their columns
    "answers": (
        "configuration",
        "points",
        "largest_difference",
        "is_accepted",
        "other_labels",
        "spearman",
        "auc",
    ),
    "rates": ("configuration", "feed", "batch", "points_per_s", "share", "nodes_elsewhere"),
    "feeding": ("stage", "points_per_s", "slowest", "whole_over_network"),
    "failures": ("case", "provider", "is_right"),
    "blind": ("case", "provider", "is_right"),
    "devices": ("device", "case", "points_per_s", "largest_difference", "is_right"),
    "beside": ("program", "points", "seconds", "points_per_s"),
}
TEXTS = ("note", "error", "remarks")


def render(results: dict) -> str:
    """Return all parts, each with how it ended."""
    blocks = [REHEARSAL] if results["rehearsal"] else []
    for row in results["parts"].get("chip", {}).get("rows", []):
        names = ", ".join(row["devices"])
        peaks = ", ".join(f"{k} {v / 1e12:.3g}" for k, v in row["peak_flop_per_s"].items())
        versions = ", ".join(f"{k} {v}" for k, v in row["versions"].items())
        blocks.append(f"{names}; peak, TFLOP/s: {peaks or 'unknown'}; {versions}.\n")
    for name, part in results["parts"].items():
        title = f"**{name}**: {part['status']}"
        title += f", {part['seconds']:g} s" if "seconds" in part else ""
        heads = HEADS.get(name.split()[0])
        blocks.append(title + "\n")
        if heads and part["rows"]:
            blocks.append(_table((*heads, "remark"), [_cells(row, heads) for row in part["rows"]]))
    return "\n".join(blocks)


def _cells(row: dict, heads: tuple[str, ...]) -> list[str]:
    words = [
        row[key] if isinstance(row[key], str) else " ".join(row[key]) for key in TEXTS if key in row
    ]
    return [*(_format(head, row.get(head)) for head in heads), " ".join(words).replace("|", "/")]


def _format(head: str, value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "NO"
    if head == "share" and isinstance(value, float):
        return f"{100 * value:.1f} %"
    if head == "points_per_s" and isinstance(value, float):
        return f"{value:,.0f}"
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _table(heads: tuple[str, ...], rows: list[list[str]]) -> str:
    lines = [
        f"| {' | '.join(head.replace('_', ' ') for head in heads)} |",
        f"|{'---|' * len(heads)}",
    ]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)]) + "\n"
