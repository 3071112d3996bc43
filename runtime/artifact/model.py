"""What a user calls a model: a file, a bundled name, an address, or several with weights."""

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

Model = str | os.PathLike | Artifact | Ensemble


def read_model(model: Model) -> Ensemble:
    """An artifact or ensemble, from its file, the name of a bundled artifact or an address.

    Parameters
    ----------
    model : path, bundled name, Artifact or Ensemble

    Returns
    -------
    Ensemble
        Of one member for an artifact.

    Raises
    ------
    InputError
        No such file, name or address.
    ArtifactError
        The file or one of its members is damaged, or not what it should be.
    EnvironmentProblem
        It has to be fetched and cannot be.
    """
    if isinstance(model, Ensemble):
        return model
    if isinstance(model, Artifact):
        return Ensemble.of([model])
    if not is_remote(model) and Path(model).suffix == ".json":
        return read_ensemble(model)
    return Ensemble.of([read_artifact(model)])


def read_weighted(models: Sequence[str]) -> Ensemble:
    """An ensemble from the words of a command line, ``MODEL`` or ``MODEL=WEIGHT``.

    Raises
    ------
    InputError
        Some have a weight and others none, an ensemble is among several, or see `Ensemble`.
    """
    parted = [_parted(text) for text in models]
    weights = [weight for _, weight in parted if weight is not None]
    if len(parted) == 1 and not weights:
        return read_model(parted[0][0])
    if weights and len(weights) < len(parted):
        missing = next(name for name, weight in parted if weight is None)
        raise InputError(
            f"{missing} has no weight and others have: give each one, MODEL=WEIGHT, or none for "
            "equal weights."
        )
    if nested := [name for name, _ in parted if Path(name).suffix == ".json"]:
        raise InputError(f"{nested[0]} is an ensemble itself: give it alone, or its members.")
    return Ensemble.of([read_artifact(name) for name, _ in parted], weights or None)


def _parted(text: str) -> tuple[str, float | None]:
    """Name and weight of ``MODEL=WEIGHT``; a file whose name has '=' in it stays whole."""
    # The checksum of an address has a '=', too.
    name, mark, weight = split_weight(text) if is_remote(text) else text.rpartition("=")
    if not mark or is_file(Path(text)):
        return text, None
    try:
        return name, float(weight)
    except ValueError:
        find_model(text)  # says that there is none
        return text, None


DEFAULT_MODELS = {1: "attention3d"}  # number of channels -> bundled artifact


def choose_model(model: Model | None, n_channels: int) -> Ensemble:
    """The model asked for, or the default bundled one for this number of channels.

    Raises
    ------
    InputError
        No such model, or it takes another number of channels.
    """
    if model is None:
        if n_channels not in DEFAULT_MODELS:
            raise InputError(
                f"No bundled artifact takes {n_channels} channels. Give --model, or leave "
                "the background out to use one that works on the signal alone."
            )
        model = bundled()[DEFAULT_MODELS[n_channels]]  # its path: no file here can take its place
    chosen = read_model(model)
    if chosen.channels != n_channels:
        hint = "give --background" if chosen.channels > n_channels else "leave --background out"
        raise InputError(
            f"{chosen.source} takes {chosen.channels} channel(s), "
            f"{' and '.join(CHANNELS[chosen.channels - 1])}; {n_channels} given: {hint}, or choose "
            f"another model (bundled: {', '.join(bundled()) or 'none'})."
        )
    return chosen
