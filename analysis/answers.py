"""Run models on the labelled candidates of some data sets, as they are and changed."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from functools import cached_property

import numpy as np

from ..runtime.artifact import Artifact, Ensemble
from ..runtime.cubes import Scale, measure_scale
from ..runtime.errors import InputError
from ..runtime.session import Session
from ..runtime.volume import open_volume
from ..zoo.data import LabelledCubes, LabelledVolume, Source, load
from ..zoo.evaluation import corrupt, list_corruptions, local_contrast, ranking_metrics, subsample
from .predictions import Predictions

CONTRAST = "contrast (trivial)"
SHAKEN_WITH = 1000  # candidates of a data set, at most, that changes are tried on
Kind = tuple  # of cubes: shape, voxel size, channels and resampling


def answer_all(
    models: Mapping[str, Ensemble],
    sources: Sequence[Source],
    *,
    device: str = "auto",
    threads: int | None = None,
    batch_size: int = 32,
    shake: bool = True,
    say: Callable[[str], object] = lambda text: None,
) -> tuple[Predictions, dict[str, dict[str, float]]]:
    """What each model says of each labelled candidate, those at the faces included.

    Parameters
    ----------
    models : mapping of str to Ensemble
    sources : sequence
        Labelled volumes or cubes.
    device, threads, batch_size
        As for `cfzoo.runtime.Session`.
    shake : bool
        Also change the data (`cfzoo.zoo.evaluation.corrupt`).

    Returns
    -------
    predictions : Predictions
    robustness : dict
        Model -> change, as ``blur 2`` -> mean AUC over the data sets with both classes.

    Raises
    ------
    InputError
        A data set lacks a channel that a model needs, or cannot be normalised as it wants.
    """
    sessions = {
        name: [Session(m.artifact, device, threads, batch_size) for m in model.members]
        for name, model in models.items()
    }
    for name, model in models.items():
        for member, session in zip(model.members, sessions[name], strict=True):
            session.check(member.artifact)
    columns: dict[str, list[np.ndarray]] = {}
    margins: dict[str, list[np.ndarray]] = {name: [] for name in models}
    aucs: dict[str, dict[str, list[float]]] = {name: {} for name in models}
    for number, source in enumerate(sources):
        loaded = _Loaded(source, models)

        def run(name: str, cubes: Mapping[Kind, LabelledCubes], loaded=loaded) -> np.ndarray:
            return _margin(models[name], sessions[name], cubes, loaded)

        for name in models:
            say(f"{name} on {source.name}")
            margins[name].append(run(name, loaded.cubes))
        first = loaded.any
        if shake and 0 < first.labels.sum() < len(first):
            part = {kind: subsample(cubes, SHAKEN_WITH) for kind, cubes in loaded.cubes.items()}
            for change, cubes in _changed(part):
                say(f"{source.name}, {change}")
                for name in models:
                    auc = ranking_metrics(
                        next(iter(cubes.values())).labels, run(name, cubes), None
                    )["auc"]
                    aucs[name].setdefault(change, []).append(auc)
        edge = ~np.all([cubes.inside for cubes in loaded.cubes.values()], axis=0)
        for key, column in {
            "dataset": np.full(len(first), number),
            "zyx": first.zyx,
            "edge": edge,
            "labels": first.labels,
        }.items():
            columns.setdefault(key, []).append(column)
    predictions = Predictions(
        names=tuple(source.name for source in sources),
        **{key: np.concatenate(parts) for key, parts in columns.items()},
        margin={name: np.concatenate(parts)[None] for name, parts in margins.items()},
    )
    mean = {n: {k: float(np.mean(v)) for k, v in row.items()} for n, row in aucs.items()}
    return predictions, mean


def _changed(
    cubes: Mapping[Kind, LabelledCubes],
) -> Iterator[tuple[str, Mapping[Kind, LabelledCubes]]]:
    """The name of each change and the changed cubes; first as they are.

    Only what all kinds of cubes allow: the models are shaken by the same.
    """
    yield "as it is", cubes
    first, *others = (list_corruptions(kind) for kind in cubes.values())
    for what, level in first:
        if not all((what, level) in other for other in others):
            continue
        yield f"{what} {level:g}", {k: corrupt(c, what, level) for k, c in cubes.items()}


def contrast_all(sources: Sequence[Source], predictions: Predictions) -> np.ndarray | None:
    """The trivial score of each candidate, (N,) float32; None where a data set has cubes alone."""
    parts = []
    for source in sources:
        if not isinstance(source, LabelledVolume):
            return None
        with open_volume(source.signal) as volume:
            block = volume.read(*(slice(0, n) for n in volume.shape))
        zyx = predictions.zyx[predictions.rows(source.name)]
        parts.append(local_contrast(block, zyx, source.voxel_size))
    return np.concatenate(parts)


def _kind(artifact: Artifact) -> Kind:
    card = artifact.card
    return card.cube_shape, card.voxel_size, card.channels, card.resampling


class _Loaded:
    """The cubes of one data set for all models, each kind loaded once."""

    def __init__(self, source: Source, models: Mapping[str, Ensemble]):
        self.source = source
        artifacts = [m.artifact for model in models.values() for m in model.members]
        first = {_kind(artifact): artifact for artifact in reversed(artifacts)}
        self.cubes = {kind: load(source, artifact.card) for kind, artifact in first.items()}

    @property
    def any(self) -> LabelledCubes:
        return next(iter(self.cubes.values()))

    @cached_property
    def scales(self) -> list[Scale]:
        """Of the whole volumes."""
        source = self.source
        if not isinstance(source, LabelledVolume):
            raise InputError(
                f"A model normalises by the whole volume, and {source.name} has cubes alone. "
                "Compare it on volumes with their points."
            )
        with ExitStack() as opened:
            paths = [path for path in (source.signal, source.background) if path is not None]
            return [measure_scale(opened.enter_context(open_volume(path))) for path in paths]


def _margin(
    model: Ensemble,
    sessions: Sequence[Session],
    cubes: Mapping[Kind, LabelledCubes],
    loaded: _Loaded,
) -> np.ndarray:
    """Logit of a cell less that of no cell, (N,) float64."""
    size, parts = sessions[0].batch_size, []
    for start in range(0, len(next(iter(cubes.values()))), size):
        answers = []
        for member, session in zip(model.members, sessions, strict=True):
            batch = cubes[_kind(member.artifact)].cubes(slice(start, start + size))
            if member.artifact.card.normalisation == "dataset":
                for channel in range(batch.shape[1]):
                    batch[:, channel] -= np.float32(loaded.scales[channel].mean)
                    batch[:, channel] /= np.float32(loaded.scales[channel].std)
            answers.append(session.run(batch))
        if model.only_artifact:
            both = answers[0].astype(np.float64)
        else:
            cell = model.combine(answers)[0].astype(np.float64)
            both = np.stack([1 - cell, cell], axis=1)
        # From both columns: where one is rounded to 1, the other still tells how near.
        no_cell, cell = np.log(np.clip(both, 1e-12, None)).T
        parts.append(cell - no_cell)
    return np.concatenate(parts)
