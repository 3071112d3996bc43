"""The difference of two channels, for networks that look at logarithms.

Debris is bright in signal and background, a cell in the signal alone. A head that weighs numbers
of either channel can express that only if both have one scale, which gain and contrast do not
grant. Filters are linear, so those of log(signal) - log(background) see the ratio of the channels:
a gain of either cancels, equal channels give nothing, and an empty background leaves the signal.
"""

import torch
from torch import nn

DARKEST = 1.0  # intensity; the logarithm of 0 is not finite


def count_maps(channels: int) -> int:
    """Return the number of maps that `with_difference` gives for so many channels: 1 or 3."""
    return channels if channels == 1 else channels + 1


def relative_logarithm(cubes: torch.Tensor) -> torch.Tensor:
    """Return the logarithm of raw cubes (n, C, z, y, x) relative to the mean of each channel.

    That of the intensities is about 8, where float32 has steps of 5e-7, which libraries round
    differently; near 0 they are a tenth of that.
    """
    positive = cubes.clamp(min=DARKEST)
    return torch.log(positive / positive.mean(dim=(2, 3, 4), keepdim=True))


def mean_logarithms(cubes: torch.Tensor) -> torch.Tensor:
    """Return the logarithm of the mean of each channel of raw cubes, and their difference, (n, M).

    A factor over the whole brain shifts them, which the statistics of its candidates undo.
    """
    means = cubes.clamp(min=DARKEST).mean(dim=(2, 3, 4), keepdim=True)
    return with_difference(torch.log(means)).flatten(1)


def with_difference(logarithms: torch.Tensor) -> torch.Tensor:
    """Append the difference of signal and background to their logarithms.

    Parameters
    ----------
    logarithms : (n, C, z, y, x)
        Logarithms of the intensities: the signal, or signal and background.

    Returns
    -------
    (n, M, z, y, x)
        Signal, background and signal minus background; one channel stays as it is.
    """
    if logarithms.shape[1] == 1:
        return logarithms
    signal, background = logarithms[:, :1], logarithms[:, 1:]
    return torch.cat([signal, background, signal - background], dim=1)


class LogarithmDeviation(nn.Module):
    """Deviation of the logarithm of each channel, and of their difference, from its mean.

    A factor over the whole cube cancels.
    """

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (n, C, z, y, x) raw cubes to (n, M, z, y, x), see `with_difference`."""
        logarithm = with_difference(relative_logarithm(x))
        return logarithm - logarithm.mean(dim=(2, 3, 4), keepdim=True)
