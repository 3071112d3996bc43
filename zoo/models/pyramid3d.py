"""``pyramid3d``, blob filters and two attention-gated trunks, one of the cell, one of its surround.

The filters carry over to stains that training never saw; the trunks know what the stains of the
training look like, such as the dense layers of c-Fos. A linear head weighs both.
"""

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional as F

from .attention3d import AttentionTrunk
from .blocks import SmallResize
from .channel_difference import LogarithmDeviation, count_maps
from .explained_layer import middle_half
from .filters3d import BlobFilters
from .standardised_head import StandardisedHead

WIDTHS = (8, 16, 32)  # channels of the stages of each trunk
FAR_STRIDE = (2, 2, 2)  # of the first stage of the far trunk
EMBEDDING = 16  # numbers of each trunk that reach the head


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

    eighth: torch.Tensor

    def __init__(
        self,
        channels: int = 1,
        cube_shape: Sequence[int] = (16, 32, 32),
        voxel_size: Sequence[float] = (6.0, 3.0, 3.0),
        dropout: float = 0.2,
    ):
        super().__init__()
        half = [n // 2 for n in cube_shape]  # of an odd number, the last voxel is left out
        double = [2 * size for size in voxel_size]
        self.middle = middle_half(cube_shape)
        self.filters = BlobFilters(channels, cube_shape, voxel_size)
        self.maps = LogarithmDeviation()
        maps = count_maps(channels)
        self.register_buffer("eighth", torch.full((maps, 1, 2, 2, 2), 1 / 8), persistent=False)
        self.near = AttentionTrunk(2 * maps, half, voxel_size, WIDTHS, resize=SmallResize)
        self.far = AttentionTrunk(2 * maps, half, double, WIDTHS, FAR_STRIDE, SmallResize)
        self.embed_near = self._embedding(self.near.width, dropout)
        self.embed_far = self._embedding(self.far.width, dropout)
        self.filters_width = self.filters.width  # first of the features
        reserve = self.filters.profile_width  # last of them
        self.head = StandardisedHead(self.filters_width + 2 * EMBEDDING + reserve, reserve)

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

        First the filters, then the embeddings of the cell and of its surround, and last the
        profile of `BlobFilters.measure`, which only the labels of a brain may weigh: a training
        would learn from it how bright and how large the cells of its own stains are.
        """
        deviation = self.maps(x)
        variance = (deviation * deviation).mean(dim=(2, 3, 4), keepdim=True)
        scale = torch.rsqrt(variance + 1e-4)
        # The mean of 2 x 2 x 2 voxels, as a convolution: pooling has no gradient in ONNX.
        halved = F.conv3d(deviation, self.eighth, stride=2, groups=len(self.eighth))
        near, _ = self.near.attend(_with_z_scores(deviation[:, :, *self.middle], scale))
        far, _ = self.far.attend(_with_z_scores(halved, scale))
        filters, profile = self.filters.measure(x)
        return torch.cat([filters, self.embed_near(near), self.embed_far(far), profile], dim=1)


def _with_z_scores(deviation: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
    """Append the z-scores to the deviation, which keeps the contrast that they lose."""
    return torch.cat([3 * deviation, deviation * scale], dim=1)  # 3: about unit deviation
