"""The normalisations that are part of an exported graph."""

from collections.abc import Sequence

from torch import nn

from .cube_norm import CubeNorm
from .percentile_norm import PercentileNorm


def make_input_norm(normalisation: str, percentiles: Sequence[float] = ()) -> nn.Module:
    """Return the module between raw cubes (n, C, z, y, x) and a network.

    It is the identity for the normalisations that are no part of the graph; see `Card`.
    """
    if normalisation == "percentile":
        return PercentileNorm(percentiles)
    return CubeNorm() if normalisation == "cube" else nn.Identity()
