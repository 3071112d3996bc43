"""One network ready to run: fixed batches, threads, and a test vector that it must pass."""

from collections.abc import Sequence
from functools import partial

import numpy as np

from ..artifact import (
    OUTPUT,
    TEST_TOLERANCE,
    Artifact,
    Ensemble,
)
from ..errors import ArtifactError, EnvironmentProblem, InputError
from ..options import Options
from ..threads import available_threads
from .backends import Settings, first_line, open_backend

BATCH_VOXELS = 2**20  # of a batch that is left to us: a larger one is no faster, and takes memory
LARGEST_BATCH = 64
MOST_VOXELS = 2**24  # of data, that are cut at once, at most


class Session:
    """A network ready to run; safe to share between threads, not across a fork.

    Parameters
    ----------
    artifact : Artifact
        Verified; the backend is given its bytes, not a path.
    device : str
        ``cpu``, ``cuda``, or ``auto``: CUDA where it loads, else the CPU.
    threads : int, optional
        CPU threads; as many as the process may use when None.
    batch_size : int, optional
        Cubes a run; `best_batch` when None. It stays fixed, the last batch is padded: results
        then do not depend on how points fall into batches, and CUDA does not tune its
        convolutions anew.
    maps : sequence of str
        Those of `artifact.MAPS` that `explain` is to give; each takes time.
    backend : str
        ``auto``, ``onnxruntime`` or ``openvino``; see `backend.open_backend`. Maps are always
        onnxruntime's.
    streams : int
        How many batches may be under way at once. On the CPU each gets its share of the
        threads: small networks scale by batches side by side, not by threads in one.

    Attributes
    ----------
    cube_shape : tuple of int
        Of one cube, (C, z, y, x), voxels.
    batch_size, threads, maps
        As they are used.
    backend : Backend
        What runs the network; `Backend.callers` says from how many threads it is best called.

    Raises
    ------
    InputError
        A map is asked for that the artifact does not give, or a setting is none.
    EnvironmentProblem
        The device asked for does not load, or the backend cannot run the model.
    """

    def __init__(
        self,
        artifact: Artifact,
        device: str = "auto",
        threads: int | None = None,
        batch_size: int | None = None,
        maps: Sequence[str] = (),
        *,
        backend: str = "auto",
        streams: int = 1,
    ):
        size = best_batch(artifact) if batch_size is None else batch_size
        if size < 1 or (threads is not None and threads < 1) or streams < 1:
            raise InputError(
                f"The batch size is {size}, the threads are {threads} and the streams "
                f"{streams}; all must be at least 1."
            )
        if missing := [name for name in maps if name not in artifact.maps]:
            raise InputError(
                f"{artifact.source} does not give {missing[0]!r}; it gives "
                f"{', '.join(artifact.maps) or 'no maps'}."
            )
        self.maps = tuple(maps)
        self.batch_size = size
        self.threads = threads or available_threads()
        self._source = artifact.source
        self.cube_shape = artifact.test_cube.shape[1:]
        if maps:  # OpenVINO's gradients differ by some per cent where those of the two others agree
            backend = "onnxruntime"
        settings = Settings(device, self.threads, streams, size)
        self.backend = open_backend(
            backend, partial(artifact.model_with_maps, maps), artifact.source, settings
        )

    @property
    def provider(self) -> str:
        """What the network really runs on."""
        return self.backend.provider

    def run(self, cubes: np.ndarray) -> np.ndarray:
        """Probabilities of any number of cubes, batch by batch.

        Parameters
        ----------
        cubes : (n, C, z, y, x) float32
            On the card's grid: raw intensities, or normalised over the volume where the card says
            ``dataset``.

        Returns
        -------
        (n, 2) float32
            No cell, cell; 0 to 1. NaN where a cube holds NaN, infinity, or what float32 cannot
            square.

        Raises
        ------
        InputError
            They are of another shape.
        ArtifactError
            The network gives no probabilities.
        EnvironmentProblem
            The backend fails, perhaps for want of memory.
        """
        size = self.batch_size
        parts = [
            self._run(cubes[start : start + size], [OUTPUT])[0]
            for start in range(0, max(1, len(cubes)), size)
        ]
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def explain(self, cubes: np.ndarray) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Probabilities of up to ``batch_size`` cubes, and what they are made of.

        Parameters
        ----------
        cubes : (n, C, z, y, x) float32
            As for `run`.

        Returns
        -------
        (n, 2) float32
            No cell, cell.
        dict of (n, z, y, x) float32
            The session's maps, on the card's grid. ``grad_cam``: Grad-CAM of the margin, the
            logit of a cell less that of no cell; ``relevance``: gradient times what the network
            sees of a voxel. Positive where the cube speaks for a cell, negative where against;
            in logits up to a factor of the model.

        Raises
        ------
        InputError, ArtifactError, EnvironmentProblem
            As `run`.
        """
        probability, *maps = self._run(cubes, [OUTPUT, *self.maps])
        return probability, dict(zip(self.maps, maps, strict=True))

    def _run(self, cubes: np.ndarray, outputs: list[str]) -> list[np.ndarray]:
        n = len(cubes)
        if n > self.batch_size or cubes.shape[1:] != self.cube_shape:
            raise InputError(
                f"The batch is {cubes.shape}; expected up to {self.batch_size} cubes "
                f"of {self.cube_shape}."
            )
        if n < self.batch_size:
            padding = np.zeros((self.batch_size - n, *self.cube_shape), np.float32)
            cubes = np.concatenate([cubes, padding])
        try:
            found = self.backend.run(np.ascontiguousarray(cubes), outputs)
        except Exception as error:
            raise EnvironmentProblem(
                f"{self.backend.library} failed on a batch of {self.batch_size} cubes "
                f"({first_line(error)}). If memory ran out, give a smaller --batch-size."
            ) from None
        output = found[0]
        # NaN passes: it comes from NaN in the data, and is not a label.
        if output.shape != (self.batch_size, 2) or np.any((output < 0) | (output > 1)):
            raise ArtifactError(
                f"{self._source} gave {output.shape} for {self.batch_size} cubes, from "
                f"{output.min():.3g} to {output.max():.3g}; expected two probabilities a cube."
            )
        expected = (self.batch_size, *self.cube_shape[1:])
        if wrong := [values.shape for values in found[1:] if values.shape != expected]:
            raise ArtifactError(f"{self._source} gave a map of {wrong[0]}; expected {expected}.")
        # Asked of the cubes themselves: OpenVINO's ReLU and maximum swallow NaN on its way.
        flat = cubes.reshape(self.batch_size, -1)
        output[~np.isfinite(np.einsum("ij,ij->i", flat, flat))] = np.nan
        return [values[:n] for values in found]

    def check(self, artifact: Artifact) -> float:
        """Run the artifact's test vector, first and last in a batch.

        Returns
        -------
        float
            The largest difference of a probability from what the artifact says it must give.

        Raises
        ------
        EnvironmentProblem
            It is above the tolerance: this computer computes something else.
        """
        cubes = np.zeros((self.batch_size, *self.cube_shape), np.float32)
        cubes[[0, -1]] = artifact.test_cube
        error = float(np.abs(self.run(cubes)[[0, -1]] - artifact.test_output).max())
        if not error <= TEST_TOLERANCE:
            raise EnvironmentProblem(
                f"On this computer ({self.provider}) {artifact.source} gives probabilities "
                f"{error:.2g} away from its own test vector; at most {TEST_TOLERANCE} is "
                f"accepted. Try --device cpu, another --backend, or another version of "
                f"{self.backend.library}."
            )
        return error


def best_batch(artifact: Artifact, voxels: int = 1) -> int:
    """The batch size that is fastest and takes least memory: larger ones gain nothing on CPUs.

    A power of two: onnxruntime's answers are the same to the last bit for multiples of eight. So
    few that their cubes of data, of so many ``voxels``, can be held.
    """
    most = min(LARGEST_BATCH, BATCH_VOXELS // artifact.test_cube.size, MOST_VOXELS // voxels)
    return 1 << max(0, most.bit_length() - 1)


def open_sessions(
    model: Ensemble, options: Options, points: int | None = None, voxels: int = 1
) -> tuple[Session, ...]:
    """One session a member, each of which has given its test vector's answer.

    Members are asked about the same points, so all have the batch size of the largest cube. Each
    thread has a batch of its own, unless there are but few ``points``. ``voxels`` of the data that
    one point's cubes take, where they are known: batches of much finer data are smaller.
    """
    artifacts = [member.artifact for member in model.members]
    size = options.batch_size
    if size is None:
        size = min(best_batch(artifact, voxels) for artifact in artifacts)
    threads = available_threads() if options.threads is None else options.threads
    streams = threads if points is None or size < 1 else min(threads, max(1, -(-points // size)))
    sessions = []
    for artifact in artifacts:
        sessions.append(
            Session(
                artifact, options.device, threads, size, backend=options.backend, streams=streams
            )
        )
        sessions[-1].check(artifact)
    return tuple(sessions)
