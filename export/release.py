"""Export a model of the zoo from its weights and card; find and write files."""

import os
from pathlib import Path

from ..runtime.artifact import Artifact, Card, read_ensemble
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
    """Export ``name`` to ``output``/NAME-VERSION.onnx.

    Parameters
    ----------
    name : str
        An architecture of `cfzoo.zoo.registry`.
    output : folder
    weights : path, optional
        safetensors file, with its card as JSON beside it; the latest released weights of
        ``name`` when None.
    overwrite : bool
        Whether an existing artifact may be replaced.

    Returns
    -------
    Path
        Of the artifact.

    Raises
    ------
    InputError
        Unknown name, no weights, or a file is in the way.
    ArtifactError
        The weights do not fit the architecture, or the graph does not pass the checks.
    """
    if name not in MODELS:
        raise InputError(f"There is no model {name!r} in the zoo; it has {', '.join(MODELS)}.")
    path = Path(weights) if weights else find_bundled_weights(name)
    state, card = read_weights(path)
    if card.architecture != name:
        raise InputError(
            f"The card of {path.name} is that of a {card.architecture!r}, not of {name!r}."
        )
    check_free(card, output, overwrite)
    network = build(card)
    load_weights(network, state, path.name)
    artifact = export_artifact(network, card, explained_layer=MODELS[name].explained_layer)
    return write_artifact(artifact, output, overwrite)


def export_ensemble(
    ensemble: str | os.PathLike, output: str | os.PathLike = ".", overwrite: bool = False
) -> Path:
    """Fuse the members of an ensemble's file into ``output``/NAME-VERSION.onnx.

    Returns
    -------
    Path
        Of the artifact.

    Raises
    ------
    InputError, ArtifactError
        See `cfzoo.runtime.read_ensemble` and `cfzoo.export.graph.fuse`.
    """
    return write_artifact(fuse(read_ensemble(ensemble)), output, overwrite)


def check_free(card: Card, output: str | os.PathLike, overwrite: bool) -> None:
    """See that the artifact can be written, before the long work; `InputError` where not."""
    check_output(Path(output), [card.file_name], overwrite)


def write_artifact(artifact: Artifact, output: str | os.PathLike, overwrite: bool) -> Path:
    """Write an artifact into a folder, atomically, under the name its card gives."""
    check_free(artifact.card, output, overwrite)
    (path,) = write_files(output, {artifact.card.file_name: artifact.model})
    return path
