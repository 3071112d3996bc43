"""``pipnet3d``: PIP-Net in 3D; a candidate is judged by the prototypes found at its centre."""

from collections.abc import Sequence

import torch
from torch import nn

from .blocks import CentreContrast, RelativeMaps, conv_bn, distances, halved

WINDOW_UM = (13.0, 11.0, 11.0)  # where prototypes are looked for: this near the candidate, z y x
FAINT = 0.1  # presences below it are taken for 0 in evaluation, as in the paper
CONTRAST = 6.0  # weight of the contrast at the centre, chosen leaving blocks out


class PipNet3d(nn.Module):
    """A backbone with a fine last grid, a softmax over prototypes, and a scoring sheet.

    At every place the prototypes share a presence of 1. A prototype's presence in the cube is
    the largest one near the candidate; PIP-Net looks everywhere, but a cube around one
    candidate of a dense brain holds its neighbours, too. A class scores the sum of presences
    times non-negative weights: the whole of the decision can be read from `sheet`. The logit
    of a score s is log(1 + s^2), as in the paper.

    Raw cubes go in (a card with normalisation ``none``); see `blocks.RelativeMaps` for what it
    sees of them and `blocks.CentreContrast` for what is added in evaluation.

    Parameters
    ----------
    channels : int
        Of the input: 1 signal, or 2 signal and background.
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
        self.near = nn.Identity()  # a name for what is looked at, to explain by
        shape = halved(halved(cube_shape, (1, 2, 2)), (2, 1, 1))
        self.grid_shape = shape
        size = [s * n / m for s, n, m in zip(voxel_size, cube_shape, shape, strict=True)]
        near = torch.ones(1, 1, 1)
        for away, reach in zip(distances(shape, size), WINDOW_UM, strict=True):
            near = near * (away <= max(reach, float(away.min()))).float()
        self.register_buffer("window", near, persistent=False)
        self.weights = nn.Parameter(1 + 0.1 * torch.randn(2, prototypes))
        self.contrast = CentreContrast(cube_shape, voxel_size, CONTRAST)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(n, C, z, y, x) raw cubes to (n, 2) logits: no cell, cell."""
        present = self.presence(self.prototypes(x))
        if self.training:
            return self.logits(present)
        return self.logits(present * (present >= FAINT)) + self.contrast(x)

    def prototypes(self, x: torch.Tensor) -> torch.Tensor:
        """Raw cubes to the prototypes' shares of each place, (n, P, *grid_shape), of sum 1."""
        return torch.softmax(self.features(self.maps(x)), dim=1)

    def presence(self, maps: torch.Tensor) -> torch.Tensor:
        """Largest share of each prototype near the candidate, (n, P), 0 to 1; of `prototypes`."""
        return self.near(maps * self.window).amax(dim=(2, 3, 4))

    @property
    def sheet(self) -> torch.Tensor:
        """Scoring sheet: non-negative weights of the prototypes for no cell and cell, (2, P)."""
        return torch.relu(self.weights)

    def logits(self, present: torch.Tensor) -> torch.Tensor:
        """Presences (n, P) to logits (n, 2)."""
        score = present @ self.sheet.T
        return torch.log1p(score * score)
