"""The sessions of the last model, which a cohort takes again for its next brain."""

from collections.abc import Sequence

from ...runtime.artifact import Ensemble
from ...runtime.options import Options
from ...runtime.session import Session, open_sessions


class SessionCache:
    """The sessions of the last model, which the next brain takes again if they suit it."""

    def __init__(self) -> None:
        self._key: object = None
        self._sessions: Sequence[Session] = ()

    def open(
        self, model: Ensemble, options: Options, points: int, voxels: int
    ) -> Sequence[Session]:
        """As `open_sessions`."""
        threads, size = options.threads or 1, options.batch_size or 1
        streams = min(threads, -(-points // size))
        key = (model.identity, options, streams, min(points, size), voxels)
        if key != self._key:
            self._key, self._sessions = None, ()  # before the next ones take as much memory
            self._sessions = open_sessions(model, options, points, voxels)
            self._key = key
        return self._sessions
