"""``wavemix3d``: WaveMix with a 3D Haar transform in place of attention or large kernels."""

from collections.abc import Sequence
from itertools import product

import torch
from torch import nn
from torch.nn import functional as F

from .blocks import CentreContrast, RelativeMaps, conv_bn, halved

BANDS = tuple("".join(b) for b in product("ad", repeat=3))  # aaa, aad, ... ddd: letters z y x

CONTRAST = 12.0  # weight of the contrast at the centre, chosen leaving blocks out


class Haar3d(nn.Module):
    """One level of the 3D Haar transform, zeros beyond the faces; its inverse is `inverse`.

    As one strided convolution, equal to ``ptwt.wavedec3(x, "haar", mode="zero", level=1)``:
    a = (x0 + x1) / sqrt 2 and d = (x0 - x1) / sqrt 2 along each axis. Odd axes are extended by
    one zero, as there.
    """

    filters: torch.Tensor

    def __init__(self):
        super().__init__()
        line = {"a": torch.tensor([1.0, 1.0]), "d": torch.tensor([1.0, -1.0])}
        filters = [
            line[z][:, None, None] * line[y][:, None] * line[x] / 2**1.5 for z, y, x in BANDS
        ]
        self.register_buffer("filters", torch.stack(filters)[:, None], persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(n, c, z, y, x) to (n, 8 c, ceil(z / 2), ceil(y / 2), ceil(x / 2)).

        Of each channel in turn the bands aaa, aad, ... ddd.
        """
        n, c, *shape = x.shape
        if any(size % 2 for size in shape):
            x = F.pad(x, [pad for size in reversed(shape) for pad in (0, size % 2)])
        y = F.conv3d(x.reshape(n * c, 1, *x.shape[2:]), self.filters, stride=2)
        return y.reshape(n, 8 * c, *y.shape[2:])

    def inverse(self, y: torch.Tensor, shape: Sequence[int]) -> torch.Tensor:
        """(n, 8 c, ...) back to (n, c, *shape), as ``ptwt.waverec3``."""
        n, c = y.shape[0], y.shape[1] // 8
        x = F.conv_transpose3d(y.reshape(n * c, 8, *y.shape[2:]), self.filters, stride=2)
        x = x.reshape(n, c, *x.shape[2:])
        return x[:, :, : shape[0], : shape[1], : shape[2]]


class WaveBlock(nn.Module):
    """Reduce channels, transform, mix the bands, and go back up; residual.

    The level-1 block of WaveMix (Jeevan et al. 2022): 1x1x1 to width / 8, eight bands of half
    the size, an MLP over the channels, a transposed convolution whose overlap mixes neighbours,
    batch norm.
    """

    def __init__(self, wide: int, grow: int = 2, dropout: float = 0.1):
        super().__init__()
        self.reduce = nn.Conv3d(wide, wide // 8, 1)
        self.haar = Haar3d()
        self.mix = nn.Sequential(
            nn.Conv3d(wide, grow * wide, 1),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Conv3d(grow * wide, wide, 1),
        )
        self.expand = nn.ConvTranspose3d(wide, wide, 4, stride=2, padding=1, bias=False)
        self.norm = nn.BatchNorm3d(wide)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(n, wide, z, y, x) to the same shape."""
        y = self.norm(self.expand(self.mix(self.haar(self.reduce(x)))))
        if y.shape != x.shape:  # an odd size comes back one larger
            y = y[:, :, : x.shape[2], : x.shape[3], : x.shape[4]]
        return x + y


class WaveMix3d(nn.Module):
    """A strided stem, wavelet blocks at one resolution, and a strided head.

    Raw cubes go in (a card with normalisation ``none``); see `blocks.RelativeMaps` for what it
    sees of them and `blocks.CentreContrast` for what is added in evaluation.

    Parameters
    ----------
    channels : int
        Of the input: 1 signal, or 2 signal and background.
    cube_shape : (z, y, x), voxels
    voxel_size : (z, y, x), um
    wide : int
        Channels of the blocks, a multiple of 8.
    depth : int
        Number of blocks.
    dropout : float
        Of whole channels of the last map, in training only.

    References
    ----------
    Jeevan, Viswanathan, Anandu and Sethi (2022), WaveMix, arXiv:2205.14375. The 3D form is
    ours: no published one was found.
    """

    def __init__(
        self,
        channels: int = 1,
        cube_shape: Sequence[int] = (8, 16, 16),
        voxel_size: Sequence[float] = (6.0, 3.0, 3.0),
        wide: int = 32,
        depth: int = 3,
        dropout: float = 0.2,
    ):
        super().__init__()
        self.maps = RelativeMaps()
        shape = halved(cube_shape, (1, 2, 2))  # planes lie farther apart than pixels
        self.stem = conv_bn(2 * channels, wide, 3, (1, 2, 2))
        self.blocks = nn.Sequential(*(WaveBlock(wide) for _ in range(depth)))
        self.down = nn.Sequential(conv_bn(wide, wide, 3, 2), conv_bn(wide, 2 * wide, 3, 2))
        self.dropout = nn.Dropout3d(dropout)
        # Place by place, not their mean: the question is whether the centre is a cell.
        last = halved(halved(shape))
        self.head = nn.Linear(2 * wide * last[0] * last[1] * last[2], 2)
        self.contrast = CentreContrast(cube_shape, voxel_size, CONTRAST)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(n, C, z, y, x) raw cubes to (n, 2) logits: no cell, cell."""
        y = self.down(self.blocks(self.stem(self.maps(x))))
        logits = self.head(self.dropout(y).flatten(1))
        return logits if self.training else logits + self.contrast(x)
