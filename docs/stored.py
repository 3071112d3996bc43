"""Numbers and tables of the pages, from the stored results: check them, or write them anew.

    python docs/stored.py            # what differs, and numbers that have no source
    python docs/stored.py --write    # put the stored numbers and tables into the pages

A number's source follows it as a comment that no reader sees: 0.894<!-- report/attention3d/auc -->.
A path leads through FILES; of a list it takes the rows that hold a word; `mean`, `sum`, `min` or
`max` at the end make one number of several, `A - B` and `A / B` of two. It is shown with as many
digits as the page has, and as a percentage before " %". Tables stand between
`<!-- table NAME -->` and `<!-- end -->`.
"""

import dataclasses
import importlib.util
import json
import re
import statistics
import sys
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from numpydoc.docscrape import ClassDoc

from cfzoo.runtime.artifact import Card, bundled, read_artifact

DOCS = Path(__file__).resolve().parent
ROOT = DOCS.parent

SOURCED = re.compile(
    r"(?P<number>[+−-]?\d[\d,]*(?:\.\d+)?)(?P<unit>\**(?: %)?)<!-- (?P<source>[^>]+?) -->"
)
TABLE = re.compile(r"<!-- table (\w+) -->\n(?:(?!<!-- table ).)*?<!-- end -->", re.DOTALL)
# What is no result: code, formulas, addresses, other comments, tables that are made.
ASIDE = re.compile(
    r"```.*?```|:::\{.*?:::|`[^`]*`|\$\$.*?\$\$|\$[^$\n]+\$|\]\([^)]*\)|<!--.*?-->|^---\n.*?^---$|<[^>]*>",
    re.DOTALL | re.MULTILINE,
)
# A figure of accuracy, speed, memory or count, rather than a small number in a sentence.
FIGURE = re.compile(
    r"(?<![\w.,/-])[+−-]?"
    r"(?:\d[\d,]*\.\d+|\d{1,3}(?:,\d{3})+|\d{3,}|\d+(?= (?:[kMG]B|ms|s|h)\b)|\d+(?= %))"
    r"(?![\w/]|[.,]\d)"
)
# Numbers that say what something is, was set to or must stay below, not what was measured.
GIVEN = re.compile(
    "|".join(
        (
            r"[\d.]+(?:\s+x\s+[\d.]+)+(?: um)?|[\d.]+ (?:to [\d.]+ )?um\b",  # cubes and voxels
            r"(?:arXiv|doi):\S+|(?<![.,\d])(?:19|20)\d\d\b|\b\d+\(\d+\)",  # references
            r"\bcfos-\d+|(?<![.,\d])(?:695|753|969|1008)\b",  # blocks
            r"95 % interval|9[59] % recall|95 % of the\s+cells|at most 5 %",
            r"Python 3\.\d+|ONNX \S+|cellfinder \S+|from 1\.11|BSD-3\S*",  # versions
            r"[Ss]chema \d\.\d|Version 1\.1|card of 1\.0|from 1 to 256|130, 143",  # reference/
            r"about 3 GB|1 GB, 100 planes|20 GB, 2000 planes|below 250 MB",  # pages
            r"below 0\.05",  # a target
            r"(?:for|after) 30 s\b|threshold of 0\.8|format 0\.5\.12|100,000 candidates too",
        )
    )
)


def pages() -> list[Path]:
    """README and every page of the site that no program writes."""
    made = {DOCS / "comparison" / "report.md", DOCS / "performance.md"}  # by test_figures.py
    return [ROOT / "README.md", *sorted(set(DOCS.rglob("*.md")) - made)]


def benchmark(name: str):
    """A file of benchmarks as a module."""
    path = ROOT / "benchmarks" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"benchmarks_{name}", path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _report() -> dict:
    """The comparison, each model's figures under their own names."""
    report = json.loads((DOCS / "comparison" / "report.json").read_text())
    models = {}
    for model in report["models"]:
        figures = dict(model["measures"])
        models[model["name"]] = {
            **{name: figure["value"] for name, figure in figures.items()},
            **(model["cost"] or {}),
            "interval": figures,
            "each": model["per_dataset"],
            "changed": model["robustness"],
        }
    pairs = {f"{pair['a']} against {pair['b']}": pair for pair in report["pairs"]}
    return {**models, "datasets": report["datasets"], "pairs": pairs}


