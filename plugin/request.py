"""A request of the widget to the runtime, with error messages in napari's terms."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from napari.layers import Image, Points

from ..runtime.artifact import Artifact, read_weighted
from ..runtime.errors import InputError
from ..runtime.job import choose_voxel_size, prepare
from ..runtime.labelling import labels_folder, open_labelling
from ..runtime.options import Options
from ..runtime.pipeline import run
from .curation import Curation
from .layers import check_same_place, points_of, volume_of
from .learning import LiveCuration


@dataclass(frozen=True)
class Request:
    """Candidates of a volume and the models to classify them with.

    Attributes
    ----------
    zyx : (N, 3) float64, z y x, voxels
    volumes : one or two arrays (z, y, x)
        Signal, and background if there is one.
    voxel_size : (z, y, x), um
    models : tuple of (Path, float)
        Artifacts, or one ensemble, and their relative weights.
    name : str
        Of the signal.
    """

    zyx: np.ndarray
    volumes: tuple[Any, ...]
    voxel_size: tuple[float, float, float]
    models: tuple[tuple[Path, float], ...]
    name: str = ""

    @classmethod
    def of(
        cls,
        signal: Image | None,
        background: Image | None,
        points: Points | None,
        voxel_size: Sequence[float],
        models: Sequence[tuple[Path, float]],
    ) -> "Request":
        """Return the request for the choices in the widget.

        Parameters
        ----------
        signal, background, points : layers
        voxel_size : (z, y, x), um
            0 where unknown.
        models : sequence of (Path, float)

        Raises
        ------
        InputError
            A choice is missing, or the layers do not fit together.
        """
        volumes = [volume_of(signal, "signal")]
        assert signal is not None
        if background is not None:
            volumes.append(volume_of(background, "background"))
            check_same_place(signal, background)
        zyx = points_of(points, signal)
        if not all(voxel_size):
            raise InputError(
                f"The layer {signal.name!r} has no scale, so its voxel size is unknown. Fill in "
                "z, y and x in micrometres."
            )
        if not models:
            raise InputError("No model is ticked. Tick one, or add a file.")
        return cls(
            zyx, tuple(volumes), choose_voxel_size(voxel_size, ()), tuple(models), signal.name
        )

    def answer(self, report: Callable[[int, int], object]) -> Curation:
        """Classify, and call ``report(n, total)`` after each n candidates; it may raise to stop.

        Raises
        ------
        CfzooError
            See `cfzoo.runtime.classify`.
        """
        total = sum(weight for _, weight in self.models)
        single = len(self.models) == 1
        model = read_weighted(
            [str(path) if single else f"{path}={weight / total!r}" for path, weight in self.models]
        )
        if model.channels != len(self.volumes):
            takes = ("the signal alone", "signal and background")[model.channels - 1]
            change = ("set Background to none", "choose a Background")[model.channels - 1]
            name = model.source if single else "One of the models"
            raise InputError(f"{name} takes {takes}: {change}, or tick another model.")
        # Points outside are flagged, since a crop of a brain comes with points of its neighbours.
        options = Options(outside="flag")
        artifact = model.only_artifact
        can_learn = artifact is not None and artifact.head is not None
        hint = _describe_lesson(artifact) if artifact is not None and can_learn else ""
        can_learn = can_learn and not hint
        job = prepare(
            self.zyx,
            *self.volumes,
            model=model,
            voxel_size=self.voxel_size,
            options=options,
            keep_features=can_learn,
        )

        def progress(n: int) -> None:
            report(n, job.n_to_classify)

        if can_learn:
            results, session = open_labelling(job, labels_folder(), progress)
            session.name = self.name
            return LiveCuration(results, job.threshold, self.volumes, self.voxel_size, session)
        return Curation(run(job, progress), job.threshold, self.volumes, self.voxel_size, hint)


def _describe_lesson(artifact: Artifact) -> str:
    """Say what an artifact was taught already; empty if nothing.

    If it learned from the same labels again, each would count twice.
    """
    card = artifact.card
    if "adaptation" not in card.training:
        return ""
    parent = card.parent.split()[0] if card.parent else "its parent"
    return (
        f"{card.name} has learned from labels already. To teach it more, classify with {parent}: "
        "the labels come back, and all of them count."
    )
