"""The trial of a model from elsewhere: its first run, in a process that may die.

The digest of an artifact is no signature, and the libraries that run a network trust what they
read: a wrong operand can corrupt their memory, stop the process, or take hours. So a model that
does not come with cfzoo is first loaded, run on its test vector and on extreme cubes, and released
in a process of its own, by the same library with the same settings. A model that passes is
remembered; see `verdicts`. `trial_supervisor` starts and watches the process, and `trial_process`
is what it does.

The limits grow with the file: small files have no claim to much memory or time. Time spent waiting
for a processor does not count, so a busy computer refuses no model. Memory is watched on Linux and
limited there by the system; on macOS and Windows time alone is limited.

The process has the rights of its user. It protects from crashes, hangs and exhausted memory, not
from a model that would take over the library's code.
"""

import json
import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..artifact import TEST_TOLERANCE
from .backends import Settings

MIB = 2**20
EXTREMES = (0.0, 65535.0, -1.0, 1e30, -1e30, math.nan, math.inf)  # values of whole cubes


@dataclass(frozen=True)
class Limits:
    """Limits of a trial.

    Attributes
    ----------
    memory : int
        Bytes that the model may take, beyond those of the library.
    seconds : float
        Time to load, run and release it, without waiting for a processor.
    """

    memory: int
    seconds: float

    @classmethod
    def of(
        cls, n_bytes: int, numbers: int, batch_size: int, streams: int, maps: int = 0
    ) -> "Limits":
        """Choose the limits of a model.

        A convolution uses each weight at most once per number of its input, and a layer can be
        only as wide as its weights are many; both bounds are generous for networks that classify.

        Parameters
        ----------
        n_bytes : int
            Size of the model.
        numbers : int
            Numbers in one cube.
        batch_size : int
            Cubes in a batch.
        streams : int
            Batches that run concurrently.
        maps : int
            Number of maps, for each of which the layers' outputs are kept.
        """
        width = min(1024, n_bytes // 16)  # bytes per number of the input
        width *= 1 + 2 * maps
        memory = 128 * MIB + 6 * n_bytes + numbers * batch_size * width * streams
        cubes = batch_size + max(batch_size, len(EXTREMES))
        work = min(60.0, cubes * numbers * (n_bytes / 4) / 5e9)  # products, 5e9 per second
        return cls(memory, 0.8 + 1e-6 * min(n_bytes, 10 * MIB) + 6e-8 * n_bytes + work)


@dataclass(frozen=True)
class Trial:
    """A model and how it will be run.

    Attributes
    ----------
    source : str
        Name of the model in messages.
    model : bytes
        Verified ONNX.
    test_cube : (1, C, z, y, x) float32
    test_output : (1, 2) float32
        Probabilities that the network must return for the test cube.
    maps : tuple of str
        Names of the maps that will be computed besides the probabilities.
    backend : str
    settings : Settings
    n_features : int
        Number of features that it returns; 0 for none.
    tolerance : float
        How far its answer to the test cube may be from ``test_output``.
    """

    source: str
    model: bytes
    test_cube: np.ndarray
    test_output: np.ndarray
    maps: tuple[str, ...]
    backend: str
    settings: Settings
    n_features: int = 0
    tolerance: float = TEST_TOLERANCE

    @property
    def limits(self) -> Limits:
        """The limits of its memory and time."""
        settings = self.settings
        return Limits.of(
            len(self.model),
            self.test_cube.size,
            settings.batch_size,
            settings.streams,
            len(self.maps),
        )

    def pack(self) -> list[bytes]:
        """Return what the process reads: a description, the test cube and the model."""
        limits, settings = self.limits, self.settings
        description: dict[str, Any] = {
            "source": self.source,
            "shape": self.test_cube.shape,
            "output": [float(p) for p in self.test_output.ravel()],
            "maps": self.maps,
            "features": self.n_features,
            "tolerance": self.tolerance,
            "backend": self.backend,
            "device": settings.device,
            "threads": settings.threads,
            "streams": settings.streams,
            "batch_size": settings.batch_size,
            "bytes": len(self.model),
            "memory": limits.memory,
            "seconds": limits.seconds,
        }
        line = json.dumps(description).encode() + b"\n"
        return [line, np.ascontiguousarray(self.test_cube, "<f4").tobytes(), self.model]