# Rows of the README's table: name, whose speed, whose accuracy; neither is lent to the other.
ZOO = (
    ("[attention3d](model_cards/attention3d.md), the default", "attention3d", "attention3d"),
    ("attention3d-small, to train", "attention3d-small", "attention3d-small"),
    ("attention3d-tiny, to train", "attention3d-tiny", "attention3d-tiny"),
    ("[wavemix3d](model_cards/wavemix3d.md)", "wavemix3d", "wavemix3d"),
    ("[pipnet3d](model_cards/pipnet3d.md)", "pipnet3d", "pipnet3d"),
    ("cellfinder's ResNet-50, imported", "resnet50", ""),
    ("ResNet-50, trained as ours", "", "resnet50"),
    ("contrast, without training", "", "contrast"),
)

FILES: dict[str, Callable[[], Any]] = {
    "report": _report,
    "crossval": lambda: {
        path.stem: json.loads(path.read_text())
        for path in (ROOT / "benchmarks" / "crossval").glob("*.json")
    },
    "card": lambda: {
        name: dataclasses.asdict(read_artifact(path).card) for name, path in bundled().items()
    },
}


@cache
def stored(name: str) -> Any:
    """A file of FILES, or of benchmarks by its name."""
    if name in FILES:
        return FILES[name]()
    return json.loads((ROOT / "benchmarks" / f"{name}.json").read_text())


def value(source: str) -> float:
    """The number at a path; see the module."""
    for sign in (" - ", " / "):
        if sign in source:
            one, other = map(value, source.split(sign))
            return one - other if sign == " - " else one / other
    first, *rest = source.split("/")
    found = stored(first)
    for part in rest:
        found = _step(found, part)
    if not isinstance(found, (int, float)):
        raise KeyError(f"{source} is no number")
    return found


def _step(found: Any, part: str) -> Any:
    if isinstance(found, Mapping):
        return found[part]
    if all(isinstance(row, (int, float)) for row in found):
        return {"mean": statistics.mean, "sum": sum, "min": min, "max": max}[part](found)
    if all(part in row for row in found):
        return [row[part] for row in found]
    rows = [row for row in found if part in {_word(cell) for cell in row.values()}]
    return rows[0] if len(rows) == 1 else rows


def _word(cell: Any) -> str:
    return f"{cell:g}" if isinstance(cell, float) else str(cell)


def shown(old: str, unit: str, source: str) -> str:
    """The stored number, written as the page writes it."""
    digits = len(old.partition(".")[2])
    number = value(source) * (100 if "%" in unit else 1)
    text = f"{number:{'+' if old[0] in '+−' else ''}{',' if number >= 1000 else ''}.{digits}f}"
    return text.replace("-", "−")


def renewed(text: str) -> str:
    """A page with the stored numbers and tables."""
    text = SOURCED.sub(
        lambda m: f"{shown(m['number'], m['unit'], m['source'])}{m['unit']}<!-- {m['source']} -->",
        text,
    )
    return TABLE.sub(lambda m: f"<!-- table {m[1]} -->\n\n{table(m[1])}\n<!-- end -->", text)


def unsourced(text: str) -> Iterator[str]:
    """Figures of a page that have no source."""
    for pattern in (TABLE, SOURCED, ASIDE, GIVEN):
        text = pattern.sub(" ", text)
    for match in FIGURE.finditer(text):
        yield " ".join(text[max(0, match.start() - 40) : match.end() + 20].split())


