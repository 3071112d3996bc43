"""Answers of models to the labelled candidates of data sets, unchanged and changed."""

import dataclasses
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

import numpy as np

from ..runtime.artifact import Artifact, Ensemble, margin_of
from ..runtime.cubes import Scale, measure_scale
from ..runtime.errors import InputError
from ..runtime.session import AnswerTable, Session
from ..runtime.volume import open_volume
from ..zoo.data import LabelledCubes, LabelledVolume, Source, load
from ..zoo.evaluation import (
    corrupt,
    fit_platt,
    list_corruptions,
    local_contrast,
    ranking_metrics,
    subsample,
)
from .measures import Figure
from .predictions import Predictions

CONTRAST = "contrast (trivial)"
CHANGED_CANDIDATES = 1000  # of a data set, at most, on which changes are tried
SMALLEST = 1e-12  # probability, so that logits stay finite
Kind = tuple  # of cubes: shape, voxel size, channels and resampling


@dataclass(frozen=True)
class Answers:
    """Answers of models to labelled candidates.

    Attributes
    ----------
    predictions : Predictions
    robustness : dict
        Model -> change, such as ``blur 2`` -> mean AUC over the data sets with both classes.
    cubes : dict
        Data set -> cubes of the first model; empty unless they were to be kept.
    """

    predictions: Predictions
    robustness: dict[str, dict[str, float]]
    cubes: dict[str, LabelledCubes]


@dataclass(frozen=True)
class _Candidates:
    """Labelled candidates of one data set, loaded once for each kind of cubes that models take.

    ``scales`` has one scale of the whole volume per channel; it is empty if no model needs them.
    """

    cubes: Mapping[Kind, LabelledCubes]
    scales: Sequence[Scale]

    @property
    def first(self) -> LabelledCubes:
        return next(iter(self.cubes.values()))

    @property
    def edge(self) -> np.ndarray:
        """Whether a cube of any kind leaves the volume, (N,) bool."""
        return ~np.all([cubes.inside for cubes in self.cubes.values()], axis=0)


def collect_answers(
    models: Mapping[str, Ensemble],
    sources: Sequence[Source],
    *,
    device: str = "auto",
    threads: int | None = None,
    batch_size: int = 32,
    shake: bool = True,
    keep_cubes: bool = False,
    say: Callable[[str], object] = lambda text: None,
) -> Answers:
    """Run models on every labelled candidate, those at the faces included.

    A model that standardises its features by the volume does so by the candidates of each data set,
    as the runtime would. Only labelled candidates are seen here: where they are few, or chosen,
    the statistics differ from those of all candidates of the brain.

    Parameters
    ----------
    models : mapping of str to Ensemble
    sources : sequence
        Labelled volumes or cubes.
    device, threads, batch_size
        As for `cfzoo.runtime.Session`.
    shake : bool
        Also change the data (`cfzoo.zoo.evaluation.corrupt`).
    keep_cubes : bool
        Keep the cubes of the first model in memory, for pictures.

    Raises
    ------
    InputError
        A data set lacks a channel that a model needs, or cannot be normalised as the model
        expects.
    """
    sessions = {
        name: [Session(m.artifact, device, threads, batch_size) for m in model.members]
        for name, model in models.items()
    }
    for name, model in models.items():
        for member, session in zip(model.members, sessions[name], strict=True):
            session.check(member.artifact)
    columns: dict[str, list[np.ndarray]] = defaultdict(list)
    margins: dict[str, list[np.ndarray]] = defaultdict(list)
    aucs: dict[str, dict[str, list[float]]] = {name: defaultdict(list) for name in models}
    cubes: dict[str, LabelledCubes] = {}
    for number, source in enumerate(sources):
        candidates = _load_candidates(source, models.values())
        first = candidates.first
        for name, model in models.items():
            say(f"{name} on {source.name}")
            margins[name].append(_compute_margin(model, sessions[name], candidates))
        if shake and 0 < first.labels.sum() < len(first):
            for change, changed in _change_candidates(candidates):
                say(f"{source.name}, {change}")
                for name, model in models.items():
                    margin = _compute_margin(model, sessions[name], changed)
                    aucs[name][change].append(
                        ranking_metrics(changed.first.labels, margin, None)["auc"]
                    )
        if keep_cubes:
            cubes[source.name] = first
        columns["dataset"].append(np.full(len(first), number))
        columns["zyx"].append(first.zyx)
        columns["edge"].append(candidates.edge)
        columns["labels"].append(first.labels)
    predictions = Predictions(
        names=tuple(source.name for source in sources),
        **{key: np.concatenate(parts) for key, parts in columns.items()},
        margin={name: np.concatenate(parts)[None] for name, parts in margins.items()},
    )
    means = {n: {k: float(np.mean(v)) for k, v in row.items()} for n, row in aucs.items()}
    return Answers(predictions, means, cubes)


