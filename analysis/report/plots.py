"""Plots of a comparison as SVG elements, coloured by the page that holds them.

The plots have no background. Matplotlib draws all in black, which becomes the page's text colour
(`currentColor`). The gid of an artist becomes the class of its group, so that the page colours a
model's lines by ``.series-0``, ``.series-1``, ... and a line for reference by ``.quiet``: one
drawing serves light and dark screens and paper. A model keeps its colour and dashes in all plots.
"""

import io
import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any
from xml.etree import ElementTree

import matplotlib
from matplotlib.axes import Axes
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
AS_IT_IS = "as it is"  # key of the AUC of unchanged data
_QUIET = "quiet"  # class of lines for reference
QUIET_INK = "#565b64"  # on white

_STYLE = {
    "svg.fonttype": "none",  # text stays text
    "text.parse_math": False,  # a dollar is a dollar
    "font.size": 9,
    "lines.scale_dashes": False,
    "lines.linewidth": WIDTH,
    "font.sans-serif": ["DejaVu Sans"],  # for the sizes; `_make_inline` replaces it
    "axes.prop_cycle": "cycler('color', ['black'])",
    "axes.linewidth": 0.7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "black",
    "grid.alpha": 0.19,
    "grid.linewidth": 0.6,
    "xtick.major.width": 0.7,
    "ytick.major.width": 0.7,
}
_LARGE, _SMALL = (4.5, 3.7), (3.3, 2.7)  # inches


def class_of_model(number: int) -> str:
    """Return the class that gives the model with this number its colour on the page."""
    return f"series-{number % len(PALETTE)}"


def line_of_model(number: int) -> dict:
    """Return class and dashes of the model with this number, as matplotlib's arguments."""
    dashes = DASHES[number % len(DASHES)]
    return {
        "gid": class_of_model(number),
        "linestyle": (0, dashes) if dashes else "solid",
        "dash_capstyle": "butt",
    }


def inks() -> dict[str, str]:
    """Return the colour on white paper of each class that the drawings have."""
    series = {f"series-{number}": light for number, (light, _) in enumerate(PALETTE)}
    return {**series, _QUIET: QUIET_INK}


def draw_roc(models: Sequence[Mapping]) -> str:
    """Draw the true-positive against the false-positive rate, all models in one plot."""

    def draw(figure: Figure) -> None:
        axis = figure.subplots()
        axis.plot([0, 1], [0, 1], gid=_QUIET, linewidth=0.8)
        _draw_rates(axis, models, "roc", "false-positive rate", "recall (true-positive rate)")

    return _draw_svg("roc", "ROC curves", _LARGE, draw)


def draw_precision_recall(models: Sequence[Mapping], share: float | None = None) -> str:
    """Draw precision against recall, all models in one plot.

    Parameters
    ----------
    models : sequence of mapping
        Models of a report.
    share : float, optional
        Share of cells among the candidates, 0 to 1: the precision of a model that guesses.
    """

    def draw(figure: Figure) -> None:
        axis = figure.subplots()
        if share is not None:
            axis.axhline(share, gid=_QUIET, linewidth=0.8)
        _draw_rates(axis, models, "pr", "recall", "precision")

    return _draw_svg("pr", "Precision-recall curves", _LARGE, draw)


def draw_reliability(model: Mapping, number: int) -> str:
    """Draw the share of cells against the probability, above the number of candidates."""
    bins = model["reliability"]

    def draw(figure: Figure) -> None:
        axis, histogram = figure.subplots(2, sharex=True, height_ratios=(3, 1))
        axis.plot([0, 1], [0, 1], gid=_QUIET, linewidth=0.8)
        style = line_of_model(number)
        axis.plot(bins["probability"], bins["observed"], marker="o", ms=3.5, **style)
        _limit_to_unit_square(axis, "", "share of cells")
        gid = class_of_model(number)
        histogram.vlines(bins["probability"], 0, bins["count"], linewidth=5, gid=gid)
        histogram.set_xlabel("probability")
        histogram.set_ylabel("count")
        histogram.set_ylim(0)
        histogram.grid(False)
        histogram.yaxis.set_major_locator(MaxNLocator(2, integer=True))

    label = f"Reliability of {model['name']}"
    return _draw_svg(f"reliability-{number}", label, (3.3, 3.4), draw)


