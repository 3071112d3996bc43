"""Export models of the zoo from their weights and cards, and ensembles, as artifact files."""

import os
from pathlib import Path

from ..runtime.artifact import Artifact, Card, Pin, find_bundled, read_ensemble
from ..runtime.errors import InputError
from ..runtime.files import check_output
from ..zoo.registry import MODELS, build
from ..zoo.weights import find_bundled_weights, load_weights, read_weights
from .graph import export_artifact, fuse
from .package import write_files


def export_release(
    name: str,
    output: str | os.PathLike = ".",
    weights: str | os.PathLike | None = None,
    overwrite: bool = False,
) -> Path:
    """Export a model of the zoo to ``output``/NAME-VERSION.onnx.

    Parameters
    ----------
    name : str
        An architecture of `cfzoo.zoo.registry`, or a released model, perhaps NAME@VERSION.
    output : folder
    weights : path, optional
        safetensors file, with its card as JSON beside it; by default the latest released weights
        of ``name``.
    overwrite : bool
        Whether an existing artifact may be replaced.

    Returns
    -------
    Path
        The artifact's file.

    Raises
    ------
    InputError
        The name is unknown, there are no weights, or the file exists already.
    ArtifactError
        The weights do not fit the architecture, or the graph fails the checks.
    """
    if name not in MODELS and (weights or find_bundled(name, ".safetensors") is None):
        raise InputError(f"There is no model {name!r} in the zoo; it has {', '.join(MODELS)}.")
    path = Path(weights) if weights else find_bundled_weights(name)
    state, card = read_weights(path)
    pin = Pin.parse(name)
    if pin is None or pin.name not in (card.architecture, card.name):
        raise InputError(
            f"The card of {path.name} is that of a {card.architecture!r}; expected {name!r}."
        )
    check_free(card, output, overwrite)
    network = build(card)
    load_weights(network, state, path.name)
    artifact = export_artifact(
        network, card, explained_layer=MODELS[card.architecture].explained_layer
    )
    return write_artifact(artifact, output, overwrite)


def export_ensemble(
    ensemble: str | os.PathLike, output: str | os.PathLike = ".", overwrite: bool = False
) -> Path:
    """Fuse the members of an ensemble's file into ``output``/NAME-VERSION.onnx.

    Returns
    -------
    Path
        The artifact's file.

    Raises
    ------
    InputError, ArtifactError
        See `cfzoo.runtime.read_ensemble` and `cfzoo.export.graph.fuse`.
    """
    return write_artifact(fuse(read_ensemble(ensemble)), output, overwrite)


def check_free(card: Card, output: str | os.PathLike, overwrite: bool) -> None:
    """Check that the artifact can be written, before long work; raise an `InputError` if not."""
    check_output(Path(output), [card.file_name], overwrite)


def write_artifact(artifact: Artifact, output: str | os.PathLike, overwrite: bool) -> Path:
    """Write an artifact into a folder, atomically, under the file name of its card."""
    check_free(artifact.card, output, overwrite)
    (path,) = write_files(output, {artifact.card.file_name: artifact.model})
    return path
