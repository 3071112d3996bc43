"""Parity checks: the exported graph must answer as torch does, within stated bounds."""

import copy
from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from ...runtime.artifact import TEST_TOLERANCE, Artifact, Card
from ...runtime.errors import ArtifactError
from ...runtime.session import Session
from .modules import ExplainedGraph

PARITY = 1e-5
NOISE = 4.0  # times torch's own float32 noise that onnxruntime's answers may be from float64's
MAP_PARITY = 1e-4  # of the largest value of a map
MAP_PROBES = 20


@torch.inference_mode()
def probabilities(graph: nn.Module, cubes: np.ndarray, batch_size: int = 64) -> np.ndarray:
    """Return torch's probabilities (N, 2) for raw cubes (N, C, z, y, x), in their precision."""
    parts = torch.from_numpy(cubes).split(batch_size)
    return torch.cat([graph(part) for part in parts]).numpy()


def answers(artifact: Artifact, cubes: np.ndarray, batch_size: int = 64) -> np.ndarray:
    """Return onnxruntime's probabilities (N, 2) for raw cubes (N, C, z, y, x) float32."""
    session = Session(artifact, "cpu", batch_size=batch_size, backend="onnxruntime", is_own=True)
    starts = range(0, len(cubes), batch_size)
    return np.concatenate([session.run(cubes[i : i + batch_size]) for i in starts])


def check_parity(
    artifact: Artifact, cubes: np.ndarray, expected: np.ndarray, batch_size: int = 64
) -> float:
    """Compare onnxruntime's probabilities with those expected; return the largest difference.

    Parameters
    ----------
    cubes : (N, C, z, y, x) float32, raw intensities
    expected : (N, 2) float32
        Torch's, from `probabilities`.

    Raises
    ------
    ArtifactError
        The largest difference is more than 1e-5.
    """
    error = float(np.abs(answers(artifact, cubes, batch_size) - expected).max())
    if not error <= PARITY:  # NaN fails, too
        raise ArtifactError(
            f"In batches of {batch_size} onnxruntime's probabilities differ from torch's by "
            f"{error:.2g}; at most {PARITY} is accepted. Nothing was written."
        )
    return error


def copy_exact(graph: nn.Module) -> nn.Module | None:
    """Copy a graph to float64; None if it cannot be copied, as keras' with layers of one's own."""
    try:
        return copy.deepcopy(graph).double()
    except Exception:  # whatever the modules of other people raise
        return None


def settle_parity(
    artifact: Artifact,
    exact: nn.Module | None,
    batches: Sequence[tuple[np.ndarray, int]],
    expected: Sequence[np.ndarray],
    tolerance: float | None = None,
) -> dict[str, float]:
    """Compare onnxruntime's probabilities with torch's, by the rounding of the network itself.

    Some networks turn the rounding of float32 into more than 1e-5, in torch as in onnxruntime. How
    much is measured against float64: onnxruntime may be 4 times as far from its answers as torch's
    own float32 is, and the two may differ by no more than the runtime's test allows.

    Parameters
    ----------
    exact : module or None
        The graph in float64, from `copy_exact`; without it, rounding is no excuse.
    batches : sequence of (cubes, batch size)
        Raw cubes (N, C, z, y, x) float32.
    expected : sequence of (N, 2) float32
        Torch's `probabilities` for each batch.
    tolerance : float, optional
        Largest difference to accept, in place of all this.

    Returns
    -------
    dict
        Empty if 1e-5 is kept and no ``tolerance`` is given; else ``largest_difference``,
        ``float32_noise`` and ``tolerance``, for the card.

    Raises
    ------
    ArtifactError
        The difference is larger than rounding explains, or than ``tolerance``.
    """
    actual = np.concatenate([answers(artifact, *batch) for batch in batches])
    single = np.concatenate(expected)
    error = float(np.abs(actual - single).max())
    if error <= PARITY and tolerance is None:
        return {}
    noise = distance = float("nan")
    if exact is not None:
        parts = [probabilities(exact, cubes.astype(np.float64), 16) for cubes, _ in batches]
        double = np.concatenate(parts)
        noise, distance = (float(np.abs(x - double).max()) for x in (single, actual))
    # More noise than the runtime's test allows is none: the copy computes something else.
    by_rounding = noise <= TEST_TOLERANCE and distance <= max(PARITY, NOISE * noise)
    most = min(2 * NOISE * noise, TEST_TOLERANCE) if by_rounding else PARITY
    most = max(PARITY, most) if tolerance is None else tolerance
    if not error <= most:  # NaN fails, too
        raise ArtifactError(
            f"onnxruntime's probabilities differ from torch's by {error:.2g}, and from those in "
            f"float64 by {distance:.2g}, torch's own by {noise:.2g}; a difference of at most "
            f"{most:.2g} is accepted, and only by rounding. Nothing was written. If the network is "
            "meant to be so sensitive, give --tolerance."
        )
    values = {"largest_difference": error, "float32_noise": noise, "tolerance": most}
    return {name: float(f"{v:.2g}") for name, v in values.items() if np.isfinite(v)}