def draw_robustness(models: Sequence[Mapping], units: Mapping[str, str]) -> list[tuple[str, str]]:
    """Draw the AUC against the level of a change, in a plot for each kind of change.

    Levels are spaced evenly: they tend to double, and the smallest would overlap.

    Parameters
    ----------
    models : sequence of mapping
        Models without "robustness" are left out; the others keep their colours and dashes.
    units : mapping
        Kind -> unit. Unchanged data have level 1 if the unit is "times", else 0.

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
            axis.plot(steps, heights, marker="o", ms=3.5, **line_of_model(n))
        axis.set_xticks(range(len(keys)), [f"{level:g}" for level in keys])
        axis.set_xlim(-0.25, len(keys) - 0.75)
        axis.set_ylim(limits)
        axis.set_xlabel(unit or "level")
        axis.set_ylabel("AUC")

    plots = []
    for number, (kind, keys) in enumerate(levels.items()):
        unit = units.get(kind, "")
        label = f"AUC against {kind}"
        svg = _draw_svg(f"robustness-{number}", label, _SMALL, partial(draw, unit=unit, keys=keys))
        plots.append((kind, svg))
    return plots


def draw_losses(model: Mapping, number: int) -> str:
    """Draw training loss (solid) and validation loss (dashed) against the epoch."""
    curves = model["curves"]

    def draw(figure: Figure) -> None:
        axis = figure.subplots()
        marker = "." if len(curves["epoch"]) < 30 else ""
        style: dict[str, Any] = {"gid": class_of_model(number), "marker": marker}
        axis.plot(curves["epoch"], curves["loss"], **style)
        if curves["val_loss"]:
            # Leave out epochs without validation.
            pairs = zip(curves["epoch"], curves["val_loss"], strict=True)
            points = [(x, y) for x, y in pairs if y is not None]
            axis.plot(*zip(*points, strict=True), linestyle=(0, (4, 2)), **style)
        axis.set_xlabel("epoch")
        axis.set_ylabel("loss")
        axis.xaxis.set_major_locator(MaxNLocator(5, integer=True))

    return _draw_svg(f"loss-{number}", f"Loss of {model['name']}", _SMALL, draw)


def _draw_rates(
    axis: Axes, models: Sequence[Mapping], key: str, x_label: str, y_label: str
) -> None:
    for number, model in enumerate(models):
        if model[key]:
            axis.plot(model[key]["x"], model[key]["y"], **line_of_model(number))
    _limit_to_unit_square(axis, x_label, y_label)


def _limit_to_unit_square(axis: Axes, x_label: str, y_label: str) -> None:
    axis.set_xlim(-0.01, 1.01)
    axis.set_ylim(-0.01, 1.01)
    axis.set_xlabel(x_label)
    axis.set_ylabel(y_label)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _draw_svg(
    name: str, label: str, inches: tuple[float, float], draw: Callable[[Figure], None]
) -> str:
    """Draw on a figure and return its <svg> element.

    ``name`` seeds the ids of clip paths and markers: no two plots of a page may share it.
    """
    defaults: Any = {k: v for k, v in matplotlib.rcParamsDefault.items() if k != "backend"}
    # The defaults, not the user's style.
    with matplotlib.rc_context(defaults | _STYLE | {"svg.hashsalt": name}):
        figure = Figure(inches, layout="constrained")
        draw(figure)
        stream = io.StringIO()
        figure.savefig(stream, format="svg", transparent=True)
    return _make_inline(stream.getvalue(), label)


def _make_inline(text: str, label: str) -> str:
    """Reduce matplotlib's SVG file to an element of a page, in the page's colours and font."""
    root = ElementTree.fromstring(text)
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]  # HTML has no namespaces.
        element.text, element.tail = (element.text or "").strip(), ""
        attributes = {key.rpartition("}")[2]: _adapt(value) for key, value in element.items()}
        if element.tag == "g":
            gid = attributes.pop("id", "_")
            if "_" not in gid:  # Matplotlib's own ids have one, such as "line2d_1".
                attributes["class"] = gid
        element.attrib = attributes
    svg = ElementTree.Element("svg", {"viewBox": root.attrib["viewBox"], "role": "img"})
    svg.attrib |= {"aria-label": label, "fill": "currentColor", "stroke-linejoin": "round"}
    svg.extend(child for child in root if child.tag != "metadata" and child.find("style") is None)
    return ElementTree.tostring(svg, encoding="unicode")


def _adapt(value: str) -> str:
    """Set colour and font in an attribute, round coordinates to 0.01 points, and join lines."""
    value = value.replace("#000000", "currentColor").replace("'DejaVu Sans'", "system-ui")
    value = re.sub(r"-?\d+\.\d{3,}", lambda number: f"{float(number[0]):.2f}", value)
    return " ".join(value.split())
