"""``pyramid3d``, blob filters and two attention-gated trunks, one of the cell, one of its surround.

The filters carry over to stains that training never saw; the trunks know what the stains of the
training look like, such as the dense layers of c-Fos. A linear head weighs both.
"""

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional as F

from .attention3d import AttentionTrunk
from .blocks import Resize
from .channel_difference import count_maps, relative_logarithm, with_difference
from .explained_layer import middle_half
from .filters3d import BlobFilters
from .standardised_head import StandardisedHead

WIDTHS = (12, 24, 32)  # channels of the stages of each trunk
EMBEDDING = 16  # numbers of each trunk that reach the head


class LogarithmMaps(nn.Module):
    """Two maps of each channel of raw cubes: the logarithm less its mean, and its z-score.

    A factor over the whole cube cancels in both. The first keeps the contrast, which the second
    loses.
    """

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (n, C, z, y, x) raw intensities to (n, 2 M, z, y, x), see `with_difference`."""
        logarithm = with_difference(relative_logarithm(x))
        deviation = logarithm - logarithm.mean(dim=(2, 3, 4), keepdim=True)
        spread = torch.sqrt((deviation * deviation).mean(dim=(2, 3, 4), keepdim=True) + 1e-4)
        return torch.cat([3 * deviation, deviation / spread], dim=1)  # 3: about unit deviation


class Pyramid3d(nn.Module):
    """`BlobFilters` and two `AttentionTrunk`, before one linear head.

    One trunk sees the middle half of the cube, the other all of it at half the resolution. Each
    gives an embedding, so that the head has few numbers to weigh.

    The input is raw cubes (a card with normalisation ``none``).

    Parameters
    ----------
    channels : int
        Channels of the input: 1 signal, or 2 signal and background.
    cube_shape : (z, y, x), voxels
    voxel_size : (z, y, x), um
    dropout : float
        Dropout of the trunks' features, in training only.
    """

    def __init__(
        self,
        channels: int = 1,
        cube_shape: Sequence[int] = (16, 32, 32),
        voxel_size: Sequence[float] = (6.0, 3.0, 3.0),
        dropout: float = 0.2,
    ):
        super().__init__()
        half = [n // 2 for n in cube_shape]
        double = [2 * size for size in voxel_size]
        self.middle = middle_half(cube_shape)
        self.filters = BlobFilters(channels, cube_shape, voxel_size)
        self.maps = LogarithmMaps()
        pairs = [_mean_of_pairs(n) for n in cube_shape]
        self.halve = Resize(cube_shape, half, pairs)  # pooling has no gradient in ONNX
        maps = 2 * count_maps(channels)
        self.near = AttentionTrunk(maps, half, voxel_size, WIDTHS)
        self.far = AttentionTrunk(maps, half, double, WIDTHS)
        self.embed_near = self._embedding(self.near.width, dropout)
        self.embed_far = self._embedding(self.far.width, dropout)
        self.filters_width = self.filters.width  # first of the features
        self.head = StandardisedHead(self.filters_width + 2 * EMBEDDING)

    @staticmethod
    def _embedding(width: int, dropout: float) -> nn.Sequential:
        return nn.Sequential(
            nn.Dropout(dropout), nn.Linear(width, EMBEDDING), nn.BatchNorm1d(EMBEDDING), nn.ReLU()
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (n, C, z, y, x) raw cubes to (n, 2) logits: no cell, cell."""
        return self.head(self.features(x))

    def features(self, x: torch.Tensor) -> torch.Tensor:
        """Map (n, C, z, y, x) raw cubes to the numbers that the head weighs, (n, F).

        First the filters, then the embeddings of the cell and of its surround.
        """
        maps = self.maps(x)
        near, _ = self.near.attend(maps[:, :, *self.middle])
        far, _ = self.far.attend(self.halve(maps))
        return torch.cat([self.filters(x), self.embed_near(near), self.embed_far(far)], dim=1)


def _mean_of_pairs(n: int) -> torch.Tensor:
    """Return the (n // 2, n) weights that halve an axis; of an odd number, the last is left out."""
    pairs = 0.5 * torch.eye(n // 2).repeat_interleave(2, dim=1)
    return F.pad(pairs, (0, n % 2))