def score_contrast(sources: Sequence[Source], predictions: Predictions) -> np.ndarray | None:
    """Score each candidate by its contrast alone.

    Returns
    -------
    (N,) float32, or None where a data set has cubes alone
    """
    parts = []
    for source in sources:
        if not isinstance(source, LabelledVolume):
            return None
        with open_volume(source.signal) as volume:
            block = volume.read(*(slice(0, n) for n in volume.shape))
        zyx = predictions.zyx[predictions.rows(source.name)]
        parts.append(local_contrast(block, zyx, source.voxel_size))
    return np.concatenate(parts)


def find_score_threshold(predictions: Predictions, score: np.ndarray) -> Figure | None:
    """Find the score from which a candidate is a cell, by Platt's fit of probabilities to labels.

    Parameters
    ----------
    predictions : Predictions
        Labels and data sets of the candidates.
    score : (N,) float
        Larger is more like a cell.

    Returns
    -------
    dict or None
        ``value``, the score at a probability of 0.5, and ``low`` and ``high``. With several data
        sets it is the mean, lowest and highest over fits that each leave out one of them, and
        decide on it; else the one fit of all labels, without ends. None if the score does not rise
        with the probability of a cell.
    """
    labels, groups = predictions.labels, predictions.dataset
    rows = [np.ones(len(labels), bool)]
    if predictions.can_leave_one_out():
        rows = [groups != group for group in np.unique(groups)]
    thresholds = []
    for row in rows:
        inside = np.unique(groups[row], return_inverse=True)[1]
        slope, offset = fit_platt(labels[row], np.asarray(score, np.float64)[row], inside)
        if slope <= 0:
            return None
        thresholds.append(-offset / slope)
    several = len(thresholds) > 1
    return {
        "value": float(np.mean(thresholds)),
        "low": float(min(thresholds)) if several else None,
        "high": float(max(thresholds)) if several else None,
    }


def _kind_of(artifact: Artifact) -> Kind:
    card = artifact.card
    return card.cube_shape, card.voxel_size, card.channels, card.resampling


def _load_candidates(source: Source, models: Iterable[Ensemble]) -> _Candidates:
    artifacts = [member.artifact for model in models for member in model.members]
    cubes: dict[Kind, LabelledCubes] = {}
    for artifact in artifacts:
        if (kind := _kind_of(artifact)) not in cubes:
            cubes[kind] = load(source, artifact.card)
    cards = [artifact.card for artifact in artifacts]
    channels = [len(card.channels) for card in cards if card.normalisation == "dataset"]
    return _Candidates(cubes, _measure_scales(source, max(channels, default=0)))


def _measure_scales(source: Source, n_channels: int) -> list[Scale]:
    """Measure the whole volumes of the first channels."""
    if not n_channels:
        return []
    if not isinstance(source, LabelledVolume):
        raise InputError(
            f"A model normalises by the whole volume, and {source.name} has cubes alone. "
            "Compare it on volumes with their points."
        )
    with ExitStack() as stack:
        paths = [source.signal, source.background][:n_channels]
        return [measure_scale(stack.enter_context(open_volume(path))) for path in paths]


def _change_candidates(candidates: _Candidates) -> Iterator[tuple[str, _Candidates]]:
    """Yield the name of each change and the changed candidates; first as they are.

    Only changes that all kinds of cubes allow: every model meets the same ones.
    """
    cubes = {k: subsample(c, CHANGED_CANDIDATES) for k, c in candidates.cubes.items()}
    yield "as it is", dataclasses.replace(candidates, cubes=cubes)
    first, *rest = (list_corruptions(kind) for kind in cubes.values())
    for change, level in first:
        if all((change, level) in allowed for allowed in rest):
            changed = {kind: corrupt(c, change, level) for kind, c in cubes.items()}
            yield f"{change} {level:g}", dataclasses.replace(candidates, cubes=changed)


def _compute_margin(
    model: Ensemble, sessions: Sequence[Session], candidates: _Candidates
) -> np.ndarray:
    """Return the logit of a cell less that of no cell, (N,) float64."""
    size, count = sessions[0].batch_size, len(candidates.first)
    table = AnswerTable(model, count)
    for start in range(0, count, size):
        rows, batches = slice(start, start + size), []
        for member in model.members:
            cubes = candidates.cubes[_kind_of(member.artifact)]
            batch = cubes.cubes(rows)
            if member.artifact.card.normalisation == "dataset":
                for channel, scale in enumerate(candidates.scales[: batch.shape[1]]):
                    scale.apply(batch[:, channel])
            batches.append(batch)
        table.store(rows, table.compute(sessions, batches))
    answers = table.finish()
    if model.only_artifact:
        return margin_of(answers[0], SMALLEST)
    cell = model.combine(answers)[0].astype(np.float64)
    return margin_of(np.stack([1 - cell, cell], axis=1), SMALLEST)
