"""Layers that the networks share: input maps of a raw cube, its contrast, and resampling.

Distances are in um, so that a network can be built for any cube and voxel size.
"""

from collections.abc import Sequence
from math import prod

import torch
from torch import nn
from torch.nn import functional as F

# Contrasts at the centre (see `CentreContrast`), chosen on the four c-Fos blocks. NEUTRAL_CONTRAST
# shifts the threshold, not the ranking.
NEUTRAL_CONTRAST = 0.13  # evidence neither for a cell nor against one
MIN_CONTRAST, MAX_CONTRAST = 0.02, 0.4  # values beyond are clipped
NUCLEUS_UM = (5.1, 1.8, 1.8)  # sigma, z y x: smeared along z by the optics
SURROUND_UM = (12.0, 15.6, 15.6)  # z y x: half the sides of the box of the local mean


class RelativeMaps(nn.Module):
    """Two maps of each channel of raw cubes: z-score, and deviation relative to the mean.

    The z-score loses the ratio of contrast to background, which distinguishes cells from noise;
    the relative deviation keeps it. A factor over the whole cube cancels in both maps. An offset
    changes the second, which is why training adds offsets.
    """

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (n, C, z, y, x) raw intensities to (n, 2 C, z, y, x)."""
        mean, deviation = _mean_and_deviation(x)
        spread = torch.sqrt((deviation * deviation).mean(dim=(2, 3, 4), keepdim=True) + 1e-6)
        ratio = (deviation / mean.clamp(min=1.0)).clamp(-1.0, 4.0)
        return torch.cat([deviation / spread, 3 * ratio], dim=1)  # 3: about unit deviation


class CentreContrast(nn.Module):
    """Fixed logits from the signal's local contrast at the candidate, computed within the cube.

    They are added in evaluation only. Trained jointly, a network unlearns the contrast on brains
    with dense, noisy labels, and then ranks clean brains worse than the contrast alone does
    (leave-one-block-out). See `cfzoo.zoo.evaluation.local_contrast`.

    Parameters
    ----------
    cube_shape : (z, y, x), voxels
    voxel_size : (z, y, x), um
    weight : float
        Logits per e-fold of contrast.
    """

    surround: torch.Tensor
    rise: torch.Tensor

    def __init__(self, cube_shape: Sequence[int], voxel_size: Sequence[float], weight: float):
        super().__init__()
        self.weight = weight
        centre, surround = torch.ones(1, 1, 1), torch.ones(1, 1, 1)
        for axis, distance in enumerate(axis_distances(cube_shape, voxel_size)):
            inside = (SURROUND_UM[axis] - distance) / voxel_size[axis] + 0.5
            centre = centre * torch.exp(-0.5 * (distance / NUCLEUS_UM[axis]) ** 2)
            surround = surround * inside.clamp(0, 1)
        centre, surround = centre / centre.sum(), surround / surround.sum()
        # Derived from the shape, hence not stored in the weights file.
        self.register_buffer("surround", surround, persistent=False)
        self.register_buffer("rise", centre - surround, persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (n, C, z, y, x) raw intensities to (n, 2): no cell, cell."""
        mean, deviation = _mean_and_deviation(x[:, :1])
        rise = (deviation * self.rise).sum(dim=(2, 3, 4))
        level = mean.flatten(1) + (deviation * self.surround).sum(dim=(2, 3, 4))
        contrast = (rise / level.clamp(min=1.0)).clamp(MIN_CONTRAST, MAX_CONTRAST)
        contrast = torch.log(contrast / NEUTRAL_CONTRAST)
        half = 0.5 * self.weight * contrast
        return torch.cat([-half, half], dim=1)


