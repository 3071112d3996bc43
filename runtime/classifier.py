"""A model loaded once, for any number of volumes."""

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
    """Classify the candidates of one volume after another, or of several at once.

    Its sessions are shared: `classify` may be called from several threads. Use it in a ``with``,
    or call `close`.

    Parameters
    ----------
    model : path, bundled name, Artifact or Ensemble, optional
        The default bundled artifact, which takes the signal alone, when None.
    options : Options, optional

    Attributes
    ----------
    model : Ensemble
        Of one member for an artifact; its cards say what it expects.
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
            Raw intensities. The background where the model takes it, and only there.
        voxel_size : (z, y, x), um, optional
            Read from the signal's metadata when None.
        progress : callable, optional
            Called after each batch with the number of its points.

        Returns
        -------
        Results
            In the order of ``points``.

        Raises
        ------
        InputError, ArtifactError, EnvironmentProblem
            It is closed, or see `cfzoo.runtime.classify`.
        """
        sessions = self._sessions  # once: another thread may close meanwhile
        if not sessions:
            raise InputError("This classifier is closed. Make a new one.")
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
        """Let go of the sessions; calls that are under way still end well."""
        self._sessions = ()

    def __enter__(self) -> "Classifier":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