def models_table() -> str:
    """What each model is good for, in one row."""
    lines = [
        "| model | AUC | average precision | points a second, CPU | file, MB | parameters |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for name, row in stored("report").items():
        if name in ("datasets", "pairs"):
            continue
        speed = row.get("points_per_s", {}).get("value")
        figures = ((speed, ",.0f"), (row.get("file_mb"), ".1f"), (row.get("parameters"), ",d"))
        cells = [name, f"{row['auc']:.3f}", f"{row['average_precision']:.3f}"]
        cells += ["–" if number is None else f"{number:{form}}" for number, form in figures]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def zoo_table() -> str:
    """Accuracy and speed of what is released, of what can be trained, and of cellfinder's."""
    page, found = benchmark("performance_page"), stored("speed")
    stages, runs = found["stages"]["models"], found["runs"]
    lines = [
        "| model | mean AUC | average precision | points/s | with OpenVINO | times cellfinder |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for name, model, accuracy in ZOO:
        row = page.accuracy().get(accuracy, {})
        cells = [f"{row[k]:.3f}" if row else "" for k in ("auc", "average_precision")]
        if model:
            rates = [stages[f"{model} {b}"]["points_per_s"] for b in ("onnxruntime", "openvino")]
            cells += [page.number(rate["network"]["value"], 3) for rate in rates]
            whole = rates[-1]["whole"]["value"] / runs["cellfinder"]["points_per_s"]["value"]
            beside = runs.get(f"{model} openvino", {}).get("times_cellfinder", {})
            cells.append(page.number(beside.get("value", whole)))
        else:
            cells += [""] * 3
        lines.append(f"| {' | '.join([name, *cells])} |")
    return "\n".join(lines) + "\n"


def calibration_table() -> str:
    """What labels of the same block do for the probabilities of attention3d."""
    compare = benchmark("compare")
    raw = compare.stored()
    counts = (50, 100, 200)
    errors = [f"{compare.with_own_labels(raw, 'attention3d', n):.3f}" for n in counts]
    none = f"{stored('report')['attention3d']['ece']:.3f}"
    return (
        f"| labels of the block | 0 | {' | '.join(map(str, counts))} |\n|---|---:|---:|---:|---:|\n"
        f"| calibration error on the rest | {none} | {' | '.join(errors)} |\n"
    )


def card_table() -> str:
    """The fields of a card, from the class that reads it."""
    fields = {field.name: field for field in dataclasses.fields(Card)}
    lines = ["| field | type | default | meaning |", "|---|---|---|---|"]
    for entry in ClassDoc(Card)["Attributes"]:
        for name in entry.name.split(", "):
            field = fields.pop(name)
            if name in ("digest", "extra"):
                continue  # not in the JSON under this name
            default = "required"
            if field.default is not dataclasses.MISSING:
                default = f"`{json.dumps(field.default)}`"
            elif field.default_factory is not dataclasses.MISSING:
                default = "`{}`"
            text = " ".join(entry.desc).replace("``", "`")
            lines.append(f"| `{name}` | {entry.type} | {default} | {text} |")
    if fields:
        raise KeyError(f"Card does not document {', '.join(fields)}")
    return "\n".join(lines) + "\n"


@cache
def table(name: str) -> str:
    """A table of TABLES as Markdown."""
    return TABLES[name]()


TABLES: dict[str, Callable[[], str]] = {
    "calibration": calibration_table,
    "card": card_table,
    "maps": lambda: benchmark("explain").table(stored("explain")),
    "models": models_table,
    "zoo": zoo_table,
}


def complaints() -> list[str]:
    """What differs from the stored results, and what has no source."""
    found = []
    for page in pages():
        text, name = page.read_text(), page.relative_to(ROOT)
        for old, new in zip(text.splitlines(), renewed(text).splitlines(), strict=False):
            if old != new:
                found.append(f"{name} says:\n    {old}\nthe stored results say:\n    {new}")
        found += [f"{name}: no source: ... {figure}" for figure in unsourced(text)]
    return found


def write() -> None:
    """Put the stored numbers and tables into the pages."""
    for page in pages():
        page.write_text(renewed(page.read_text()))


if __name__ == "__main__":
    if "--write" in sys.argv:
        write()
    told = complaints()
    print("\n".join(told))
    sys.exit(bool(told))