def _mean_and_deviation(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the mean per cube and channel, and the deviation from it.

    The mean is subtracted before squaring: E[x^2] - E[x]^2 cancels badly in float32.
    """
    mean = x.mean(dim=(2, 3, 4), keepdim=True)
    return mean, x - mean


def axis_offsets(shape: Sequence[int], voxel_size: Sequence[float]) -> list[torch.Tensor]:
    """Return each voxel's position from the candidate along z, y and x, um, to broadcast.

    The candidate lies half the cube's voxels of data after its start
    (``runtime.cubes.Grid.starts``). With an even number of voxels it therefore lies half a voxel
    of data past the centre: about half a plane along z, where data and network have similar
    planes, and about 0.8 um in the plane.
    """
    offsets = []
    for axis, (n, size) in enumerate(zip(shape, voxel_size, strict=True)):
        candidate = n // 2 if axis == 0 else (n - 1) / 2 + 0.8 / size
        sides = [n if a == axis else 1 for a in range(3)]
        offsets.append(((torch.arange(n) - candidate) * size).reshape(sides))
    return offsets


def axis_distances(shape: Sequence[int], voxel_size: Sequence[float]) -> list[torch.Tensor]:
    """Return the distance of each voxel from the candidate along z, y and x, um, to broadcast."""
    return [offset.abs() for offset in axis_offsets(shape, voxel_size)]


def conv_bn(
    width_in: int,
    width_out: int,
    kernel: int = 3,
    stride: int | Sequence[int] = 1,
    activation: bool = True,
) -> nn.Sequential:
    """Return a dense convolution, batch norm and, by default, a ReLU.

    CPUs run depthwise 3D convolutions an order of magnitude slower per operation than dense
    ones. ReLU costs nothing, and guided backpropagation is defined for it.
    """
    z, y, x = (stride,) * 3 if isinstance(stride, int) else stride
    layers: list[nn.Module] = []
    layers.append(
        nn.Conv3d(width_in, width_out, kernel, (z, y, x), padding=kernel // 2, bias=False)
    )
    layers.append(nn.BatchNorm3d(width_out))
    if activation:
        layers.append(nn.ReLU())
    return nn.Sequential(*layers)


def strided_shape(shape: Sequence[int], stride: Sequence[int] = (2, 2, 2)) -> tuple[int, int, int]:
    """Return the shape after a padded convolution with a stride."""
    z, y, x = (-(-n // s) for n, s in zip(shape, stride, strict=True))
    return z, y, x


class Resize(nn.Module):
    """Trilinear interpolation to another grid, as three products with small matrices.

    By default it equals ``F.interpolate(mode="trilinear", align_corners=False)``, for any sizes,
    in operators that every ONNX runtime computes fast.

    Parameters
    ----------
    source, target : (z, y, x), voxels
        Shapes before and after.
    matrices : three (new, old) matrices, z y x, optional
        Weights that replace those of the trilinear interpolation.
    """

    matrix0: torch.Tensor
    matrix1: torch.Tensor
    matrix2: torch.Tensor

    def __init__(
        self,
        source: Sequence[int],
        target: Sequence[int],
        matrices: Sequence[torch.Tensor] | None = None,
    ):
        super().__init__()
        for axis, (old, new) in enumerate(zip(source, target, strict=True)):
            if matrices is None:
                eye = torch.eye(old)[None]
                matrix = F.interpolate(eye, size=new, mode="linear", align_corners=False)[0].T
            else:
                matrix = matrices[axis]
            self.register_buffer(f"matrix{axis}", matrix.contiguous(), persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (n, c, *source) to (n, c, *target)."""
        for axis, matrix in ((4, self.matrix2), (3, self.matrix1), (2, self.matrix0)):
            x = x.transpose(axis, 4)
            *rows, old = x.shape
            x = (x.reshape(-1, old) @ matrix.T).reshape(*rows, -1).transpose(axis, 4)
        return x


class SmallResize(Resize):
    """`Resize` of small maps, as one product with a matrix over all their voxels.

    It spares the transpositions between axes, but the matrix has as many columns as the target has
    voxels.
    """

    matrix: torch.Tensor

    def __init__(self, source: Sequence[int], target: Sequence[int]):
        super().__init__(source, target)
        self.target = tuple(target)
        axes = (self.matrix0, self.matrix1, self.matrix2)
        matrix = torch.einsum("az,by,cx->zyxabc", *axes).reshape(prod(source), prod(target))
        self.register_buffer("matrix", matrix, persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (n, c, *source) to (n, c, *target)."""
        return (x.reshape(-1, len(self.matrix)) @ self.matrix).reshape(*x.shape[:2], *self.target)
