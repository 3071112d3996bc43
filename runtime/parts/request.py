"""Request: a classification as it was asked for, by names of files."""

import os
from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ..artifact import Ensemble, read_weighted
from ..errors import InputError
from ..job import Job, prepare
from ..options import Options
from ..points import read_points
from ..remote import find_address
from ..session import Session, open_sessions
from ..volume import open_volume

OpenSessions = Callable[[Ensemble, Options, int, int], Sequence[Session]]


def no_sessions(*_: object) -> Sequence[Session]:
    """Open no network, in place of `open_sessions`: a job that is gathered needs none."""
    return ()


@dataclass(frozen=True)
class Request:
    """A classification as it was asked for.

    Attributes
    ----------
    volume, points : str
        Paths of the volume and of its candidates, or addresses.
    points_from : str, optional
        As for `read_points`.
    background : str, optional
        Path of the background channel.
    channel, background_channel : int, optional
        Channels to read from the two files.
    models : tuple of str
        As for `read_weighted`; if empty, the default artifact.
    voxel_size : (z, y, x), um, optional
        If None, it is read from the metadata of the volume.
    options : Options
    folder : str
        Folder to which relative paths refer; "" for the working folder.
    """

    volume: str
    points: str
    points_from: str | None = None
    background: str | None = None
    channel: int | None = None
    background_channel: int | None = None
    models: tuple[str, ...] = ()
    voxel_size: tuple[float, float, float] | None = None
    options: Options = field(default_factory=Options)
    folder: str = ""

    @classmethod
    def parse(cls, content: dict[str, Any]) -> "Request":
        """Return the request in the object that `asdict` made, perhaps by way of JSON."""
        size = content["voxel_size"]
        fields: dict[str, Any] = {
            "models": tuple(content["models"]),
            "voxel_size": None if size is None else tuple(float(s) for s in size),
            "options": Options(**content["options"]),
        }
        return cls(**{**content, **fields})

    @property
    def paths(self) -> tuple[str | None, ...]:
        """Paths of the inputs."""
        names = (self.volume, self.points, self.background)
        return tuple(name and self._locate(name) for name in names)

    def describe(self) -> dict[str, Any]:
        """Return the inputs as they were named, for `write_run`."""
        content = asdict(self)
        names = ("volume", "channel", "background", "points", "points_from", "background_channel")
        return {**{name: content[name] for name in names}, "model": list(self.models)}

    @contextmanager
    def prepare(self, open_sessions: OpenSessions = open_sessions) -> Generator[Job]:
        """Read the points, open the volumes and prepare the job.

        Parameters
        ----------
        open_sessions : callable
            As for `prepare`; `no_sessions` if no network has to run.

        Yields
        ------
        Job
            Its volumes are closed at the end.

        Raises
        ------
        InputError, ArtifactError, EnvironmentProblem
            As `prepare`, `read_points` and `open_volume`.
        """
        with ExitStack() as stack:
            candidates = read_points(self._locate(self.points), self.points_from)
            if not len(candidates.zyx):
                raise InputError(f"{self.points} holds no points, so there is nothing to classify.")
            files = [(self.volume, self.channel)]
            if self.background:
                files.append((self.background, self.background_channel))
            volumes = [
                stack.enter_context(open_volume(self._locate(path), channel=channel))
                for path, channel in files
            ]
            models = [self._locate_model(model) for model in self.models]
            yield prepare(
                candidates,
                *volumes,
                model=read_weighted(models) if models else None,
                voxel_size=self.voxel_size,
                options=self.options,
                open_sessions=open_sessions,
            )

    def _locate(self, path: str) -> str:
        if find_address(path):
            return path
        return os.path.join(self.folder, path) if self.folder else path  # noqa: PTH118

    def _locate_model(self, model: str) -> str:
        """Return a model whose file lies in the folder by its path, others unchanged."""
        names = (model, model.rpartition("=")[0])
        if self.folder and any(name and (Path(self.folder) / name).is_file() for name in names):
            return self._locate(model)
        return model