def check_map_parity(
    artifact: Artifact, cubes: np.ndarray, explained: ExplainedGraph
) -> np.ndarray:
    """Compare onnxruntime's maps with torch's; return the largest difference for each cube.

    Parameters
    ----------
    cubes : (N, C, z, y, x) float32, raw intensities

    Returns
    -------
    (N, maps) float
        Differences as shares of the largest value of the cube's map.

    Raises
    ------
    ArtifactError
        The median over the cubes is more than 1e-4. Single cubes may exceed it: where the sum in
        front of a ReLU is 0 up to rounding, its gradient is present or absent by chance, even
        between torch's own float32 and float64 (on one cube in eight for a ResNet-50 with random
        weights). A graph other than torch's differs on all cubes.
    """
    session = Session(
        artifact,
        "cpu",
        batch_size=MAP_PROBES,
        maps=artifact.maps,
        backend="onnxruntime",
        is_own=True,
    )
    parts = []
    for start in range(0, len(cubes), MAP_PROBES):  # torch keeps all layers of a batch in memory
        batch = cubes[start : start + MAP_PROBES]
        _, maps = session.explain(batch)
        _, *expected = explained(torch.from_numpy(batch))
        pairs = zip(maps.values(), expected, strict=True)
        parts.append([_relative_error(values, torchs.numpy()) for values, torchs in pairs])
    errors = np.concatenate(parts, axis=1).T
    for name, error in zip(artifact.maps, np.median(errors, axis=0), strict=True):
        if not error <= MAP_PARITY:
            raise ArtifactError(
                f"onnxruntime's {name} differs from torch's by {error:.2g} of its largest value; "
                f"at most {MAP_PARITY} is accepted. Nothing was written."
            )
    return errors


def _relative_error(values: np.ndarray, expected: np.ndarray) -> np.ndarray:
    scale = np.maximum(np.abs(expected).max(axis=(1, 2, 3)), 1e-12)
    return np.abs(values - expected).max(axis=(1, 2, 3)) / scale


def probe_cubes(card: Card, count: int, seed: int = 0) -> np.ndarray:
    """Make cubes for parity checks: various blobs on a noisy, sloping background.

    Returns
    -------
    (count, C, z, y, x) uint16, raw intensities like a microscope's
    """
    random = np.random.RandomState(seed)  # its streams are frozen by NumPy (NEP 19)
    shape, voxel = np.array(card.cube_shape), np.array(card.voxel_size)
    grid = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), -1) * voxel
    middle = (shape - 1) / 2 * voxel
    cubes = np.empty((count, len(card.channels), *shape))
    for cube in cubes:
        centre = middle + random.normal(0, 2, 3)
        sigma = random.uniform(2, 8)
        blob = np.exp(-((grid - centre) ** 2).sum(-1) / (2 * sigma**2))
        slope = grid @ random.normal(0, 1, 3)
        level, height = random.uniform(100, 1500), random.uniform(0, 4000)
        for i, channel in enumerate(cube):
            channel[...] = level + slope + height * blob * (0.1 if i else 1)
            channel += random.normal(0, np.sqrt(level), shape)
    return np.clip(np.rint(cubes), 0, 65535).astype(np.uint16)
