"""A model card as Markdown, for people to read."""

import json
from collections.abc import Mapping
from typing import Any

from ..runtime.artifact import Artifact, find_bundled


def render_card(artifact: Artifact, end: str = "") -> str:
    """Render a model card as Markdown; the same artifact gives the same text.

    Parameters
    ----------
    artifact : Artifact
        A verified artifact.
    end : str
        Last part, Markdown, instead of how to use the model by name.

    Returns
    -------
    str
        Markdown with the headings of Mitchell et al. (2019), Model cards for model reporting.
    """
    card = artifact.card
    facts = {
        "File": f"`{card.file_name}`, {len(artifact.model) / 1e6:.2f} MB",
        "SHA-256 of the content": f"`{card.digest}`",
        "Architecture": f"`{card.architecture}`, {artifact.parameters:,} parameters",
        "Channels": ", ".join(card.channels),
        "Cube": f"{triple(card.cube_shape)} voxels of {triple(card.voxel_size)} um (z y x)",
        "Normalisation": card.normalisation,
        "Resampling": card.resampling,
        "Features standardised by": "the volume's own candidates" if artifact.by_volume else "",
        "Intercept": "of the training blocks that the volume resembles"
        if artifact.has_intercepts
        else "",
        "Classes": ", ".join(card.classes),
        "Threshold": f"{card.threshold:g}",
        "Temperature": f"{card.temperature:.4g}",
        "Offset": f"{card.offset:.4g}" if card.offset else "",
        "Licence": card.licence,
        "Made from": card.parent,
    }
    parts = [f"# {card.name} {card.version}", card.description]
    parts.append("| | |\n|---|---|\n" + "\n".join(f"| {k} | {v} |" for k, v in facts.items() if v))
    for title in ("training", "metrics", "environment", "extra"):
        if value := getattr(card, title):
            parts.append(f"## {title.capitalize()}")
            parts.append(_outline(value))
    if card.training_features:
        parts += ["## Features of the training", _outline(card.training_features.summarise())]
    if card.citations:
        parts.append("## Citations")
        parts.append("\n".join(f"- {text}" for text in card.citations))
    # A name that does not come with cfzoo is no model there; its file is.
    model = card.name if find_bundled(card.name) else f"{card.name}-{card.version}.onnx"
    parts.append(
        end
        or f"Use it: `cfzoo classify --model {model} VOLUME POINTS`. This page is made from "
        f"the card inside the file: `cfzoo inspect {model} --markdown`."
    )
    return "\n\n".join(parts).rstrip("\n") + "\n"


def triple(values) -> str:
    """Return three numbers as people write them, ``20 x 50 x 50``."""
    return " x ".join(f"{v:g}" for v in values)


def _outline(values: Mapping[str, Any]) -> str:
    """Render rows of numbers under the same names as a table, and other values as a list."""
    lines = []
    for key, value in values.items():
        if isinstance(value, Mapping) and value and all(_is_row(v) for v in value.values()):
            lines += ["", f"**{_words(key)}**", "", _table(value), ""]
        elif isinstance(value, Mapping):
            lines.append(f"- {_words(key)}")
            lines += [f"    - {_words(k)}: {_number(v)}" for k, v in value.items()]
        else:
            lines.append(f"- {_words(key)}: {_number(value)}")
    return "\n".join(lines).strip()


def _is_row(value: Any) -> bool:
    return isinstance(value, Mapping) and all(not isinstance(v, Mapping) for v in value.values())


def _table(rows: Mapping[str, Mapping[str, Any]]) -> str:
    columns = list(dict.fromkeys(name for row in rows.values() for name in row))
    head = "| | " + " | ".join(_words(c) for c in columns) + " |"
    body = [
        f"| {_words(k)} | " + " | ".join(_number(row.get(c, "")) for c in columns) + " |"
        for k, row in rows.items()
    ]
    return "\n".join([head, "|---" * (len(columns) + 1) + "|", *body])


def _words(key: str) -> str:
    return key.replace("_", " ")


def _number(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    return value if isinstance(value, str) else json.dumps(value)
