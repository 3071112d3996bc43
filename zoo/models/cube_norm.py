"""The normalisation ``cube``, which training applies and the exported graph contains."""

import torch
from torch import nn


class CubeNorm(nn.Module):
    """Normalisation to zero mean and unit variance per cube and channel.

    (x - mean) / sqrt(var + eps). A brain's overall brightness and offset cancel, so that a
    network can be applied to brains other than those that it was trained on. The variance is the
    mean of squares of the centred cube, not ``torch.var``: this exports to plain operators, and
    E[x^2] - E[x]^2 cancels badly in float32 at intensities of 10^4.

    Parameters
    ----------
    eps : float
        Added to the variance, so that a constant cube gives zeros.
    """

    def __init__(self, eps: float = 1e-6):
        super().__init__()
        self.eps = eps

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (n, C, z, y, x) raw float32 intensities to the same shape, normalised."""
        x = x - x.mean(dim=(2, 3, 4), keepdim=True)
        return x / torch.sqrt((x * x).mean(dim=(2, 3, 4), keepdim=True) + self.eps)
