"""Write docs/performance.md and its picture from the stored figures.

python benchmarks/performance_page.py
"""

import json
import sys
from pathlib import Path

import jinja2

HERE = Path(__file__).parent
DOCS = HERE.parent / "docs"
PAGE = DOCS / "performance.md"
PICTURE = DOCS / "performance.png"
TEMPLATE = HERE / "performance.md.j2"
# The whole brain of the estimate: candidates, planes, and voxels (y, x) of a plane.
BRAIN = {"points": 10**6, "planes": 2500, "shape": (5000, 6000)}


def render(figures: dict) -> str:
    """Return the page in Markdown."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE),
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        undefined=jinja2.StrictUndefined,
        autoescape=False,
    )
    environment.filters |= {"n": format_number, "spread": format_spread}
    page = environment.get_template(TEMPLATE.name)
    others = {name: read_stored(name) for name in ("int8", "planes")}
    return page.render(
        **figures, **others, accuracy=read_accuracy(), brain=BRAIN, gpu=describe_gpu()
    )


def read_stored(name: str) -> dict:
    """Return stored results of a benchmark."""
    return json.loads((HERE / "results" / f"{name}.json").read_text(encoding="utf-8"))


def describe_gpu() -> str:
    """Return the tables of `benchmarks/gpu.py`, "" if it has never run on a GPU."""
    if not (HERE / "results" / "gpu.json").exists():
        return ""
    sys.path.insert(0, str(HERE / "gpu"))
    from table import render

    return render(read_stored("gpu"))


def format_number(value: float, digits: int = 2) -> str:
    """Format a number with some significant digits and commas between thousands."""
    rounded = float(f"{value:.{digits}g}")
    return f"{rounded:,.0f}" if abs(value) >= 10 ** (digits - 1) else f"{rounded:g}"


def format_spread(row: dict[str, float], digits: int = 2) -> str:
    """Format a median with its range as ``median (low to high)``."""
    value, low, high = (format_number(row[key], digits) for key in ("value", "low", "high"))
    return f"{value} ({low} to {high})"


def read_accuracy() -> dict[str, dict[str, float]]:
    """Return mean scores over the four held-out blocks, of the contrast and of complete models."""
    reports = {
        path.stem: json.loads(path.read_text(encoding="utf-8"))
        for path in HERE.glob("crossval/*.json")
    }
    blocks = {name: report["network"] for name, report in reports.items()}
    # Four blocks and their mean; ResNet-50 with cellfinder's recipe has fewer.
    means = {name: rows["mean"] for name, rows in blocks.items() if len(rows) == 5}
    return {**means, "contrast": reports["attention3d"]["contrast"]["mean"]}


def draw(figures: dict) -> None:
    """Plot average precision against points/s of the network stage, one line per model."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(6.4, 4))
    accuracy = read_accuracy()
    rates: dict[str, dict[str, float]] = {}
    for name, row in figures["stages"]["models"].items():
        model, _, backend = name.partition(" ")
        if model in accuracy and model != "resnet50":
            rates.setdefault(model, {})[backend] = row["points_per_s"]["network"]["value"]
    for model, row in rates.items():
        level = accuracy[model]["average_precision"]
        (line,) = axes.plot(row.values(), [level] * len(row), label=model)
        for backend, marker in (("onnxruntime", "s"), ("openvino", "o")):
            if backend in row:
                axes.plot(row[backend], level, marker, color=line.get_color())
    for backend, marker in (("onnxruntime", "s"), ("openvino", "o")):
        axes.plot([], [], marker, color="0.3", label=backend)
    for name, label in (("resnet50", "ResNet-50"), ("contrast", "contrast")):
        if name in accuracy:
            axes.axhline(accuracy[name]["average_precision"], color="0.6", lw=1, ls="--")
            axes.text(
                1, accuracy[name]["average_precision"], f"{label} ", ha="right", va="bottom",
                color="0.4", transform=axes.get_yaxis_transform(),
            )  # fmt: skip
    axes.set_xscale("log")
    axes.set_xlabel(
        f"candidates a second, network alone, {figures['computer']['threads']} CPU cores"
    )
    axes.set_ylabel("average precision, blocks left out")
    axes.margins(x=0.1, y=0.1)
    axes.grid(alpha=0.3, which="both")
    axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False)
    figure.savefig(PICTURE, dpi=130, bbox_inches="tight", metadata={"Software": None})


def write(figures: dict) -> None:
    """Write the page and the picture."""
    PAGE.write_text(render(figures), encoding="utf-8")
    draw(figures)


def refresh() -> None:
    """Write the page and the picture from the stored figures."""
    write(read_stored("speed"))


if __name__ == "__main__":
    if len(sys.argv) > 1:
        sys.exit(__doc__)
    refresh()
