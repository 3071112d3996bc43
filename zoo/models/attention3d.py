"""``attention3d``: an EfficientNet-style 3D backbone with attention gates at two scales."""

from collections.abc import Sequence

import torch
from torch import nn

from .blocks import CentreContrast, RelativeMaps, Resize, conv_bn, distances, halved

CONTRAST = 12.0  # weight of the contrast at the centre, chosen leaving blocks out


class FusedMBConv(nn.Module):
    """Dense 3x3x3 expansion, squeeze and excitation, 1x1x1 projection, residual.

    The block of EfficientNetV2's early stages (Tan and Le 2021, ICML): in 3D its dense
    convolution is faster on CPUs than the depthwise one that it replaces.
    """

    def __init__(self, wide_in: int, wide_out: int, stride: int = 1, expand: int = 2):
        super().__init__()
        wide = expand * wide_in
        self.expand = conv_bn(wide_in, wide, 3, stride)
        self.squeeze = nn.Conv3d(wide, max(4, wide // 8), 1)
        self.excite = nn.Conv3d(max(4, wide // 8), wide, 1)
        self.project = conv_bn(wide, wide_out, 1, act=False)
        self.residual = stride == 1 and wide_in == wide_out

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(n, wide_in, z, y, x) to (n, wide_out, ...); the stride divides sides, rounded up."""
        y = self.expand(x)
        weight = torch.relu(self.squeeze(y.mean(dim=(2, 3, 4), keepdim=True)))
        y = self.project(y * torch.sigmoid(self.excite(weight)))
        return x + y if self.residual else y


class AttentionGate(nn.Module):
    """Where a coarse map says that a finer one is worth looking at (Schlemper et al. 2019).

    q = psi ReLU(theta x + up(phi g)) + place; alpha = softmax of q over space; the result is the
    mean of x weighted by alpha. ``place`` is learned per voxel and starts as a gaussian around
    the candidate, since the question is whether the *centre* is a cell, not whether one is
    somewhere in the cube.

    Parameters
    ----------
    wide_x, wide_g : int
        Channels of the fine map x and of the gating map g.
    shape_x, shape_g : (z, y, x), voxels
    voxel_size : (z, y, x), um
        Of x.
    """

    def __init__(
        self,
        wide_x: int,
        wide_g: int,
        shape_x: Sequence[int],
        shape_g: Sequence[int],
        voxel_size: Sequence[float],
    ):
        super().__init__()
        self.theta = nn.Conv3d(wide_x, wide_x, 1, bias=False)
        self.phi = nn.Conv3d(wide_g, wide_x, 1)
        self.up = Resize(shape_g, shape_x)
        self.psi = nn.Conv3d(wide_x, 1, 1, bias=False)
        away = [(d / s) ** 2 for d, s in zip(distances(shape_x, voxel_size), PLACE_UM, strict=True)]
        self.place = nn.Parameter((-0.5 * (away[0] + away[1] + away[2]))[None, None])
        self.weighted = nn.Identity()  # a name for what is summed, to explain by

    def forward(self, x: torch.Tensor, g: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Weighted mean of x, (n, wide_x), and alpha, (n, z, y, x) of sum 1.

        From x, (n, wide_x, *shape_x), and g, (n, wide_g, *shape_g).
        """
        q = self.psi(torch.relu(self.theta(x) + self.up(self.phi(g)))) + self.place
        n, _, *shape = q.shape
        alpha = torch.softmax(q.reshape(n, 1, -1), dim=2).reshape(n, 1, *shape)
        return self.weighted(x * alpha).sum(dim=(2, 3, 4)), alpha[:, 0]


PLACE_UM = (9.0, 7.0, 7.0)  # sigma of the first guess where the candidate is, z y x


class Attention3d(nn.Module):
    """Three stages of `FusedMBConv`; the last gates the two before it.

    Raw cubes go in (a card with normalisation ``none``); see `blocks.RelativeMaps` for what it
    sees of them and `blocks.CentreContrast` for what is added in evaluation.

    Parameters
    ----------
    channels : int
        Of the input: 1 signal, or 2 signal and background.
    cube_shape : (z, y, x), voxels
    voxel_size : (z, y, x), um
    widths : three int
        Channels of the stages.
    dropout : float
        Of the pooled features, in training only.

    References
    ----------
    Oktay et al. (2018), Attention U-Net, MIDL. Schlemper et al. (2019), Attention gated
    networks, Medical Image Analysis 53. Tan and Le (2021), EfficientNetV2, ICML.
    """

    def __init__(
        self,
        channels: int = 1,
        cube_shape: Sequence[int] = (8, 16, 16),
        voxel_size: Sequence[float] = (6.0, 3.0, 3.0),
        widths: Sequence[int] = (16, 32, 64),
        dropout: float = 0.2,
    ):
        super().__init__()
        fine, middle, coarse = widths
        # The first stride leaves z alone: planes lie farther apart than pixels.
        shapes = [halved(cube_shape, (1, 2, 2))]
        shapes += [halved(shapes[0]), halved(halved(shapes[0]))]
        sizes = [
            [s * n / m for s, n, m in zip(voxel_size, cube_shape, shape, strict=True)]
            for shape in shapes
        ]
        self.maps = RelativeMaps()
        self.stage1 = nn.Sequential(
            conv_bn(2 * channels, fine, 3, (1, 2, 2)), FusedMBConv(fine, fine)
        )
        self.stage2 = nn.Sequential(FusedMBConv(fine, middle, 2, 4), FusedMBConv(middle, middle))
        self.stage3 = nn.Sequential(FusedMBConv(middle, coarse, 2, 4), FusedMBConv(coarse, coarse))
        self.gate1 = AttentionGate(fine, coarse, shapes[0], shapes[2], sizes[0])
        self.gate2 = AttentionGate(middle, coarse, shapes[1], shapes[2], sizes[1])
        self.dropout = nn.Dropout(dropout)
        last = shapes[2][0] * shapes[2][1] * shapes[2][2]
        self.head = nn.Linear(fine + middle + coarse * last, 2)
        self.contrast = CentreContrast(cube_shape, voxel_size, CONTRAST)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(n, C, z, y, x) raw cubes to (n, 2) logits: no cell, cell."""
        logits, _ = self._attend(x)
        return logits if self.training else logits + self.contrast(x)

    def attention(self, x: torch.Tensor) -> list[torch.Tensor]:
        """Attention maps of raw cubes, fine to coarse: (n, z, y, x) each, of sum 1 over space.

        They lie on the grids of the first two stages, which span the whole cube.
        """
        return self._attend(x)[1]

    def _attend(self, x: torch.Tensor) -> tuple[torch.Tensor, list[torch.Tensor]]:
        fine = self.stage1(self.maps(x))
        middle = self.stage2(fine)
        coarse = self.stage3(middle)
        pooled1, alpha1 = self.gate1(fine, coarse)
        pooled2, alpha2 = self.gate2(middle, coarse)
        # The last map is read place by place: it is too coarse to be weighted.
        features = torch.cat([pooled1, pooled2, coarse.flatten(1)], dim=1)
        return self.head(self.dropout(features)), [alpha1, alpha2]
