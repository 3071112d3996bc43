"""The models that a name or a pin means: those that come with cfzoo, and those in the cache."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ..runtime.artifact import (
    DEFAULT_MODELS,
    Card,
    bundled,
    cached_artifacts,
    read_artifact,
    release_table,
)

# Tables of a card's metrics whose rows "mean" are of data that no training saw, the best first.
_LEFT_OUT = ("block_left_out", "network", "validation")
_DRAWN, _ADAPTED = "drawn_samples", "adaptation"


@dataclass(frozen=True)
class ListedModel:
    """A row of the list.

    Attributes
    ----------
    name, version : str
    place : str
        ``bundled`` or ``cached``.
    default : bool
        Whether it is the default for its channels.
    channels : tuple of str
    data_sets : mapping of str to int
        Stain, or the first word of a data set's name -> number of data sets of the training.
    auc : mapping of str to float
        What it was measured on -> area under the ROC curve on data that no training saw.
    date : str
        Day of its release; of a cached one without, the day of its download.
    size : int
        Bytes.
    parameters : int
    licence : str
    digest : str
        The artifact's own, as `cfzoo inspect` shows it.
    deprecated : str
        Why it should no longer be used; "" if it may.
    path : str
    """

    name: str
    version: str
    place: str
    default: bool
    channels: tuple[str, ...]
    data_sets: Mapping[str, int]
    auc: Mapping[str, float]
    date: str
    size: int
    parameters: int
    licence: str
    digest: str
    deprecated: str
    path: str


@dataclass(frozen=True)
class ModelList:
    """Models that can be named.

    Attributes
    ----------
    models : tuple of ListedModel
        The bundled ones by name, then those in the cache.
    damaged : tuple of str
        Files of the cache that are no artifacts with the checksum of their folder.
    """

    models: tuple[ListedModel, ...]
    damaged: tuple[str, ...]


def list_models() -> ModelList:
    """List the artifacts that come with cfzoo and those in the cache; each is verified.

    Raises
    ------
    ArtifactError
        A bundled artifact is damaged.
    """
    rows = [_describe(path, read_artifact(path), "bundled") for path in bundled().values()]
    files = cached_artifacts()
    rows += [_describe(path, artifact, "cached") for path, artifact in files.items() if artifact]
    damaged = tuple(str(path) for path, artifact in files.items() if artifact is None)
    return ModelList(tuple(rows), damaged)


def _describe(path: Path, artifact: Any, place: str) -> ListedModel:
    card: Card = artifact.card
    release, status = release_table().find(card.name, card.version), path.stat()
    if release and release.digest != card.digest:
        release = None  # it merely says that it is one of the zoo
    downloaded = datetime.fromtimestamp(status.st_mtime, UTC).date().isoformat()
    return ListedModel(
        name=card.name,
        version=card.version,
        place=place,
        default=place == "bundled" and card.name in DEFAULT_MODELS.values(),
        channels=card.channels,
        data_sets=count_data_sets(card),
        auc=read_auc(card),
        date=release.date if release else downloaded,
        size=status.st_size,
        parameters=artifact.parameters,
        licence=card.licence,
        digest=card.digest,
        deprecated=release.deprecated if release else "",
        path=str(path),
    )


def count_data_sets(card: Card) -> dict[str, int]:
    """Return the number of a training's data sets by the first word of their names."""
    names = card.training.get("counts", {})
    if not isinstance(names, Mapping):
        return {}
    return dict(Counter(str(name).partition("-")[0] for name in names))


def read_auc(card: Card) -> dict[str, float]:
    """Return what a card says about the AUC on data that no training saw, by kind of data."""
    stains = ", ".join(count_data_sets(card)) or "labels"
    for table in _LEFT_OUT:
        rows: Any = card.metrics.get(table)
        if isinstance(rows, Mapping):
            means = {
                str(k).removeprefix("mean").strip() or stains: _auc(v)
                for k, v in rows.items()
                if str(k).partition(" ")[0] == "mean"
            }
            if found := {kind: auc for kind, auc in means.items() if auc is not None}:
                return found
    for table, kind in ((_DRAWN, "drawn samples"), (_ADAPTED, "the lab's labels")):
        if (auc := _auc(card.metrics.get(table))) is not None:
            return {kind: auc}
    return {}


def _auc(row: Any) -> float | None:
    """Return the AUC of a table's row, alone or before the ends of its interval."""
    value: Any = row.get("auc") if isinstance(row, Mapping) else None
    if isinstance(value, (list, tuple)) and value:
        value = value[0]
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= 1:
        return None
    return float(value)
