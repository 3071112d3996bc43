"""``attention3d``, an EfficientNet-style 3D backbone with attention gates at two scales."""

from collections.abc import Sequence

import torch
from torch import nn

from .blocks import CentreContrast, RelativeMaps, Resize, axis_distances, conv_bn, strided_shape

CONTRAST = 12.0  # weight of the contrast at the centre, chosen by leave-one-block-out
PLACE_UM = (9.0, 7.0, 7.0)  # z y x: sigma of the initial prior of the candidate's position


class FusedMBConv(nn.Module):
    """Dense 3x3x3 expansion, squeeze and excitation, 1x1x1 projection, residual.

    The block of EfficientNetV2's early stages (Tan and Le 2021, ICML). In 3D its dense
    convolution is faster on CPUs than the depthwise convolution that it replaces.
    """

    def __init__(self, width_in: int, width_out: int, stride: int = 1, expand: int = 2):
        super().__init__()
        width = expand * width_in
        self.expand = conv_bn(width_in, width, 3, stride)
        self.squeeze = nn.Conv3d(width, max(4, width // 8), 1)
        self.excite = nn.Conv3d(max(4, width // 8), width, 1)
        self.project = conv_bn(width, width_out, 1, activation=False)
        self.residual = stride == 1 and width_in == width_out

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (n, width_in, z, y, x) to (n, width_out, ...), strided."""
        y = self.expand(x)
        weight = torch.relu(self.squeeze(y.mean(dim=(2, 3, 4), keepdim=True)))
        y = self.project(y * torch.sigmoid(self.excite(weight)))
        return x + y if self.residual else y


class AttentionGate(nn.Module):
    """Attention gate: a coarse map weights the voxels of a finer one (Schlemper et al. 2019).

    q = psi ReLU(theta x + up(phi g)) + place; alpha = softmax of q over space; the result is the
    mean of x weighted by alpha. ``place`` is learned per voxel and starts as a Gaussian around
    the candidate, since the question is whether the *centre* is a cell, not whether the cube
    contains one.

    Parameters
    ----------
    width_x, width_g : int
        Channels of the fine map x and of the gating map g.
    shape_x, shape_g : (z, y, x), voxels
    voxel_size : (z, y, x), um
        Voxel size of x.
    resize : class
        Brings the gating map to the grid of x.
    """

    def __init__(
        self,
        width_x: int,
        width_g: int,
        shape_x: Sequence[int],
        shape_g: Sequence[int],
        voxel_size: Sequence[float],
        resize: type[Resize] = Resize,
    ):
        super().__init__()
        self.theta = nn.Conv3d(width_x, width_x, 1, bias=False)
        self.phi = nn.Conv3d(width_g, width_x, 1)
        self.up = resize(shape_g, shape_x)
        self.psi = nn.Conv3d(width_x, 1, 1, bias=False)
        distances = axis_distances(shape_x, voxel_size)
        z, y, x = ((d / sigma) ** 2 for d, sigma in zip(distances, PLACE_UM, strict=True))
        self.place = nn.Parameter((-0.5 * (z + y + x))[None, None])
        self.weighted = nn.Identity()  # names the weighted map, so that it can be explained

    def forward(self, x: torch.Tensor, g: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the weighted mean of x, (n, width_x), and alpha, (n, z, y, x) of sum 1.

        The inputs are x, (n, width_x, *shape_x), and g, (n, width_g, *shape_g).
        """
        q = self.psi(torch.relu(self.theta(x) + self.up(self.phi(g)))) + self.place
        n, _, *shape = q.shape
        alpha = torch.softmax(q.reshape(n, 1, -1), dim=2).reshape(n, 1, *shape)
        return self.weighted(x * alpha).sum(dim=(2, 3, 4)), alpha[:, 0]


class AttentionTrunk(nn.Module):
    """Three stages of `FusedMBConv`; the last gates the two before it.

    Parameters
    ----------
    maps : int
        Number of input maps.
    shape : (z, y, x), voxels
    voxel_size : (z, y, x), um
    widths : three int
        Channels of the stages.
    first_stride : (z, y, x)
        Of the first stage; the others halve the grid. By default it keeps z, since planes lie
        farther apart than pixels.
    resize : class
        Brings the last map to the grids of the others, see `AttentionGate`.

    Attributes
    ----------
    width : int
        Number of features that `attend` returns.

    References
    ----------
    Oktay et al. (2018), Attention U-Net, MIDL. Schlemper et al. (2019), Attention gated
    networks, Medical Image Analysis 53. Tan and Le (2021), EfficientNetV2, ICML.
    """

    def __init__(
        self,
        maps: int,
        shape: Sequence[int],
        voxel_size: Sequence[float],
        widths: Sequence[int],
        first_stride: Sequence[int] = (1, 2, 2),
        resize: type[Resize] = Resize,
    ):
        super().__init__()
        fine, middle, coarse = widths
        shapes = [strided_shape(shape, first_stride)]
        shapes += [strided_shape(shapes[0]), strided_shape(strided_shape(shapes[0]))]
        sizes = [
            [s * n / m for s, n, m in zip(voxel_size, shape, strided, strict=True)]
            for strided in shapes
        ]
        self.stage1 = nn.Sequential(conv_bn(maps, fine, 3, first_stride), FusedMBConv(fine, fine))
        self.stage2 = nn.Sequential(FusedMBConv(fine, middle, 2, 4), FusedMBConv(middle, middle))
        self.stage3 = nn.Sequential(FusedMBConv(middle, coarse, 2, 4), FusedMBConv(coarse, coarse))
        self.gate1 = AttentionGate(fine, coarse, shapes[0], shapes[2], sizes[0], resize)
        self.gate2 = AttentionGate(middle, coarse, shapes[1], shapes[2], sizes[1], resize)
        last = shapes[2][0] * shapes[2][1] * shapes[2][2]
        self.width = fine + middle + coarse * last

    def attend(self, maps: torch.Tensor) -> tuple[torch.Tensor, list[torch.Tensor]]:
        """Return the features of maps (n, M, *shape), (n, F), and the attention, fine to coarse.

        The attention is (n, z, y, x), of sum 1, on the grids of the first two stages.
        """
        fine = self.stage1(maps)
        middle = self.stage2(fine)
        coarse = self.stage3(middle)
        pooled1, alpha1 = self.gate1(fine, coarse)
        pooled2, alpha2 = self.gate2(middle, coarse)
        # The last map is too coarse for a gate: all its voxels are features.
        return torch.cat([pooled1, pooled2, coarse.flatten(1)], dim=1), [alpha1, alpha2]


class Attention3d(AttentionTrunk):
    """An `AttentionTrunk` with a linear head.

    The input is raw cubes (a card with normalisation ``none``), from which `blocks.RelativeMaps`
    computes the input maps; `blocks.CentreContrast` is added in evaluation.

    Parameters
    ----------
    channels : int
        Channels of the input: 1 signal, or 2 signal and background.
    cube_shape : (z, y, x), voxels
    voxel_size : (z, y, x), um
    widths : three int
        Channels of the stages.
    dropout : float
        Dropout of the pooled features, in training only.
    """

    def __init__(
        self,
        channels: int = 1,
        cube_shape: Sequence[int] = (8, 16, 16),
        voxel_size: Sequence[float] = (6.0, 3.0, 3.0),
        widths: Sequence[int] = (16, 32, 64),
        dropout: float = 0.2,
    ):
        super().__init__(2 * channels, cube_shape, voxel_size, widths)
        self.maps = RelativeMaps()
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(self.width, 2)
        self.contrast = CentreContrast(cube_shape, voxel_size, CONTRAST)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (n, C, z, y, x) raw cubes to (n, 2) logits: no cell, cell."""
        logits, _ = self._attend(x)
        return logits if self.training else logits + self.contrast(x)

    def attention(self, x: torch.Tensor) -> list[torch.Tensor]:
        """Return the attention maps of raw cubes, fine to coarse: (n, z, y, x), of sum 1 each.

        They lie on the grids of the first two stages, which span the whole cube.
        """
        return self._attend(x)[1]

    def _attend(self, x: torch.Tensor) -> tuple[torch.Tensor, list[torch.Tensor]]:
        features, attention = self.attend(self.maps(x))
        return self.head(self.dropout(features)), attention
