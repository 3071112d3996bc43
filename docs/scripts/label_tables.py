"""Tables of what a few labels gain: adapting, and fine-tuning."""

from stored_results import read_results


def adapt_table() -> str:
    """Return AUC by number of labels, on blocks that the model had not seen."""
    heads = ["block", "contrast", "untouched", "10 labels", "20", "50", "100"]
    heads += ["20 by chance", "forest, 20", "fine-tuned, 20", "ECE at 20"]
    lines = [f"| {' | '.join(heads)} |", f"|---|{'---:|' * 10}"]
    names = ["untouched", *(f"strategy {n}" for n in (10, 20, 50, 100))]
    names += ["chance 20", "forest by chance 20"]
    results = read_results("adapt")["pyramid3d"]
    means = {name: rows for name, rows in results.items() if name.startswith("mean")}
    few = read_results("few_labels")["rows"]
    tuned = {row["block"]: row["auc"] for row in few if row["labels"] == 20}
    for block, rows in {**results["blocks"], **means}.items():
        cells = [
            f"{rows[name]['auc']:.3f}" if name in rows else "–" for name in ["contrast", *names]
        ]
        part = [auc for name, auc in tuned.items() if name.startswith(block.removeprefix("mean "))]
        cells += [f"{sum(part) / len(part):.3f}", f"{rows['strategy 20']['ece']:.3f}"]
        lines.append(f"| {block} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def learners_table() -> str:
    """Return the scores of adapting, a forest and fine-tuning with as many labels, by stain."""
    names = ("auc", "average_precision", "log_loss", "ece", "f1")
    adapted = read_results("adapt")["pyramid3d"]["blocks"]
    rows = {(block, way): row for block, ways in adapted.items() for way, row in ways.items()}
    for row in read_results("few_labels")["rows"]:
        rows[row["block"], f"fine-tuned {row['labels']}"] = row
    labels = {"cfos": "c-Fos", "microglia": "microglia"}
    ways = ["contrast", "untouched"]
    for count in (5, 10, 20, 50, 100):
        kinds = ("strategy", "chance", "fine-tuned", "forest by chance")
        ways += [f"{kind} {count}" for kind in kinds]
    lines = [
        "| | labels | | AUC | average precision | log-loss | ECE | F1 |",
        "|---|---:|---|---:|---:|---:|---:|---:|",
    ]
    for stain, label in labels.items():
        for way in ways:
            part = [row for (block, w), row in rows.items() if w == way and stain in block]
            kind, _, count = way.rpartition(" ")
            cells = [label, count, kind] if kind else [label, "0", way]
            for name in names if part else ():
                values = [row[name] for row in part if name in row]
                cells.append(three_digits(sum(values) / len(values)) if values else "–")
            if part:
                lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def arms_table() -> str:
    """Return what ways of fine-tuning make of 20 labels, before any calibration."""
    lines = ["| | AUC | log-loss | accuracy |", "|---|---:|---:|---:|"]
    for arm, row in read_results("few_labels")["arms"].items():
        cells = (f"{row[name]:.3f}" for name in ("auc", "log_loss", "accuracy"))
        lines.append(f"| {arm} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def few_labels_table() -> str:
    """Return means over draws of labels, and the worst draw of a block against its start."""
    names, counts = ("auc", "log_loss", "accuracy"), (0, 20, 50, 100)
    contrast = read_results("stains")["contrast"]
    by_block: dict[str, dict[int, dict[str, float]]] = {}
    for row in read_results("few_labels")["rows"]:
        by_block.setdefault(row["block"], {})[row["labels"]] = row
    lines = [
        "| block | contrast, AUC | untouched: AUC, log-loss, accuracy | 20 labels | 50 labels "
        "| 100 labels | worst draw |",
        "|---|---:|---|---|---|---|---|",
    ]
    for block in (block for block in contrast if block in by_block):
        rows = by_block[block]
        cells = [block, three_digits(contrast[block]["auc"])]
        for count in counts:
            row = rows.get(count)
            cells.append(", ".join(three_digits(row[n]) for n in names) if row else "–")
        tuned = [rows[count] for count in counts[1:] if count in rows]
        worst = (min(row[f"{name}_worst"] for row in tuned) for name in names)
        cells.append(", ".join(f"{value:+.3f}".replace("-", "−") for value in worst))
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def three_digits(value: float | None) -> str:
    """Return a number with three digits, or a dash."""
    return "–" if value is None else f"{value:.3f}"
