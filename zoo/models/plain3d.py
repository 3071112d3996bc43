"""``plain3d``, a small plain 3D convolutional network, the zoo's own baseline."""

from collections.abc import Sequence

import torch
from torch import nn

from .blocks import CentreContrast, RelativeMaps, conv_bn, strided_shape

CONTRAST = 4.0  # weight of the contrast at the centre, chosen by leave-one-block-out


class Plain3d(nn.Module):
    """Four dense 3x3x3 convolutions, each with batch norm and ReLU, and a linear layer.

    The head reads every voxel of the last map instead of their mean, since the question is
    whether the *centre* is a cell, not whether the cube contains one.

    The input is raw cubes (a card with normalisation ``none``), from which `blocks.RelativeMaps`
    computes the input maps; `blocks.CentreContrast` is added in evaluation.

    Parameters
    ----------
    channels : int
        Channels of the input: 1 signal, or 2 signal and background.
    cube_shape : (z, y, x), voxels
    voxel_size : (z, y, x), um
    widths : four int
        Channels of the convolutions.
    dropout : float
        Dropout of whole channels of the last map, in training only.
    """

    def __init__(
        self,
        channels: int = 1,
        cube_shape: Sequence[int] = (8, 16, 16),
        voxel_size: Sequence[float] = (6.0, 3.0, 3.0),
        widths: Sequence[int] = (16, 16, 32, 64),
        dropout: float = 0.2,
    ):
        super().__init__()
        # The first stride keeps z, since planes lie farther apart than pixels.
        strides = ((1, 2, 2), (2, 2, 2), (1, 1, 1), (2, 2, 2))
        layers, shape, maps = [], tuple(cube_shape), 2 * channels
        for width, stride in zip(widths, strides, strict=True):
            layers.append(conv_bn(maps, width, 3, stride))
            maps, shape = width, strided_shape(shape, stride)
        self.maps = RelativeMaps()
        self.features = nn.Sequential(*layers)
        self.dropout = nn.Dropout3d(dropout)
        self.head = nn.Linear(maps * shape[0] * shape[1] * shape[2], 2)
        self.contrast = CentreContrast(cube_shape, voxel_size, CONTRAST)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (n, C, z, y, x) raw cubes to (n, 2) logits: no cell, cell."""
        logits = self.head(self.dropout(self.features(self.maps(x))).flatten(1))
        return logits if self.training else logits + self.contrast(x)
