"""``wavemix3d``, WaveMix with a 3D Haar transform in place of attention or large kernels."""

from collections.abc import Sequence
from itertools import product

import torch
from torch import nn
from torch.nn import functional as F

from .blocks import CentreContrast, RelativeMaps, conv_bn, strided_shape

BANDS = tuple("".join(b) for b in product("ad", repeat=3))  # aaa, aad, ... ddd: letters z y x

CONTRAST = 12.0  # weight of the contrast at the centre, chosen by leave-one-block-out


class Haar3d(nn.Module):
    """One level of the 3D Haar transform, with zeros beyond the faces.

    One strided convolution equals ``ptwt.wavedec3(x, "haar", mode="zero", level=1)``:
    a = (x0 + x1) / sqrt 2 and d = (x0 - x1) / sqrt 2 along each axis. Odd axes are extended by
    one zero, as in ptwt.
    """

    filters: torch.Tensor

    def __init__(self):
        super().__init__()
        filter_1d = {"a": torch.tensor([1.0, 1.0]), "d": torch.tensor([1.0, -1.0])}
        filters = [
            filter_1d[z][:, None, None] * filter_1d[y][:, None] * filter_1d[x] / 2**1.5
            for z, y, x in BANDS
        ]
        self.register_buffer("filters", torch.stack(filters)[:, None], persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (n, c, z, y, x) to (n, 8 c, ceil(z / 2), ceil(y / 2), ceil(x / 2)).

        The bands aaa, aad, ... ddd of each channel follow each other.
        """
        n, c, *shape = x.shape
        if any(size % 2 for size in shape):
            x = F.pad(x, [pad for size in reversed(shape) for pad in (0, size % 2)])
        y = F.conv3d(x.reshape(n * c, 1, *x.shape[2:]), self.filters, stride=2)
        return y.reshape(n, 8 * c, *y.shape[2:])

    def inverse(self, y: torch.Tensor, shape: Sequence[int]) -> torch.Tensor:
        """Invert the transform as ``ptwt.waverec3``: (n, 8 c, ...) to (n, c, *shape)."""
        n, c = y.shape[0], y.shape[1] // 8
        x = F.conv_transpose3d(y.reshape(n * c, 8, *y.shape[2:]), self.filters, stride=2)
        x = x.reshape(n, c, *x.shape[2:])
        return x[:, :, : shape[0], : shape[1], : shape[2]]


class WaveBlock(nn.Module):
    """Residual block that mixes the bands of a wavelet transform.

    The level-1 block of WaveMix (Jeevan et al. 2022): a 1x1x1 convolution to width / 8, eight
    bands of half the size, an MLP over the channels, a transposed convolution whose overlap mixes
    neighbours, and batch norm.
    """

    def __init__(self, width: int, grow: int = 2, dropout: float = 0.1):
        super().__init__()
        self.reduce = nn.Conv3d(width, width // 8, 1)
        self.haar = Haar3d()
        self.mix = nn.Sequential(
            nn.Conv3d(width, grow * width, 1),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Conv3d(grow * width, width, 1),
        )
        self.expand = nn.ConvTranspose3d(width, width, 4, stride=2, padding=1, bias=False)
        self.norm = nn.BatchNorm3d(width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (n, width, z, y, x) to the same shape."""
        y = self.norm(self.expand(self.mix(self.haar(self.reduce(x)))))
        if y.shape != x.shape:  # an odd size grows by one
            y = y[:, :, : x.shape[2], : x.shape[3], : x.shape[4]]
        return x + y


class WaveMix3d(nn.Module):
    """A strided stem, wavelet blocks at one resolution, and a strided head.

    The input is raw cubes (a card with normalisation ``none``), from which `blocks.RelativeMaps`
    computes the input maps; `blocks.CentreContrast` is added in evaluation.

    Parameters
    ----------
    channels : int
        Channels of the input: 1 signal, or 2 signal and background.
    cube_shape : (z, y, x), voxels
    voxel_size : (z, y, x), um
    width : int
        Channels of the blocks, a multiple of 8.
    depth : int
        Number of blocks.
    dropout : float
        Dropout of whole channels of the last map, in training only.

    References
    ----------
    Jeevan, Viswanathan, Anandu and Sethi (2022), WaveMix, arXiv:2205.14375. The 3D form is
    new: we know of no published one.
    """

    def __init__(
        self,
        channels: int = 1,
        cube_shape: Sequence[int] = (8, 16, 16),
        voxel_size: Sequence[float] = (6.0, 3.0, 3.0),
        width: int = 32,
        depth: int = 3,
        dropout: float = 0.2,
    ):
        super().__init__()
        self.maps = RelativeMaps()
        shape = strided_shape(cube_shape, (1, 2, 2))  # planes lie farther apart than pixels
        self.stem = conv_bn(2 * channels, width, 3, (1, 2, 2))
        self.blocks = nn.Sequential(*(WaveBlock(width) for _ in range(depth)))
        self.down = nn.Sequential(conv_bn(width, width, 3, 2), conv_bn(width, 2 * width, 3, 2))
        self.dropout = nn.Dropout3d(dropout)
        # Every voxel, not their mean: the question is whether the centre is a cell.
        last = strided_shape(strided_shape(shape))
        self.head = nn.Linear(2 * width * last[0] * last[1] * last[2], 2)
        self.contrast = CentreContrast(cube_shape, voxel_size, CONTRAST)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (n, C, z, y, x) raw cubes to (n, 2) logits: no cell, cell."""
        y = self.down(self.blocks(self.stem(self.maps(x))))
        logits = self.head(self.dropout(y).flatten(1))
        return logits if self.training else logits + self.contrast(x)
