"""Rebuilding a released model from its weights, and what then differs from the released file."""

import os
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper

from ..runtime.artifact import BUNDLED, Artifact, Card, read_artifact, verify
from .release import export_release


def rebuild_release(
    name: str, output: str | os.PathLike = ".", overwrite: bool = False
) -> tuple[Path, str]:
    """Export a model of the zoo from its released weights, and compare it with the released file.

    Parameters
    ----------
    name, output, overwrite
        See `export_release`.

    Returns
    -------
    path : Path
        The artifact's file.
    verdict : str
        A sentence that says whether its bytes are those of the released file, and else what
        differs.

    Raises
    ------
    InputError, ArtifactError
        See `export_release`.
    """
    released = {path.name: path.read_bytes() for path in BUNDLED.glob("*.onnx")}
    path = export_release(name, output, overwrite=overwrite)
    if path.name not in released:
        return path, f"cfzoo has no released {path.name} to compare it with."
    return path, compare_releases(read_artifact(path), verify(released[path.name], path.name))


def compare_releases(built: Artifact, released: Artifact) -> str:
    """Say whether two artifacts have the same bytes, and else what differs."""
    name = released.card.file_name
    if built.model == released.model:
        return f"The bytes are equal to those of the released {name}."
    differences = []
    if fields := _differing_fields(built.card, released.card):
        differences.append(f"the card ({', '.join(fields)})")
    if not np.array_equal(built.test_cube, released.test_cube):
        differences.append("the test cube")
    if error := np.abs(built.test_output - released.test_output).max():
        differences.append(f"the answer to the test cube (by {error:.1g})")
    if difference := _describe_networks(built, released):
        differences.append(difference)
    what = ", ".join(differences) or "the order of the metadata"
    return f"The bytes differ from those of the released {name}: {what}."


def _differing_fields(built: Card, released: Card) -> list[str]:
    """Name the fields of two cards that differ, and the libraries of which other versions built."""
    names = [n for n in vars(built) if n != "digest" and getattr(built, n) != getattr(released, n)]
    if "environment" in names:
        now, before = (dict(card.environment.get("export", {})) for card in (built, released))
        names += [f"{k} {now[k]}, was {before.get(k)}" for k in now if now[k] != before.get(k)]
    return names


def _describe_networks(built: Artifact, released: Artifact) -> str:
    """Say in what the graphs differ; "" if they are equal.

    Constants that torch derives from the cube's shape, such as Gaussians, differ in their last
    digits between processors.
    """
    first, second = (onnx.ModelProto.FromString(a.model).graph for a in (built, released))
    pairs = list(zip(first.initializer, second.initializer, strict=False))
    changed = [(a, b) for a, b in pairs if a != b]
    for graph in (first, second):
        names = [(tensor.name, tuple(tensor.dims)) for tensor in graph.initializer]
        del graph.initializer[:]
        graph.doc_string = repr(names)  # so that they are compared with the nodes
    if first != second:
        return "the network"
    if not changed:
        return ""
    errors = [np.abs(numpy_helper.to_array(a) - numpy_helper.to_array(b)).max() for a, b in changed]
    return f"{len(changed)} of {len(pairs)} tensors of the network (by {max(errors):.1g})"
