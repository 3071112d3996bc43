"""``cfzoo inspect``: print an artifact's card and run its test vector."""

import json
from pathlib import Path

import click

from ..export.model_card import render_card, triple
from ..runtime.artifact import Artifact, Ensemble, read_model
from ..runtime.errors import InputError
from ..runtime.session import Session
from . import options
from .terminal import echo


@click.command()
@click.argument("model")
@click.option("--test", is_flag=True, help="Run the artifact's own test vector.")
@click.option("--json", "as_json", is_flag=True, help="Print the card as JSON.")
@click.option("--markdown", is_flag=True, help="Print the card as a Markdown page.")
@options.require_signature
def command(model, test, as_json, markdown):
    """Verify MODEL (an artifact, ensemble, bundled name or address) and print its card."""
    ensemble = read_model(model)
    artifacts = [member.artifact for member in ensemble.members]
    if Path(model).suffix == ".json":
        if markdown:
            raise InputError(f"{model} is an ensemble; --markdown is only for artifacts.")
        text = Path(model).read_text(encoding="utf-8") if as_json else _describe_ensemble(ensemble)
        echo(text, end="" if as_json else "\n")
    elif as_json:
        echo(artifacts[0].card.to_json())
    elif markdown:
        echo(render_card(artifacts[0]), end="")
    else:
        echo(_describe(artifacts[0]))
    for artifact in artifacts if test else ():
        error = Session(artifact, device="cpu").check(artifact)
        source = f" {artifact.source}" if len(artifacts) > 1 else ""
        echo(f"test        passed{source}: largest difference {error:.1e}", err=as_json or markdown)


def _describe_ensemble(ensemble: Ensemble) -> str:
    rows = {
        "ensemble": f"{ensemble.name} {ensemble.version} ({ensemble.source})",
        "about": ensemble.description,
        "threshold": f"{ensemble.threshold:g}",
        "licence": ensemble.licence,
    }
    lines = [f"{name:<11} {value}" for name, value in rows.items() if value]
    for member in ensemble.members:
        card = member.artifact.card
        lines.append(
            f"member      {member.weight:g} of {member.artifact.source}, temperature "
            f"{member.temperature:g}, sha256 {card.digest}, verified"
        )
    for name in ("training", "metrics"):
        lines += _tree(name, getattr(ensemble, name))
    return "\n".join(lines)


def _describe(artifact: Artifact) -> str:
    card = artifact.card
    rows = {
        "model": f"{card.name} {card.version} ({artifact.source})",
        "about": card.description,
        "digest": f"sha256 {card.digest}, verified",
        "network": f"{card.architecture or 'unnamed'}, {artifact.parameters:,} parameters",
        "channels": ", ".join(card.channels),
        "cube": f"{triple(card.cube_shape)} voxels of {triple(card.voxel_size)} um (z y x)",
        "normalised": card.normalisation,
        "resampled": card.resampling,
        "classes": ", ".join(card.classes),
        "threshold": f"{card.threshold:g}, temperature {card.temperature:g}"
        + (f", offset {card.offset:g}" if card.offset else ""),
        "licence": card.licence,
        "parent": card.parent,
    }
    lines = [f"{name:<11} {value}" for name, value in rows.items() if value]
    training, metrics = dict(card.training), card.metrics
    parts = {"training": training, "metrics": metrics}
    if isinstance(training.get("adaptation"), dict):
        # First what belongs to this artifact: its adaptation, and how its candidates look.
        adaptation = {**training.pop("adaptation"), "appearance": training.pop("appearance", {})}
        parts = {"adaptation": adaptation, "metrics": metrics, "training of the parent": training}
    for name, part in (parts | {"environment": card.environment, "extra": card.extra}).items():
        lines += _tree(name, part)
    if card.training_features:
        lines += _tree("features", card.training_features.summarise())
    lines += [f"cite        {text}" for text in card.citations]
    return "\n".join(lines)


def _tree(name: str, value, indent: int = 0) -> list[str]:
    """Return a mapping as an indented outline, and any other value on one line."""
    pad = "  " * indent
    if isinstance(value, dict):
        inner = [line for k, v in value.items() for line in _tree(str(k), v, indent + 1)]
        return [f"{pad}{name}", *inner] if inner else []
    if isinstance(value, float):
        value = f"{value:.5g}"
    text = value if isinstance(value, str) else json.dumps(value)
    return [f"{pad}{name}: {text}"]
