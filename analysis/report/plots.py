"""Plots of a comparison as SVG for a page, which gives them their colours.

They have no background, and text, axes and lines take their colours from the page (`currentColor`
and the variables ``--quiet``, ``--faint``, ``--series-0``, ``--series-1``, ...), so that one
drawing serves light and dark screens and paper. A model has the same colour and dashes in all.
"""

import io
import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from html import escape
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

# (on white, on black). A search kept the contrast of each to its background at 3:1 or more, and all
# pairs distinct, also for people who lack one kind of cone (Machado et al. 2009).
PALETTE = (
    ("#008de5", "#3b81f6"),
    ("#e96a1a", "#e35300"),
    ("#08452c", "#3fe0a0"),
    ("#b07c8c", "#a86e94"),
    ("#674803", "#f5dc4a"),
    ("#3440cc", "#cde0fd"),
)
# On and off in points. With five of them, 30 models differ in colour or dashes.
DASHES = ((), (6, 2), (1.6, 1.6), (8, 2, 1.6, 2), (3, 2, 3, 2, 1.6, 2))
WIDTH = 1.7  # of a model's line, points
AS_IT_IS = "as it is"

# Placeholders that matplotlib can draw with, for colours that only the page knows. CSS cannot set
# them by gid instead: matplotlib writes colours into the style of each element, which CSS overrides
# only by !important, for every kind of artist anew.
_INK, _QUIET, _FAINT = "#010203", "#010204", "#010205"
_SERIES = tuple(f"#0103{n:02x}" for n in range(len(PALETTE)))
_NAMES = {_INK: "currentColor", _QUIET: "var(--quiet)", _FAINT: "var(--faint)"} | {
    colour: f"var(--series-{n})" for n, colour in enumerate(_SERIES)
}
_STYLE = {
    "svg.fonttype": "none",  # text stays text, in the font of the page
    "text.parse_math": False,  # a dollar is a dollar
    "font.size": 9,
    "lines.scale_dashes": False,
    "lines.linewidth": WIDTH,
    "text.color": _INK,
    "axes.labelcolor": _INK,
    "axes.edgecolor": _INK,
    "axes.linewidth": 0.7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": _FAINT,
    "grid.linewidth": 0.6,
    "xtick.color": _INK,
    "ytick.color": _INK,
    "xtick.major.width": 0.7,
    "ytick.major.width": 0.7,
}
_WIDE, _SMALL = (4.5, 3.7), (3.3, 2.7)  # inches


def line_of(number: int) -> dict:
    """Return colour and dashes of the model with this number, as matplotlib's arguments."""
    dashes = DASHES[number % len(DASHES)]
    return {
        "color": _SERIES[number % len(PALETTE)],
        "linestyle": (0, dashes) if dashes else "solid",
        "dash_capstyle": "butt",
    }


def draw_roc(models: Sequence[Mapping]) -> str:
    """Draw the true-positive against the false-positive rate, all models in one plot."""

    def draw(figure: Figure) -> None:
        axis = figure.subplots()
        axis.plot([0, 1], [0, 1], color=_QUIET, linewidth=0.8)
        _draw_rates(axis, models, "roc", "false-positive rate", "recall (true-positive rate)")

    return _svg("roc", "ROC curves", _WIDE, draw)


def draw_precision_recall(models: Sequence[Mapping], share: float | None = None) -> str:
    """Draw precision against recall, all models in one plot.

    Parameters
    ----------
    models : sequence of mapping
    share : float, optional
        Share of cells among the candidates, 0 to 1: the precision of a model that guesses.
    """

    def draw(figure: Figure) -> None:
        axis = figure.subplots()
        if share is not None:
            axis.axhline(share, color=_QUIET, linewidth=0.8)
        _draw_rates(axis, models, "pr", "recall", "precision")

    return _svg("pr", "Precision-recall curves", _WIDE, draw)


def draw_reliability(model: Mapping, number: int) -> str:
    """Draw the share of cells against the probability, above the number of candidates."""
    bins = model["reliability"]

    def draw(figure: Figure) -> None:
        axis, below = figure.subplots(2, sharex=True, height_ratios=(3, 1))
        axis.plot([0, 1], [0, 1], color=_QUIET, linewidth=0.8)
        axis.plot(bins["probability"], bins["observed"], marker="o", ms=3.5, **line_of(number))
        _limit_to_unit_square(axis, "", "share of cells")
        colour = line_of(number)["color"]
        below.vlines(bins["probability"], 0, bins["count"], colors=colour, linewidth=5)
        below.set_xlabel("probability")
        below.set_ylabel("count")
        below.set_ylim(0)
        below.grid(False)
        below.yaxis.set_major_locator(MaxNLocator(2, integer=True))

    label = f"Reliability of {model['name']}"
    return _svg(f"reliability-{number}", label, (3.3, 3.4), draw)


