"""``plain3d``: a small plain 3D convolutional network, the zoo's baseline."""

from collections.abc import Sequence

import torch
from torch import nn


class Plain3d(nn.Module):
    """Four dense 3x3x3 convolutions, each with batch norm and ReLU, and a linear layer.

    Dense convolutions only: CPUs run them an order of magnitude faster, per operation, than
    depthwise ones. The head reads every place of the last map instead of their mean, since
    the question is whether the *centre* is a cell, not whether one is somewhere in the cube.

    Parameters
    ----------
    channels : int
        Of the input: 1 signal, or 2 signal and background.
    cube_shape : (z, y, x), voxels
    widths : four int
        Channels of the convolutions.
    dropout : float
        Of whole channels of the last map, in training only.
    """

    def __init__(
        self,
        channels: int = 1,
        cube_shape: Sequence[int] = (8, 16, 16),
        widths: Sequence[int] = (16, 24, 24, 48),
        dropout: float = 0.2,
    ):
        super().__init__()
        # The first stride leaves z alone: planes lie farther apart than pixels.
        strides = ((1, 2, 2), (2, 2, 2), (1, 1, 1), (2, 2, 2))
        layers: list[nn.Module] = []
        shape = list(cube_shape)
        for width, stride in zip(widths, strides, strict=True):
            layers += [
                nn.Conv3d(channels, width, 3, stride, padding=1, bias=False),
                nn.BatchNorm3d(width),
                nn.ReLU(),
            ]
            channels = width
            shape = [-(-n // s) for n, s in zip(shape, stride, strict=True)]
        self.features = nn.Sequential(*layers)
        self.dropout = nn.Dropout3d(dropout)
        self.head = nn.Linear(channels * shape[0] * shape[1] * shape[2], 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(n, C, z, y, x) normalised cubes to (n, 2) logits: no cell, cell."""
        return self.head(self.dropout(self.features(x)).flatten(1))
