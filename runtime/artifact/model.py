"""Models as users name them: a file, a bundled name, an address, or several with weights."""

import os
from collections.abc import Sequence
from pathlib import Path

from ..errors import InputError
from ..files import is_file
from .address import is_remote, split_weight
from .artifact import Artifact
from .card import CHANNELS
from .ensemble import Ensemble
from .ensemble_file import read_ensemble
from .locate import bundled, find_model, read_artifact

Model = str | os.PathLike[str] | Artifact | Ensemble
DEFAULT_MODELS = {1: "pyramid3d", 2: "filters3d-2ch"}  # number of channels -> bundled artifact
ADAPTABLE_MODEL = "pyramid3d"  # bundled, of several stains, with a head that labels can move


def read_model(model: Model) -> Ensemble:
    """Read an artifact or ensemble from its file, the name of a bundled artifact or an address.

    Parameters
    ----------
    model : str, PathLike, Artifact or Ensemble
        Path, bundled name, address, or a model in memory.

    Returns
    -------
    Ensemble
        The ensemble; a single artifact is an ensemble of one.

    Raises
    ------
    InputError
        The file, name or address does not exist.
    ArtifactError
        The file or one of its members is damaged or invalid.
    EnvironmentProblem
        The file must be downloaded, and the download failed.
    """
    if isinstance(model, Ensemble):
        return model
    if isinstance(model, Artifact):
        return Ensemble.of([model])
    if not is_remote(model) and Path(model).suffix == ".json":
        return read_ensemble(model)
    return Ensemble.of([read_artifact(model)])


def read_weighted(models: Sequence[str]) -> Ensemble:
    """Read an ensemble from the words of a command line, ``MODEL`` or ``MODEL=WEIGHT``.

    Raises
    ------
    InputError
        Some models have a weight and some have none, one of several is an ensemble, or the
        weights are invalid (see `Ensemble`).
    """
    pairs = [_parse_weighted(text) for text in models]
    weights = [weight for _, weight in pairs if weight is not None]
    if len(pairs) == 1 and not weights:
        return read_model(pairs[0][0])
    if weights and len(weights) < len(pairs):
        name = next(name for name, weight in pairs if weight is None)
        raise InputError(
            f"{name} has no weight, unlike other models: give each model a weight, MODEL=WEIGHT, "
            "or none for equal weights."
        )
    if ensembles := [name for name, _ in pairs if Path(name).suffix == ".json"]:
        raise InputError(f"{ensembles[0]} is an ensemble: give it alone, or give its members.")
    return Ensemble.of([read_artifact(name) for name, _ in pairs], weights or None)


def _parse_weighted(text: str) -> tuple[str, float | None]:
    """Split ``MODEL=WEIGHT``; the name of an existing file with '=' in it stays whole."""
    # The checksum of an address has a '=', too.
    name, mark, weight = split_weight(text) if is_remote(text) else text.rpartition("=")
    if not mark or is_file(Path(text)):
        return text, None
    try:
        return name, float(weight)
    except ValueError:
        find_model(text)  # raises, unless it is a bundled name
        return text, None


def choose_model(model: Model | None, n_channels: int) -> Ensemble:
    """Read ``model``, or the default bundled artifact for this number of channels.

    Raises
    ------
    InputError
        The model does not exist, or takes another number of channels.
    """
    if model is None:
        if n_channels not in DEFAULT_MODELS:
            raise InputError(
                f"No bundled artifact takes {n_channels} channels. Give --model, or leave out the "
                "background to use an artifact for the signal alone."
            )
        model = bundled()[
            DEFAULT_MODELS[n_channels]
        ]  # by its path, since a local file could have its name
    ensemble = read_model(model)
    if ensemble.channels != n_channels:
        hint = "give --background" if ensemble.channels > n_channels else "leave --background out"
        raise InputError(
            f"{ensemble.source} takes {ensemble.channels} channel(s), "
            f"{' and '.join(CHANNELS[ensemble.channels - 1])}; got {n_channels}: {hint}, or choose "
            f"another model (bundled: {', '.join(bundled()) or 'none'})."
        )
    return ensemble


def describe_unused_background(model: Ensemble) -> str:
    """Return a note on the members that do not use a background; "" if all use it.

    Parameters
    ----------
    model : Ensemble
        Model of a run that was given a background.
    """
    names = [
        f"{card.name} {card.version}"
        for card in (member.artifact.card for member in model.members)
        if len(card.channels) == 1
    ]
    if not names:
        return ""
    verb = "does" if len(names) == 1 else "do"
    return (
        f"{' and '.join(dict.fromkeys(names))} {verb} not use the background that was given, only "
        "the signal. Debris that is bright in both channels may be called cells; a model of signal "
        "and background can tell them apart."
    )
