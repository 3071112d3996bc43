"""The adaptation of an artifact to the labels of a lab, as one function."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ..artifact import Artifact, Head, Model, is_name, is_version, read_model
from ..errors import ArtifactError, InputError
from ..options import Options
from .embedding import Embedding, embed_volumes
from .estimate import Estimate, estimate_quality
from .familiarity import add_volumes
from .lab_artifact import head_of, make_artifact, write_card
from .labels import Labels
from .learner import LEAST_PER_CLASS
from .volumes import LabelledVolume, measure_volume

SUFFIX = "-adapted"


@dataclass(frozen=True, eq=False)
class Adaptation:
    """An adapted artifact.

    Attributes
    ----------
    artifact : Artifact
        Verified, in memory.
    content : bytes
        Of its file.
    estimate : Estimate
        What to expect of it.
    candidates : int
        Number of candidates whose statistics it carries.
    left_out : int
        Number of labels at candidates that have no features, such as outside the data.
    notes : tuple of str
        On the volumes, for people to look at.
    """

    artifact: Artifact
    content: bytes
    estimate: Estimate
    candidates: int
    left_out: int
    notes: tuple[str, ...] = ()


def adapt(
    model: Model,
    volumes: Sequence[LabelledVolume],
    *,
    name: str = "",
    version: str = "",
    description: str = "",
    options: Options | None = None,
    source: str = "",
    progress: Callable[[int], object] | None = None,
    expect: Callable[[int], object] | None = None,
) -> Adaptation:
    """Adapt an artifact to labelled candidates of one or more volumes.

    The network stays; its head is fitted again, from its own weights on (see `learner`), to
    features that each volume's own candidates standardise.

    Parameters
    ----------
    model : path, bundled name or Artifact
        One that gives features and ends in a head.
    volumes : sequence of LabelledVolume
    name, version : str
        Those of the new artifact; by default the model's name with ``-adapted``, and its version.
    description : str
        One sentence for the card; by default what was adapted to how many labels.
    options : Options, optional
        As for `cfzoo.runtime.classify`; the threshold is ignored.
    source : str
        Name of the new artifact in messages, such as its file.
    progress : callable, optional
        Called after each batch with its number of points.
    expect : callable, optional
        Called with the number of points of each volume before its long work.

    Returns
    -------
    Adaptation

    Raises
    ------
    InputError
        The model is an ensemble, there are fewer than two labels of a class, or a volume, its
        points or its labels cannot be used.
    ArtifactError
        The model gives no features, or has no head.
    EnvironmentProblem
        See `cfzoo.runtime.classify`.
    """
    parent = _read_parent(model)
    _name_artifact(parent, name, version)  # before the long work
    _check_counts([volume.labels for volume in volumes], "")
    measured = [
        measure_volume(parent, volume, options or Options(), progress, expect) for volume in volumes
    ]
    adaptation = make_adaptation(
        parent,
        embed_volumes(parent, measured),
        [volume.labels for volume in volumes],
        [_name(volume.signal) for volume in volumes],
        name=name,
        version=version,
        description=description,
        source=source,
    )
    return replace(
        adaptation, notes=tuple(dict.fromkeys(n for each in measured for n in each.notes))
    )


def make_adaptation(
    parent: Artifact,
    embedding: Embedding,
    labels: Sequence[Labels],
    names: Sequence[str],
    *,
    name: str = "",
    version: str = "",
    description: str = "",
    source: str = "",
) -> Adaptation:
    """Adapt an artifact to labels of candidates whose features are known.

    Parameters
    ----------
    parent : Artifact
        The artifact that gave the features.
    embedding : Embedding
    labels : sequence of Labels
        Of each volume.
    names : sequence of str
        Of the volumes, for the card.
    name, version, description, source : str
        As for `adapt`.

    Returns
    -------
    Adaptation

    Raises
    ------
    InputError
        There are fewer than two labels of a class, or the name or version is none.
    EnvironmentProblem
        The new artifact cannot be run on this computer.
    """
    name, version = _name_artifact(parent, name, version)
    tables, used = embedding.tables, embedding.statistics
    prior, scale = embedding.prior, embedding.scale
    usable = [_usable(each, table) for each, table in zip(labels, tables, strict=True)]
    left_out = sum(len(a.rows) - len(b.rows) for a, b in zip(labels, usable, strict=True))
    reason = f"{left_out} other labels lie where there are no features. " if left_out else ""
    _check_counts(usable, reason)
    standard, cells = embedding.take(usable)
    lesson = embedding.fit(usable)
    margins = np.concatenate([lesson.margin(table) for table in tables])
    estimate = estimate_quality(lesson, standard, cells, prior, scale, margins)
    assert estimate is not None  # as the counts are
    sources = [
        (own, len(table), each) for own, table, each in zip(names, tables, usable, strict=True)
    ]
    features = add_volumes(parent.card.training_features, names, tables, used, lesson)
    card = write_card(
        parent,
        name,
        version,
        lesson,
        estimate,
        sources,
        embedding.appearance,
        features,
        description,
    )
    head = head_of(lesson, embedding.lab, card)
    artifact, content = make_artifact(parent, head, card, source or card.file_name)
    return Adaptation(
        artifact, content, estimate, sum(statistics.candidates for statistics in used), left_out
    )


def _name_artifact(parent: Artifact, name: str, version: str) -> tuple[str, str]:
    """Return name and version of a new artifact, by default after its parent's."""
    name = name or parent.card.name.removesuffix(SUFFIX) + SUFFIX
    version = version or parent.card.version
    if not is_name(name) or not is_version(version):
        raise InputError(
            f"The name is {name!r} and the version {version!r}; expected up to 64 lower-case "
            "letters, digits, '_' and '-', and a version such as 1.0.0."
        )
    return name, version


def _read_parent(model: Model) -> Artifact:
    ensemble = read_model(model)
    artifact = ensemble.only_artifact
    if artifact is None:
        raise InputError(
            f"{ensemble.source} is an ensemble, whose members each have a head. Adapt one of its "
            "members."
        )
    check_head(artifact)
    return artifact


def check_head(artifact: Artifact) -> Head:
    """Return an artifact's head; raise an `ArtifactError` if it has none to adapt."""
    if artifact.head is None:
        gives = "gives no features" if not artifact.n_features else "does not end in a head"
        raise ArtifactError(
            f"{artifact.source} {gives}, so there is nothing to adapt. Use a model whose features "
            "feed a linear head, such as one that `cfzoo train filters3d` makes; import "
            "cellfinder's weights again with this version; or fine-tune: cfzoo train --init."
        )
    return artifact.head


def _check_counts(labels: Sequence[Labels], reason: str) -> None:
    counts = [each.counts() for each in labels]
    cells, others = (sum(count[key] for count in counts) for key in ("cells", "no_cells"))
    if min(cells, others) < LEAST_PER_CLASS:
        raise InputError(
            f"There are {cells} labels of cells and {others} of no cells; expected at least "
            f"{LEAST_PER_CLASS} of each. {reason}Label some more (type 2 is a cell, 1 no cell); "
            "twenty are a good start."
        )


def _usable(labels: Labels, features: np.ndarray) -> Labels:
    rows = np.isfinite(features[labels.rows]).all(axis=1)
    return Labels(labels.rows[rows], labels.cells[rows], labels.source)


def _name(signal: object) -> str:
    if isinstance(signal, str | Path):
        return Path(signal).name
    return str(getattr(signal, "name", "")) or "The array"
