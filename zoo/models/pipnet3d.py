"""``pipnet3d``, PIP-Net in 3D: the prototypes at a candidate's centre decide its class."""

from collections.abc import Sequence

import torch
from torch import nn

from .blocks import CentreContrast, RelativeMaps, axis_distances, conv_bn, strided_shape

WINDOW_UM = (13.0, 11.0, 11.0)  # z y x: prototypes count within this distance of the candidate
MIN_PRESENCE = 0.1  # smaller presences count as 0 in evaluation, as in the paper
CONTRAST = 6.0  # weight of the contrast at the centre, chosen by leave-one-block-out


class PipNet3d(nn.Module):
    """A backbone with a fine last grid, a softmax over prototypes, and a scoring sheet.

    At every position the prototypes share a presence of 1. A prototype's presence in the cube is
    its maximum near the candidate; PIP-Net takes the maximum over the whole image, but a cube of
    a dense brain also holds the candidate's neighbours. The score of a class is the sum of
    presences times non-negative weights, so that `sheet` shows the whole decision. The logit of a
    score s is log(1 + s^2), as in the paper.

    The input is raw cubes (a card with normalisation ``none``), from which `blocks.RelativeMaps`
    computes the input maps; `blocks.CentreContrast` is added in evaluation.

    Parameters
    ----------
    channels : int
        Channels of the input: 1 signal, or 2 signal and background.
    cube_shape : (z, y, x), voxels
    voxel_size : (z, y, x), um
    prototypes : int
    widths : three int
        Channels of the convolutions.

    References
    ----------
    Nauta et al. (2023), PIP-Net, CVPR. De Santi et al. (2024), PIPNet3D, arXiv:2403.18328.
    """

    window: torch.Tensor

    def __init__(
        self,
        channels: int = 1,
        cube_shape: Sequence[int] = (8, 16, 16),
        voxel_size: Sequence[float] = (6.0, 3.0, 3.0),
        prototypes: int = 64,
        widths: Sequence[int] = (16, 32, 48),
    ):
        super().__init__()
        first, second, third = widths
        self.maps = RelativeMaps()
        self.features = nn.Sequential(
            conv_bn(2 * channels, first, 3, (1, 2, 2)),
            conv_bn(first, second, 3, (2, 1, 1)),
            conv_bn(second, third),
            nn.Conv3d(third, prototypes, 1),
        )
        self.near = nn.Identity()  # names the windowed map, so that it can be explained
        shape = strided_shape(strided_shape(cube_shape, (1, 2, 2)), (2, 1, 1))
        self.grid_shape = shape
        size = [s * n / m for s, n, m in zip(voxel_size, cube_shape, shape, strict=True)]
        window = torch.ones(1, 1, 1)
        for distance, reach in zip(axis_distances(shape, size), WINDOW_UM, strict=True):
            window = window * (distance <= max(reach, float(distance.min()))).float()
        self.register_buffer("window", window, persistent=False)
        self.weights = nn.Parameter(1 + 0.1 * torch.randn(2, prototypes))
        self.contrast = CentreContrast(cube_shape, voxel_size, CONTRAST)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (n, C, z, y, x) raw cubes to (n, 2) logits: no cell, cell."""
        presence = self.presence(self.prototypes(x))
        if self.training:
            return self.logits(presence)
        return self.logits(self.counted(presence)) + self.contrast(x)

    def prototypes(self, x: torch.Tensor) -> torch.Tensor:
        """Return the prototypes' shares of each position in raw cubes, (n, P, *grid_shape)."""
        return torch.softmax(self.features(self.maps(x)), dim=1)

    def presence(self, maps: torch.Tensor) -> torch.Tensor:
        """Return the largest share of each prototype near the candidate, (n, P), 0 to 1.

        The argument is the output of `prototypes`.
        """
        return self.near(maps * self.window).amax(dim=(2, 3, 4))

    def counted(self, presence: torch.Tensor) -> torch.Tensor:
        """Return presences (n, P) as they count in evaluation: small ones as 0."""
        return presence * (presence >= MIN_PRESENCE)

    @property
    def sheet(self) -> torch.Tensor:
        """Scoring sheet: non-negative weights of the prototypes for no cell and cell, (2, P)."""
        return torch.relu(self.weights)

    def logits(self, presence: torch.Tensor) -> torch.Tensor:
        """Return the logits (n, 2) of presences (n, P)."""
        score = presence @ self.sheet.T
        return torch.log1p(score * score)
