"""A classifier that loads its model once, for any number of volumes."""

import dataclasses
import threading
from collections.abc import Callable, Sequence
from typing import Any

from .artifact import Ensemble, Model, choose_model, read_model
from .errors import InputError
from .job import prepare
from .options import Options
from .pipeline import finish
from .results import Results
from .session import Session, Statistics, choose_batch, open_sessions


class Classifier:
    """Classifier of the candidates of several volumes, one after another or at once.

    All calls share its sessions, so several threads may call `classify`. Use it in a ``with``
    statement, or call `close`. Batches larger than the model's best size are opened when a volume
    first has as many points.

    Parameters
    ----------
    model : path, bundled name, Artifact or Ensemble, optional
        If None, the default bundled artifact for the signal alone.
    options : Options, optional

    Attributes
    ----------
    model : Ensemble
        The model; an artifact is an ensemble of one member.
    options : Options

    Raises
    ------
    InputError, ArtifactError, EnvironmentProblem
        The model cannot be found, verified or run.

    Examples
    --------
    >>> with Classifier("attention3d", Options(edges="drop")) as classifier:
    ...     for points, volume in brains:
    ...         results = classifier.classify(points, volume, voxel_size=(5, 2, 2))
    """

    def __init__(self, model: Model | None = None, options: Options | None = None):
        self.model = choose_model(None, 1) if model is None else read_model(model)
        self.options = options or Options()
        best = choose_batch(self.model, dataclasses.replace(self.options, batch_size=None))
        self._smallest = choose_batch(self.model, self.options, best)
        self._lock = threading.Lock()
        self._sessions = {self._smallest: self._open(self.options, self._smallest)}

    def classify(
        self,
        points: Any,
        signal: Any,
        background: Any = None,
        *,
        voxel_size: Sequence[float] | None = None,
        statistics: Statistics | None = None,
        progress: Callable[[int], object] | None = None,
    ) -> Results:
        """Classify the candidates of one volume; see `cfzoo.runtime.classify`.

        Parameters
        ----------
        points : Points, or (N, 3) array
            Candidates, z y x, voxels.
        signal, background : path, Volume or array, (z, y, x)
            Raw intensities. Give the background only if the model takes it.
        voxel_size : (z, y, x), um, optional
            If None, it is read from the signal's metadata.
        statistics : mapping of str to FeatureStatistics or FeatureCounts, optional
            As for `prepare`.
        progress : callable, optional
            Called after each batch with its number of points.

        Returns
        -------
        Results
            Every point in the order of ``points``.

        Raises
        ------
        InputError, ArtifactError, EnvironmentProblem
            The classifier is closed, or see `cfzoo.runtime.classify`.
        """
        sessions = self._sessions  # read only once: another thread may call close
        if not sessions:
            raise InputError("This classifier is closed. Create a new one.")

        def open_sessions(_: Ensemble, options: Options, points: int, voxels: int):
            return self._choose_sessions(sessions, options.batch_size or 1)

        job = prepare(
            points,
            signal,
            background,
            model=self.model,
            voxel_size=voxel_size,
            options=self.options,
            statistics=statistics,
            open_sessions=open_sessions,
        )
        return finish(job, (signal, background), progress)

    def close(self) -> None:
        """Release the sessions; calls in progress can still finish."""
        self._sessions = {}

    def _choose_sessions(
        self, sessions: dict[int, tuple[Session, ...]], size: int
    ) -> tuple[Session, ...]:
        """Return sessions whose batches hold ``size`` cubes; open them if no earlier call did."""
        # The sizes are powers of two, so that volumes of many sizes share a few sessions.
        size = max(self._smallest, 1 << (size - 1).bit_length())
        if self.options.batch_size is not None:
            size = max(self._smallest, min(size, self.options.batch_size))
        with self._lock:
            if size not in sessions:
                sessions[size] = self._open(self.options, size)
            return sessions[size]

    def _open(self, options: Options, size: int) -> tuple[Session, ...]:
        return open_sessions(self.model, dataclasses.replace(options, batch_size=size))

    def __enter__(self) -> "Classifier":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
