"""The tables of README and docs that are generated from the stored results, in Markdown."""

import dataclasses
import json
from collections.abc import Callable
from functools import cache

from label_tables import (
    adapt_table,
    arms_table,
    few_labels_table,
    learners_table,
    three_digits,
)
from numpydoc.docscrape import ClassDoc
from stored_results import load_benchmark, read_results

from cfzoo.runtime.artifact import Card

# Rows of the README's table: label, model whose speed is shown, model whose accuracy is shown.
ZOO = (
    ("[pyramid3d](model_cards/pyramid3d.md), the default", "pyramid3d", "pyramid3d"),
    ("[filters3d](model_cards/filters3d.md), the small one", "filters3d", "filters3d"),
    ("[attention3d](model_cards/attention3d.md)", "attention3d", "attention3d"),
    ("[wavemix3d](model_cards/wavemix3d.md)", "wavemix3d", "wavemix3d"),
    ("[pipnet3d](model_cards/pipnet3d.md)", "pipnet3d", "pipnet3d"),
    ("cellfinder's ResNet-50, imported", "resnet50", ""),
    ("ResNet-50, trained like ours", "", "resnet50"),
    ("contrast, without training", "", "contrast"),
)


def models_table() -> str:
    """Return accuracy, speed and size of each model in the comparison."""
    lines = [
        "| model | AUC | average precision | points per second, CPU | file, MB | parameters |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for name, row in read_results("report").items():
        if name in ("datasets", "pairs"):
            continue
        speed = row.get("points_per_s", {}).get("value")
        figures = ((speed, ",.0f"), (row.get("file_mb"), ".1f"), (row.get("parameters"), ",d"))
        cells = [name, f"{row['auc']:.3f}", f"{row['average_precision']:.3f}"]
        cells += ["–" if number is None else f"{number:{form}}" for number, form in figures]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def zoo_table() -> str:
    """Return accuracy and speed of released, trainable and cellfinder's models."""
    page, speed = load_benchmark("performance_page"), read_results("speed")
    accuracy, stages, runs = page.read_accuracy(), speed["stages"]["models"], speed["runs"]
    stains = read_results("stains")
    left_out = {name: stains[name]["block left out"] for name in ("pyramid3d", "filters3d")}
    microglia = {
        **left_out,
        "attention3d": stains["attention3d, released"]["stain left out"],
        "contrast": stains["contrast"],
    }
    accuracy |= {name: rows["mean cfos"] for name, rows in left_out.items()}
    cellfinder = runs["cellfinder"]["points_per_s"]["value"]
    lines = [
        "| model | AUC, c-Fos | AUC, microglia | points/s | with OpenVINO | times cellfinder |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for label, model, trained in ZOO:
        rows = (accuracy.get(trained), microglia.get(trained, {}).get("mean microglia"))
        cells = [f"{row['auc']:.3f}" if row else "" for row in rows]
        if model:
            rates = [stages[f"{model} {b}"]["points_per_s"] for b in ("onnxruntime", "openvino")]
            cells += [page.format_number(rate["network"]["value"], 3) for rate in rates]
            # Measured side by side where there is such a run, else from the stages.
            times = runs.get(f"{model} openvino", {}).get("times_cellfinder", {})
            estimate = rates[-1]["whole"]["value"] / cellfinder
            cells.append(page.format_number(times.get("value", estimate)))
        else:
            cells += [""] * 3
        lines.append(f"| {' | '.join([label, *cells])} |")
    return "\n".join(lines) + "\n"


def calibration_table() -> str:
    """Return the calibration error of attention3d after a fit to labels of the same block."""
    compare = load_benchmark("compare")
    raw = compare.read_stored()
    counts = (50, 100, 200)
    errors = [f"{compare.error_with_own_labels(raw, 'attention3d', n):.3f}" for n in counts]
    unfitted = f"{read_results('report')['attention3d']['ece']:.3f}"
    return (
        f"| labels of the block | 0 | {' | '.join(map(str, counts))} |\n|---|---:|---:|---:|---:|\n"
        f"| calibration error on the rest | {unfitted} | {' | '.join(errors)} |\n"
    )


def card_table() -> str:
    """Return the fields of a card, from the docstring of `Card`."""
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


def memory_table() -> str:
    """Return the peak memory of runs on wider and wider planes, for each kind of volume."""
    rows = read_results("memory_width")["width"]
    peaks = {(row["kind"], row["width"]): row["peak_mb"] for row in rows}
    widths = sorted({width for _, width in peaks})
    lines = [
        f"| width of a plane | {' | '.join(f'{width:,d}' for width in widths)} |",
        f"|---|{'---:|' * len(widths)}",
    ]
    for kind in dict.fromkeys(kind for kind, _ in peaks):
        cells = [f"{peaks[kind, width]} MB" for width in widths]
        lines.append(f"| {kind} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def stains_table() -> str:
    """Return AUC on each block that a training left out, alone or with all of its stain."""
    results = read_results("stains")
    columns = [("contrast", results["contrast"])]
    for model in (name for name in results if name != "contrast"):
        for kind in ("block left out", "stain left out"):
            if kind in results[model]:
                columns.append((f"{model}, {kind}", results[model][kind]))
    lines = [f"| block | {' | '.join(n for n, _ in columns)} |", f"|---|{'---:|' * len(columns)}"]
    for block in results["contrast"]:
        measures = {"": "auc", ", second reading": "reading_auc"}
        for suffix, measure in measures.items():
            if measure in results["contrast"][block]:
                cells = [three_digits(rows.get(block, {}).get(measure)) for _, rows in columns]
                lines.append(f"| {block}{suffix} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def shift_table() -> str:
    """Return the shift scores of each volume, for each training."""
    results = read_results("shift")
    columns = {name: row for name, row in results.items() if name not in ("methods", "few")}
    lines = [f"| volume | {' | '.join(columns)} |", f"|---|{'---:|' * len(columns)}"]
    for volume in results["filters3d, both stains"]:
        cells = [f"{row[volume]:.2f}" if volume in row else "–" for row in columns.values()]
        lines.append(f"| {volume} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def shift_methods_table() -> str:
    """Return what other distances than ours would give."""
    columns = {
        "cfos_left_out": "c-Fos left out, highest",
        "microglia": "microglia, lowest",
        "microglia_over_left_out": "microglia / c-Fos left out, lowest",
        "crop": "cellfinder_crop",
        "crop_both_stains": "cellfinder_crop, trained on both stains",
    }
    lines = [f"| distance | {' | '.join(columns.values())} |", f"|---|{'---:|' * len(columns)}"]
    for name, row in read_results("shift")["methods"].items():
        lines.append(f"| {name} | {' | '.join(f'{row[key]:.2f}' for key in columns)} |")
    return "\n".join(lines) + "\n"


def two_channels_table() -> str:
    """Return the figures of models with and without a background where the truth is known."""
    rows = {
        "AUC": ("sample", "mean", "auc"),
        "F1 at its own threshold": ("sample", "mean", "f1"),
        "precision": ("sample", "mean", "precision"),
        "recall": ("sample", "mean", "recall"),
        "debris rejected": ("sample", "mean", "debris_rejected"),
        "of the 56 cells of the crop, found": ("cellfinder_crop_found",),
        "called cells, background = signal, sample": ("background_equal_to_signal", "sample"),
        "called cells, background = signal, crop": (
            "background_equal_to_signal",
            "cellfinder_crop",
        ),
        "empty background, same type as signal alone": (
            "agreement_with_signal_alone",
            "zeros",
            "same_type",
        ),
    }
    results = {k: row for k, row in read_results("two_channels").items() if "channels" in row}
    lines = [f"| | {' | '.join(results)} |", f"|---|{'---:|' * len(results)}"]
    for title, keys in rows.items():
        cells = []
        for model in results.values():
            for key in keys:
                model = model.get(key, {}) if isinstance(model, dict) else {}
            cells.append("–" if model == {} else f"{model:.3f}")
        lines.append(f"| {title} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def page_table() -> str:
    """Return how soon the page is ready, and candidates per second beside Python's."""
    page, results = load_benchmark("performance_page"), read_results("page")
    lines = [
        "| | threads | ready, s | candidates/s | in Python, candidates/s | share |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for name, by_threads in results["models"].items():
        for threads, row in by_threads.items():
            seconds = {key: value / 1000 for key, value in row["open_cpu_ms"].items()}
            cells = [name, threads, page.format_spread(seconds)]
            cells += [page.format_spread(row[key], 3) for key in ("page_cpu", "native_cpu")]
            cells.append(f"{100 * row['share_cpu']['value']:.0f} %")
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _reading(kind: str) -> str:
    figures = load_benchmark("reading_figures")
    return getattr(figures, kind)(read_results("second_reading"))


TABLES: dict[str, Callable[[], str]] = {
    "adapt": adapt_table,
    "arms": arms_table,
    "calibration": calibration_table,
    "card": card_table,
    "few_labels": few_labels_table,
    "learners": learners_table,
    "label_errors": lambda: load_benchmark("label_errors").label_errors_table(
        read_results("label_errors")
    ),
    "maps": lambda: load_benchmark("explain").maps_table(read_results("explain")),
    "memory": memory_table,
    "models": models_table,
    "page": page_table,
    "reading": lambda: _reading("labels_table"),
    "reading_auc": lambda: _reading("scores_table"),
    "shift": shift_table,
    "shift_methods": shift_methods_table,
    "stains": stains_table,
    "two_channels": two_channels_table,
    "zoo": zoo_table,
}


@cache
def make_table(name: str) -> str:
    """Return a table of `TABLES`."""
    return TABLES[name]()
