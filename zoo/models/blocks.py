"""What the networks share: what they see of a raw cube, its contrast, and places in it.

Places are in um, so that a network can be built for any cube and voxel size.
"""

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional as F

# Of the contrast at the centre (see `CentreContrast`), as chosen on the four c-Fos blocks. EVEN
# shifts the threshold, not the ranking.
EVEN = 0.13  # contrast that speaks neither for nor against
FAINT, CLEAR = 0.02, 0.4  # below and above, contrast says no more
NUCLEUS_UM = (5.1, 1.8, 1.8)  # sigma, z y x: smeared along z by the optics
SURROUND_UM = (12.0, 15.6, 15.6)  # half sides of the box of the local mean


class RelativeMaps(nn.Module):
    """Two maps of each channel of raw cubes: z-score, and deviation relative to the mean.

    The z-score throws the ratio of contrast to background away, which is what tells cells from
    noise; the relative deviation keeps it. A factor of the whole cube cancels in both. An
    offset changes the second, which is why training adds offsets.
    """

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(n, C, z, y, x) raw intensities to (n, 2 C, z, y, x)."""
        mean, deviation = _centred(x)
        spread = torch.sqrt((deviation * deviation).mean(dim=(2, 3, 4), keepdim=True) + 1e-6)
        ratio = (deviation / mean.clamp(min=1.0)).clamp(-1.0, 4.0)
        return torch.cat([deviation / spread, 3 * ratio], dim=1)  # 3: about a deviation of one


class CentreContrast(nn.Module):
    """Logits from the signal's contrast at the candidate, as ``zoo.contrast`` within the cube.

    Fixed, and added in evaluation alone: trained jointly, a network unlearns it on brains with
    dense, noisy labels, and then ranks clean brains worse than the contrast alone does
    (leave-one-block-out).

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
        for axis, away in enumerate(distances(cube_shape, voxel_size)):
            inside = (SURROUND_UM[axis] - away) / voxel_size[axis] + 0.5
            centre = centre * torch.exp(-0.5 * (away / NUCLEUS_UM[axis]) ** 2)
            surround = surround * inside.clamp(0, 1)
        centre, surround = centre / centre.sum(), surround / surround.sum()
        # Derived from the shape, hence no part of the weights' file.
        self.register_buffer("surround", surround, persistent=False)
        self.register_buffer("rise", centre - surround, persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(n, C, z, y, x) raw intensities to (n, 2): no cell, cell."""
        mean, deviation = _centred(x[:, :1])
        rise = (deviation * self.rise).sum(dim=(2, 3, 4))
        level = mean.flatten(1) + (deviation * self.surround).sum(dim=(2, 3, 4))
        contrast = torch.log((rise / level.clamp(min=1.0)).clamp(FAINT, CLEAR) / EVEN)
        half = 0.5 * self.weight * contrast
        return torch.cat([-half, half], dim=1)


def _centred(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean per cube and channel, and the deviation from it.

    Subtracted before anything is squared: E[x^2] - E[x]^2 cancels badly in float32.
    """
    mean = x.mean(dim=(2, 3, 4), keepdim=True)
    return mean, x - mean


def distances(shape: Sequence[int], voxel_size: Sequence[float]) -> list[torch.Tensor]:
    """Distance of each voxel from the candidate along z, y and x, um; shaped to broadcast.

    A cube starts half its voxels of data before the candidate's (``runtime.cubes.Grid.starts``).
    With an even number that is half a voxel of data past the middle: about half a plane along
    z, where data and network have planes alike, and about 0.8 um in the plane.
    """
    places = []
    for axis, (n, size) in enumerate(zip(shape, voxel_size, strict=True)):
        middle = n // 2 if axis == 0 else (n - 1) / 2 + 0.8 / size
        line = [n if a == axis else 1 for a in range(3)]
        places.append(((torch.arange(n) - middle).abs() * size).reshape(line))
    return places


def conv_bn(
    wide_in: int, wide_out: int, kernel: int = 3, stride: int | Sequence[int] = 1, act: bool = True
) -> nn.Sequential:
    """Dense convolution, batch norm, ReLU.

    Dense, since CPUs run depthwise 3D convolutions an order of magnitude slower per operation;
    ReLU, since it costs nothing and guided backpropagation is defined for it.
    """
    z, y, x = (stride,) * 3 if isinstance(stride, int) else stride
    layers: list[nn.Module] = []
    layers.append(nn.Conv3d(wide_in, wide_out, kernel, (z, y, x), padding=kernel // 2, bias=False))
    layers.append(nn.BatchNorm3d(wide_out))
    if act:
        layers.append(nn.ReLU())
    return nn.Sequential(*layers)


def halved(shape: Sequence[int], stride: Sequence[int] = (2, 2, 2)) -> tuple[int, int, int]:
    """Shape after a padded convolution with that stride."""
    z, y, x = (-(-n // s) for n, s in zip(shape, stride, strict=True))
    return z, y, x


class Resize(nn.Module):
    """Trilinear interpolation to another grid, as three products with small matrices.

    Equal to ``F.interpolate(mode="trilinear", align_corners=False)``, for any sizes, in
    operators that every ONNX host has fast; or three other (new, old) matrices, z y x.
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
        """(n, c, *source) to (n, c, *target)."""
        for axis, matrix in ((4, self.matrix2), (3, self.matrix1), (2, self.matrix0)):
            x = x.transpose(axis, 4)
            *rows, old = x.shape
            x = (x.reshape(-1, old) @ matrix.T).reshape(*rows, -1).transpose(axis, 4)
        return x
