"""docs/performance.md and its picture, from the stored figures.

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
# A whole brain for the estimate: candidates, planes, and a plane's voxels.
BRAIN = {"points": 10**6, "planes": 2500, "shape": (5000, 6000)}


def render(found: dict) -> str:
    """The page, Markdown."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE),
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        undefined=jinja2.StrictUndefined,
        autoescape=False,
    )
    environment.filters |= {"n": number, "spread": spread}
    int8 = json.loads((HERE / "int8.json").read_text())
    page = environment.get_template(TEMPLATE.name)
    return page.render(**found, accuracy=accuracy(), brain=BRAIN, int8=int8)


def number(value: float, digits: int = 2) -> str:
    """With so many significant digits, whole thousands apart."""
    rounded = float(f"{value:.{digits}g}")
    return f"{rounded:,.0f}" if abs(value) >= 10 ** (digits - 1) else f"{rounded:g}"


def spread(row: dict[str, float], digits: int = 2) -> str:
    """Median (least to most)."""
    value, low, high = (number(row[key], digits) for key in ("value", "low", "high"))
    return f"{value} ({low} to {high})"


def accuracy() -> dict[str, dict[str, float]]:
    """Means over the four blocks left out, of the contrast and the models that were on all."""
    stored = {path.stem: json.loads(path.read_text()) for path in HERE.glob("crossval/*.json")}
    four = {name: report["network"] for name, report in stored.items()}
    found = {name: rows["mean"] for name, rows in four.items() if len(rows) == 5}
    return {**found, "contrast": stored["attention3d"]["contrast"]["mean"]}


def draw(found: dict) -> None:
    """Average precision against points/s of the network stage, a line a model."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(6.4, 4))
    measured = accuracy()
    rates: dict[str, dict[str, float]] = {}
    for name, row in found["stages"]["models"].items():
        model, _, backend = name.partition(" ")
        if model in measured and model != "resnet50":
            rates.setdefault(model, {})[backend] = row["points_per_s"]["network"]["value"]
    for model, row in rates.items():
        level = measured[model]["average_precision"]
        (line,) = axes.plot(row.values(), [level] * len(row), label=model)
        for backend, marker in (("onnxruntime", "s"), ("openvino", "o")):
            if backend in row:
                axes.plot(row[backend], level, marker, color=line.get_color())
    for backend, marker in (("onnxruntime", "s"), ("openvino", "o")):
        axes.plot([], [], marker, color="0.3", label=backend)
    for name, label in (("resnet50", "ResNet-50"), ("contrast", "contrast")):
        if name in measured:
            axes.axhline(measured[name]["average_precision"], color="0.6", lw=1, ls="--")
            axes.text(
                1, measured[name]["average_precision"], f"{label} ", ha="right", va="bottom",
                color="0.4", transform=axes.get_yaxis_transform(),
            )  # fmt: skip
    axes.set_xscale("log")
    axes.set_xlabel(f"candidates a second, network alone, {found['computer']['threads']} CPU cores")
    axes.set_ylabel("average precision, blocks left out")
    axes.margins(x=0.1, y=0.1)
    axes.grid(alpha=0.3, which="both")
    axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False)
    figure.savefig(PICTURE, dpi=130, bbox_inches="tight", metadata={"Software": None})


def write(found: dict) -> None:
    """Both."""
    PAGE.write_text(render(found))
    draw(found)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        sys.exit(__doc__)
    write(json.loads((HERE / "speed.json").read_text()))
