"""The normalisation ``percentile``: an interval of each cube's own intensities becomes 0 to 1."""

from collections.abc import Sequence
from math import floor

import torch
from torch import nn


class PercentileNorm(nn.Module):
    """Normalisation by two percentiles per cube and channel, cut off beyond them.

    (x - low) / (high - low), from 0 to 1; a cube whose percentiles are equal becomes 0.5. As in
    ``numpy.percentile``, a percentile between two voxels is interpolated linearly.

    Parameters
    ----------
    percentiles : two float
        Low and high, 0 to 100.
    """

    def __init__(self, percentiles: Sequence[float]):
        super().__init__()
        self.low, self.high = percentiles

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (n, C, z, y, x) raw intensities to the same shape, 0 to 1."""
        flat = x.flatten(2)
        low, high = _percentile(flat, self.low), _percentile(flat, self.high)
        span = (high - low)[..., None, None]
        is_flat = span <= 0
        scaled = (x - low[..., None, None]) / torch.where(is_flat, 1.0, span)
        return torch.where(is_flat, 0.5, scaled.clamp(0, 1))


def _percentile(values: torch.Tensor, percent: float) -> torch.Tensor:
    """Return the percentile along the last axis of (n, C, m), as (n, C, 1)."""
    count = values.shape[-1]
    rank = percent / 100 * (count - 1)
    below = min(floor(rank), max(count - 2, 0))
    above = min(below + 1, count - 1)
    if above < count / 2:  # sorting only as much as the rank needs
        ordered = torch.topk(values, above + 1, largest=False).values
        first, second = ordered[..., below : below + 1], ordered[..., above : above + 1]
    else:
        ordered = torch.topk(values, count - below).values  # falling
        last, before = count - 1 - below, count - 1 - above
        first, second = ordered[..., last : last + 1], ordered[..., before : before + 1]
    return first + (second - first) * (rank - below)
