"""A classifier that loads its model once, for any number of volumes."""

from collections.abc import Callable, Sequence
from typing import Any

from .artifact import Model, choose_model, read_model
from .errors import InputError
from .job import prepare
from .options import Options
from .pipeline import finish
from .results import Results
from .session import open_sessions


class Classifier:
    """Classifier of the candidates of several volumes, one after another or at once.

    All calls share its sessions, so several threads may call `classify`. Use it in a ``with``
    statement, or call `close`.

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
        self._sessions = open_sessions(self.model, self.options)

    def classify(
        self,
        points: Any,
        signal: Any,
        background: Any = None,
        *,
        voxel_size: Sequence[float] | None = None,
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
        job = prepare(
            points,
            signal,
            background,
            model=self.model,
            voxel_size=voxel_size,
            options=self.options,
            sessions=sessions,
        )
        return finish(job, (signal, background), progress)

    def close(self) -> None:
        """Release the sessions; calls in progress can still finish."""
        self._sessions = ()

    def __enter__(self) -> "Classifier":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