def draw_robustness(models: Sequence[Mapping], units: Mapping[str, str]) -> list[tuple[str, str]]:
    """Draw the AUC against the level of a change, in a plot for each kind of change.

    Levels are spaced evenly: they tend to double, and the smallest would overlap.

    Parameters
    ----------
    models : sequence of mapping
        Models without "robustness" are left out; the others keep their colours and dashes.
    units : mapping
        Kind -> unit. Data as they are have level 1 if the unit is "times", else 0.

    Returns
    -------
    list of (kind, SVG)
    """
    rows = [(n, model["robustness"]) for n, model in enumerate(models) if model["robustness"]]
    levels: dict[str, dict[float, str]] = {}
    for _, aucs in rows:
        for key in aucs:
            kind, _, level = key.rpartition(" ")
            if _is_number(level):
                levels.setdefault(kind, {})[float(level)] = key
    values = [auc for _, aucs in rows for auc in aucs.values() if auc is not None]
    if not values:
        return []
    # All plots have the same limits, so that kinds can be compared.
    margin = 0.06 * (max(values) - min(values)) or 0.01
    limits = min(values) - margin, max(values) + margin

    def draw(figure: Figure, unit: str, keys: Mapping[float, str]) -> None:
        axis = figure.subplots()
        if any(AS_IT_IS in aucs for _, aucs in rows):
            keys = {**keys, 1.0 if unit == "times" else 0.0: AS_IT_IS}
        keys = dict(sorted(keys.items()))
        for n, aucs in rows:
            steps = [i for i, key in enumerate(keys.values()) if aucs.get(key) is not None]
            heights = [aucs[list(keys.values())[i]] for i in steps]
            axis.plot(steps, heights, marker="o", ms=3.5, **line_of(n))
        axis.set_xticks(range(len(keys)), [f"{level:g}" for level in keys])
        axis.set_xlim(-0.25, len(keys) - 0.75)
        axis.set_ylim(limits)
        axis.set_xlabel(unit or "level")
        axis.set_ylabel("AUC")

    plots = []
    for number, (kind, keys) in enumerate(levels.items()):
        unit = units.get(kind, "")
        label = f"AUC against {kind}"
        svg = _svg(f"robustness-{number}", label, _SMALL, partial(draw, unit=unit, keys=keys))
        plots.append((kind, svg))
    return plots


def draw_losses(model: Mapping, number: int) -> str:
    """Draw training loss (solid) and validation loss (dashed) against the epoch."""
    curves = model["curves"]

    def draw(figure: Figure) -> None:
        axis = figure.subplots()
        colour = _SERIES[number % len(PALETTE)]
        marker = "." if len(curves["epoch"]) < 30 else ""
        axis.plot(curves["epoch"], curves["loss"], color=colour, marker=marker)
        if curves["val_loss"]:
            # Epochs without validation are left out.
            pairs = zip(curves["epoch"], curves["val_loss"], strict=True)
            points = [(x, y) for x, y in pairs if y is not None]
            axis.plot(
                *zip(*points, strict=True), color=colour, linestyle=(0, (4, 2)), marker=marker
            )
        axis.set_xlabel("epoch")
        axis.set_ylabel("loss")
        axis.xaxis.set_major_locator(MaxNLocator(5, integer=True))

    return _svg(f"loss-{number}", f"Loss of {model['name']}", _SMALL, draw)


def _draw_rates(axis: Axes, models: Sequence[Mapping], key: str, x: str, y: str) -> None:
    for number, model in enumerate(models):
        if model[key]:
            axis.plot(model[key]["x"], model[key]["y"], **line_of(number))
    _limit_to_unit_square(axis, x, y)


def _limit_to_unit_square(axis: Axes, x: str, y: str) -> None:
    axis.set_xlim(-0.01, 1.01)
    axis.set_ylim(-0.01, 1.01)
    axis.set_xlabel(x)
    axis.set_ylabel(y)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _svg(name: str, label: str, inches: tuple[float, float], draw: Callable[[Figure], None]) -> str:
    """Draw on a figure and return the <svg> element.

    ``name`` becomes the prefix of every id in it, so that one page can hold several plots.
    """
    defaults: Any = {k: v for k, v in matplotlib.rcParamsDefault.items() if k != "backend"}
    # The defaults, not the user's style.
    with matplotlib.rc_context(defaults | _STYLE | {"svg.hashsalt": name}):
        figure = Figure(inches, layout="constrained")
        FigureCanvasSVG(figure)
        draw(figure)
        stream = io.StringIO()
        metadata = dict.fromkeys(("Creator", "Date", "Format", "Type"))  # none of these
        figure.savefig(stream, format="svg", metadata=metadata, transparent=True)
    return _make_inline(stream.getvalue(), name, label)


def _make_inline(text: str, name: str, label: str) -> str:
    """Reduce matplotlib's file to what a page needs, in the page's colours and font."""
    box = text.partition('viewBox="')[2].partition('"')[0]
    body = text[text.index("</style>") : text.rindex("</svg>")]
    body = body.removeprefix("</style>").replace("</defs>", "", 1)
    targets = {a or b for a, b in re.findall(r'url\(#([^)]+)\)|href="#([^"]+)"', body)}

    def rewrite(tag: re.Match) -> str:  # only tags: the text between them stays as it is
        text = re.sub(r' id="([^"]+)"', lambda m: m[0] if m[1] in targets else "", tag[0])
        text = re.sub(r'( id="|url\(#|href="#)', rf"\g<1>{name}-", text)
        text = re.sub(r"#010[23][0-9a-f]{2}", lambda m: _NAMES[m[0]], text)
        text = re.sub(r"'DejaVu Sans'[^;\"]+", "system-ui, sans-serif", text)
        return re.sub(r"-?\d+\.\d{3,}", lambda m: f"{float(m[0]):.2f}", text)

    body = re.sub(r"<[^>]+>", rewrite, body)
    body = re.sub(r"\s*\n\s*", " ", body).strip()
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
        f'viewBox="{box}" role="img" aria-label="{escape(label)}" '
        f'stroke-linejoin="round">{body}</svg>'
    )
