"""``cfzoo inspect``: what an artifact says of itself, and whether it still does it."""

import json

import click

from ..export.model_card import render_card, triple
from ..runtime.artifact import read_artifact
from ..runtime.session import Session


@click.command()
@click.argument("model")
@click.option("--test", is_flag=True, help="Run the test vector inside the artifact.")
@click.option("--json", "as_json", is_flag=True, help="Print the card as JSON.")
@click.option("--markdown", is_flag=True, help="Print the card as a page for people.")
def command(model, test, as_json, markdown):
    """Verify the artifact MODEL (a file, or a bundled name) and print its card."""
    artifact = read_artifact(model)
    if as_json:
        click.echo(artifact.card.to_json())
    elif markdown:
        click.echo(render_card(artifact), nl=False)
    else:
        click.echo(_describe(artifact))
    if test:
        session = Session(artifact, device="cpu")
        error = session.check(artifact)
        click.echo(f"test        passed: largest difference {error:.1e}", err=as_json or markdown)


def _describe(artifact) -> str:
    card, outline = artifact.card, artifact.outline
    rows = {
        "model": f"{card.name} {card.version} ({artifact.source})",
        "about": card.description,
        "digest": f"sha256 {card.digest}, verified",
        "network": f"{card.architecture or 'unnamed'}, {outline.parameters:,} parameters",
        "channels": ", ".join(card.channels),
        "cube": f"{triple(card.cube_shape)} voxels of {triple(card.voxel_size)} um (z y x)",
        "normalised": card.normalisation,
        "resampled": card.resampling,
        "classes": ", ".join(card.classes),
        "threshold": f"{card.threshold:g}, temperature {card.temperature:g}",
        "licence": card.licence,
        "parent": card.parent,
    }
    lines = [f"{name:<11} {value}" for name, value in rows.items() if value]
    for name in ("training", "metrics", "environment", "extra"):
        lines += _tree(name, getattr(card, name))
    lines += [f"cite        {text}" for text in card.citations]
    return "\n".join(lines)


def _tree(name: str, value, indent: int = 0) -> list[str]:
    """Mappings as an indented outline; everything else on one line."""
    pad = "  " * indent
    if isinstance(value, dict):
        inner = [line for k, v in value.items() for line in _tree(str(k), v, indent + 1)]
        return [f"{pad}{name}", *inner] if inner else []
    if isinstance(value, float):
        value = f"{value:.5g}"
    text = value if isinstance(value, str) else json.dumps(value)
    return [f"{pad}{name}: {text}"]
