"""A network ready to run: fixed batches, threads, and a test vector that it must reproduce."""

from collections.abc import Sequence
from functools import partial

import numpy as np

from ..artifact import FEATURES, OUTPUT, Artifact
from ..cpu_grants import available_threads
from ..errors import ArtifactError, EnvironmentProblem, InputError
from .backends import Settings, check_backend, describe_memory, first_line, open_backend
from .batch_size import Network, best_batch
from .verdicts import pass_trial


class Session:
    """A network ready to run; safe to share between threads, not across a fork.

    Parameters
    ----------
    artifact : Artifact
        A verified artifact; the backend gets its bytes, not its path.
    device : str
        ``cpu``, ``cuda``, ``coreml``, ``dml`` (DirectML), ``openvino-gpu``, ``openvino-npu``, or
        ``auto``: CUDA where it loads, else the CPU.
    threads : int, optional
        CPU threads; if None, as many as the process may use.
    batch_size : int, optional
        Cubes per run, at most; if None, `best_batch`. Smaller batches are padded to a size of
        `Backend.padded_size`, so that results do not depend on how points are divided into batches.
    maps : sequence of str
        Names from `artifact.MAPS` that `explain` returns; each takes time.
    backend : str
        ``auto``, ``onnxruntime`` or ``openvino``; see `backends.open_backend`. Maps are always
        computed by onnxruntime.
    streams : int
        Number of batches that run concurrently. On the CPU each gets its share of the threads:
        small networks gain more from concurrent batches than from threads within one.
    is_own : bool
        Whether this program has just built the model. Any other that does not come with cfzoo must
        first pass a trial in a process of its own; see `trial`.

    Attributes
    ----------
    cube_shape : tuple of int
        Shape of one cube, (C, z, y, x), voxels.
    batch_size, threads, maps
        The values in use.
    shapes : dict of str to tuple of int
        The graph's outputs, and the shape of each for one cube.
    backend : Backend
        The library that runs the network; `Backend.callers` threads should call it at once.

    Raises
    ------
    InputError
        The artifact does not give a requested map, or a setting is out of range.
    ArtifactError
        The model fails its trial.
    EnvironmentProblem
        The requested device does not load, or the backend cannot run the model.
    """

    def __init__(
        self,
        artifact: Network,
        device: str = "auto",
        threads: int | None = None,
        batch_size: int | None = None,
        maps: Sequence[str] = (),
        *,
        backend: str = "auto",
        streams: int = 1,
        is_own: bool = False,
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
        self.shapes = {OUTPUT: (2,), **dict.fromkeys(self.maps, self.cube_shape[1:])}
        if artifact.n_features:
            self.shapes[FEATURES] = (artifact.n_features,)
        if maps:  # OpenVINO's gradients differ by some per cent; onnxruntime's agree with torch's
            backend = "onnxruntime"
        settings = Settings(device, self.threads, streams, size)
        check_backend(backend, device)
        if isinstance(artifact, Artifact) and not is_own:
            pass_trial(artifact, self.maps, backend, settings)
        self.backend = open_backend(
            backend, partial(artifact.model_with_maps, maps), artifact.source, settings
        )

    @property
    def provider(self) -> str:
        """The hardware and execution provider in use."""
        return self.backend.provider

    def run(self, cubes: np.ndarray) -> np.ndarray:
        """Compute the probabilities of any number of cubes, batch by batch.

        They are those of the graph, which standardises features by the statistics of the training.

        Parameters
        ----------
        cubes : (n, C, z, y, x) float32
            On the card's grid: raw intensities, or normalised over the volume where the card says
            ``dataset``.

        Returns
        -------
        (n, 2) float32
            No cell, cell; 0 to 1. NaN where a cube holds NaN, infinity, or a number whose square
            exceeds float32.

        Raises
        ------
        InputError
            The cubes have another shape.
        ArtifactError
            The network does not return probabilities.
        EnvironmentProblem
            The backend fails, perhaps because memory ran out.
        """
        return self._run_batches(cubes, [OUTPUT])[0]

    def compute_features(self, cubes: np.ndarray) -> np.ndarray:
        """Compute the features of any number of cubes; see `run_with_features`."""
        return self.run_with_features(cubes)[1]

    def run_with_features(self, cubes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Compute the probabilities and the features of any number of cubes, batch by batch.

        Parameters
        ----------
        cubes : (n, C, z, y, x) float32
            As for `run`.

        Returns
        -------
        probabilities : (n, 2) float32
            As of `run`.
        features : (n, F) float32
            A row is NaN where the probability is, or where a feature is not finite.

        Raises
        ------
        InputError
            The cubes have another shape, or the network gives no features.
        ArtifactError, EnvironmentProblem
            As `run`.
        """
        if FEATURES not in self.shapes:
            raise InputError(
                f"{self._source} gives no features. Export it again with cfzoo from a network with "
                "a standardised head."
            )
        probabilities, features = self._run_batches(cubes, [OUTPUT, FEATURES])
        features[~np.isfinite(features).all(axis=1)] = np.nan
        return probabilities, features

    def _run_batches(self, cubes: np.ndarray, outputs: list[str]) -> list[np.ndarray]:
        """Return the outputs for all cubes."""
        size = self.batch_size
        parts = [
            self._run(cubes[start : start + size], outputs)
            for start in range(0, max(1, len(cubes)), size)
        ]
        return parts[0] if len(parts) == 1 else list(map(np.concatenate, zip(*parts, strict=True)))

    def explain(self, cubes: np.ndarray) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Compute the probabilities of up to ``batch_size`` cubes, and maps that explain them.

        Both stand on the statistics of features in the graph, those of the training.

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
            logit of a cell minus that of no cell; ``hires_cam``: its HiResCAM, without the mean of
            the gradient; ``relevance``: gradient times input, voxel by voxel. Positive values
            speak for a cell, negative values against; in logits, up to a factor that is constant
            for a model.

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
        size = self.backend.padded_size(max(n, 1))
        if n < size:
            padding = np.zeros((size - n, *self.cube_shape), np.float32)
            cubes = np.concatenate([cubes, padding])
        try:
            arrays = self.backend.run(np.ascontiguousarray(cubes), outputs)
        except Exception as error:
            memory = describe_memory(error) or ". If memory ran out, give a smaller --batch-size."
            raise EnvironmentProblem(
                f"{self.backend.library} failed on a batch of {size} cubes "
                f"({first_line(error)}){memory}"
            ) from None
        output = arrays[0]
        # NaN is allowed: it comes from NaN in the data, and is not a label.
        if output.shape != (size, 2) or np.any((output < 0) | (output > 1)):
            raise ArtifactError(
                f"{self._source} gave {output.shape} for {size} cubes, from "
                f"{output.min():.3g} to {output.max():.3g}; expected two probabilities per cube."
            )
        for name, values in zip(outputs, arrays, strict=True):
            expected = (size, *self.shapes[name])
            if values.shape != expected:
                raise ArtifactError(
                    f"{self._source} gave {name} of {values.shape}; expected {expected}."
                )
        # Test the cubes themselves, because OpenVINO's ReLU and maximum drop NaN.
        flat = cubes.reshape(size, -1)
        is_bad = ~np.isfinite(np.einsum("ij,ij->i", flat, flat))
        for name, values in zip(outputs, arrays, strict=True):
            if name in (OUTPUT, FEATURES):
                values[is_bad] = np.nan
        return [values[:n] for values in arrays]

    def check(self, artifact: Network) -> float:
        """Check that the artifact's test vector, first and last in a batch, is reproduced.

        A head in numpy must give its probabilities as well, from the features alone.

        Returns
        -------
        float
            Largest difference between a probability and the artifact's own.

        Raises
        ------
        EnvironmentProblem
            The difference exceeds the tolerance.
        ArtifactError
            The head gives other probabilities than the graph.
        """
        cubes = np.zeros((self.batch_size, *self.cube_shape), np.float32)
        cubes[[0, -1]] = artifact.test_cube
        error = float(np.abs(self.run(cubes)[[0, -1]] - artifact.test_output).max())
        tolerance = artifact.tolerance
        if not error <= tolerance:
            raise EnvironmentProblem(
                f"On this computer ({self.provider}) {artifact.source} gives probabilities "
                f"{error:.2g} away from its own test vector; at most {tolerance:g} is "
                f"accepted. Try --device cpu, another --backend, or another version of "
                f"{self.backend.library}."
            )
        if isinstance(artifact, Artifact) and artifact.head is not None:
            card, features = artifact.card, self.compute_features(artifact.test_cube)
            answer = artifact.head.answer(features, card.temperature, card.offset)
            difference = float(np.abs(answer - artifact.test_output).max())
            if not difference <= tolerance:
                raise ArtifactError(
                    f"The head of {artifact.source} gives probabilities {difference:.2g} away from "
                    f"those of its graph; at most {tolerance:g} is accepted. Export it again."
                )
        return error
