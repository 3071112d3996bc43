"""``filters3d``, blob filters of the logarithm over scales with a linear head: the small model.

The filters are fixed. Only the ten weights or so of the head learn, so twenty labels suffice, and
little can be learned that does not hold on another brain.
"""

from collections.abc import Sequence

import torch
from torch import nn

from .blocks import axis_offsets
from .channel_difference import LogarithmDeviation, count_maps, mean_logarithms
from .standardised_head import StandardisedHead

SIGMAS_UM = (2.5, 4.0, 6.5, 10.0, 15.0)  # a nucleus to a large soma with its processes
SHARPNESS = 20.0  # of the maximum over scales, per e-fold of intensity
NARROWEST = 0.6  # voxels: sigma below which the samples of a Gaussian are too few
LEAST = 1e-12  # of a kernel: products of less are denormal, which processors compute slowly


class GaussianJet(nn.Module):
    """Gaussian derivatives of cubes up to order 2 at the candidate, at several scales.

    The kernels of each axis respond exactly to polynomials of order 2. Derivatives are multiplied
    by sigma to the power of their order, so that objects of any size respond alike at their own
    scale (Lindeberg 1998, Int. J. Computer Vision 30).

    Parameters
    ----------
    cube_shape : (z, y, x), voxels
    voxel_size : (z, y, x), um
    sigmas : sequence of float, um
    """

    along_z: torch.Tensor
    along_y: torch.Tensor
    along_x: torch.Tensor
    first: torch.Tensor
    second: torch.Tensor
    zeroth: torch.Tensor

    def __init__(
        self, cube_shape: Sequence[int], voxel_size: Sequence[float], sigmas: Sequence[float]
    ):
        super().__init__()
        self.n_scales = len(sigmas)
        # Of the products of three orders, 9 x + 3 y + z.
        self.register_buffer("zeroth", torch.tensor([0]), persistent=False)
        self.register_buffer("first", torch.tensor([1, 3, 9]), persistent=False)
        self.register_buffer("second", torch.tensor([2, 6, 18, 4, 10, 12]), persistent=False)
        offsets = [u.flatten().double() for u in axis_offsets(cube_shape, voxel_size)]
        for axis, (u, size) in enumerate(zip(offsets, voxel_size, strict=True)):
            kernels = [
                _derivative_kernels(u, max(sigma, NARROWEST * size))
                * torch.tensor([1.0, sigma, sigma**2], dtype=torch.float64)
                for sigma in sigmas
            ]
            joined = torch.cat(kernels, 1)  # (n, 3 scales)
            joined = torch.where(joined.abs() < LEAST, 0.0, joined)
            # Derived from the shape, hence not stored in the weights file.
            self.register_buffer(f"along_{'zyx'[axis]}", joined.float(), persistent=False)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Map cubes (m, z, y, x) to gradients (m, scales, 3) and Hessians (m, scales, 6).

        The gradient is in the order z y x, the Hessian in the order zz yy xx zy zx yx.
        """
        _, gradients, hessians = self._differentiate(x, with_values=False)
        return torch.stack(gradients, 1), torch.stack(hessians, 1)

    def with_values(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Map cubes (m, z, y, x) to smoothed values (m, scales), gradients and Hessians."""
        values, gradients, hessians = self._differentiate(x, with_values=True)
        return torch.cat(values, 1), torch.stack(gradients, 1), torch.stack(hessians, 1)

    def _differentiate(self, x: torch.Tensor, with_values: bool) -> tuple[list[torch.Tensor], ...]:
        values, gradients, hessians = [], [], []
        # Matrices of two axes: with more, the export of gradients meets the number of cubes. All
        # voxels take part in the first product alone, so that is one for all scales.
        rows = x.reshape(-1, x.shape[3]) @ self.along_x
        for scale in range(self.n_scales):
            own = slice(3 * scale, 3 * scale + 3)
            jet = rows[:, own].reshape(-1, x.shape[2], 3).transpose(1, 2).reshape(-1, x.shape[2])
            jet = (jet @ self.along_y[:, own]).reshape(-1, x.shape[1], 9)
            jet = jet.transpose(1, 2).reshape(-1, x.shape[1]) @ self.along_z[:, own]
            jet = jet.reshape(-1, 27)
            if with_values:
                values.append(jet.index_select(1, self.zeroth))
            gradients.append(jet.index_select(1, self.first))
            hessians.append(jet.index_select(1, self.second))
        return values, gradients, hessians


class BlobFilters(nn.Module):
    """Blob filters of the logarithm of the intensity, at the candidate.

    Per channel there are nine numbers: the maxima over scales of the Laplacian and of the three
    eigenvalues of the Hessian, negated, so that bright blobs are positive; and the magnitude of
    the gradient at each scale. A factor over the cube cancels in all. That the head sees maxima
    over scales, and not the scales, keeps it from learning the size of the cells of one stain.

    Of two channels, their difference has nine numbers as well: what is bright in both channels
    looks bright in each, and only there like nothing.

    Parameters
    ----------
    channels : int
        Channels of the input: 1 signal, or 2 signal and background.
    cube_shape : (z, y, x), voxels
        It should span about 3 times the largest sigma to each side of the candidate.
    voxel_size : (z, y, x), um
    sigmas : sequence of float, um

    Attributes
    ----------
    width : int
        Numbers of a cube.
    profile_width : int
        Numbers of a cube in the profile of `measure`.

    References
    ----------
    Lindeberg (1998), Feature detection with automatic scale selection, Int. J. Computer Vision 30.
    Frangi et al. (1998), Multiscale vessel enhancement filtering, MICCAI.
    """

    def __init__(
        self,
        channels: int,
        cube_shape: Sequence[int],
        voxel_size: Sequence[float],
        sigmas: Sequence[float] = SIGMAS_UM,
    ):
        super().__init__()
        self.deviation = LogarithmDeviation()
        self.jet = GaussianJet(cube_shape, voxel_size, sigmas)
        self.width = count_maps(channels) * (4 + len(sigmas))
        self.profile_width = count_maps(channels) * (2 + len(sigmas))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (n, C, z, y, x) raw cubes to (n, width)."""
        # The kernels cancel a constant in exact arithmetic only, hence the deviation.
        return self._filter(*self.jet(self.deviation(x).reshape(-1, *x.shape[2:])))

    def measure(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Map (n, C, z, y, x) raw cubes to the filters (n, width) and the profile.

        The profile (n, profile_width) is the brightness that the filters leave out: at each scale
        relative to the mean of the cube, its standard deviation in the cube, and that mean.
        """
        deviation = self.deviation(x)
        value, *derivatives = self.jet.with_values(deviation.reshape(-1, *x.shape[2:]))
        filters = self._filter(*derivatives)
        contrast = torch.sqrt((deviation * deviation).mean(dim=(2, 3, 4)) + 1e-12)
        value = value.reshape(-1, self.profile_width - 2 * contrast.shape[1])
        return filters, torch.cat([value, contrast, mean_logarithms(x)], dim=1)

    def _filter(self, gradient: torch.Tensor, hessian: torch.Tensor) -> torch.Tensor:
        laplacian = hessian[..., :3].sum(2, keepdim=True)
        blobs = torch.cat([laplacian, symmetric_eigenvalues(hessian)], dim=2)
        strongest = _soft_maximum(-blobs)
        slope = torch.sqrt((gradient * gradient).sum(2) + 1e-12)
        return torch.cat([strongest, slope], dim=1).reshape(-1, self.width)


class Filters3d(nn.Module):
    """`BlobFilters` with a linear head.

    The input is raw cubes (a card with normalisation ``none``).

    Parameters
    ----------
    channels : int
        Channels of the input: 1 signal, or 2 signal and background.
    cube_shape : (z, y, x), voxels
    voxel_size : (z, y, x), um
    """

    def __init__(
        self,
        channels: int = 1,
        cube_shape: Sequence[int] = (16, 32, 32),
        voxel_size: Sequence[float] = (6.0, 3.0, 3.0),
    ):
        super().__init__()
        self.filters = BlobFilters(channels, cube_shape, voxel_size)
        self.filters_width = self.filters.width
        self.head = StandardisedHead(self.filters_width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (n, C, z, y, x) raw cubes to (n, 2) logits: no cell, cell."""
        return self.head(self.features(x))

    def features(self, x: torch.Tensor) -> torch.Tensor:
        """Map (n, C, z, y, x) raw cubes to the numbers that the head weighs, (n, F)."""
        return self.filters(x)


def symmetric_eigenvalues(matrices: torch.Tensor) -> torch.Tensor:
    """Compute the eigenvalues of symmetric 3 x 3 matrices in closed form.

    Parameters
    ----------
    matrices : (..., 6)
        Elements zz yy xx zy zx yx.

    Returns
    -------
    (..., 3)
        In descending order.

    References
    ----------
    Smith (1961), Eigenvalues of a symmetric 3 x 3 matrix, Communications of the ACM 4.
    """
    zz, yy, xx, zy, zx, yx = (matrices[..., i] for i in range(6))
    mean = (zz + yy + xx) / 3
    zz, yy, xx = zz - mean, yy - mean, xx - mean
    off_diagonal = zy * zy + zx * zx + yx * yx
    radius = torch.sqrt((zz * zz + yy * yy + xx * xx + 2 * off_diagonal) / 6 + 1e-12)
    determinant = zz * (yy * xx - yx * yx) - zy * (zy * xx - yx * zx) + zx * (zy * yx - yy * zx)
    cosine = (determinant / (2 * radius * radius * radius)).clamp(-1 + 1e-6, 1 - 1e-6)
    angle = torch.acos(cosine) / 3
    largest = mean + 2 * radius * torch.cos(angle)
    smallest = mean + 2 * radius * torch.cos(angle + 2 * torch.pi / 3)
    return torch.stack([largest, 3 * mean - largest - smallest, smallest], dim=-1)


def _soft_maximum(x: torch.Tensor) -> torch.Tensor:
    """Map (m, scales, k) to a smooth maximum over scales, (m, k)."""
    top = x.amax(1, keepdim=True)
    mean = torch.exp(SHARPNESS * (x - top)).mean(1)
    return top[:, 0] + torch.log(mean) / SHARPNESS


def _derivative_kernels(offsets: torch.Tensor, sigma: float) -> torch.Tensor:
    """Return kernels of a Gaussian's derivatives of order 0, 1, 2 along one axis, (n, 3) float64.

    Each is the Gaussian times a polynomial of order 2, such that its response to 1, u and u^2 at
    u = 0 is that of the derivative; order 0 is the plain Gaussian.
    """
    gaussian = torch.exp(-0.5 * (offsets / sigma) ** 2)
    gaussian = gaussian / gaussian.sum()
    powers = torch.stack([torch.ones_like(offsets), offsets, offsets**2])
    weighted = powers * gaussian
    responses = torch.tensor([[0.0, 1.0, 0.0], [0.0, 0.0, 2.0]], dtype=torch.float64)
    derivatives = torch.linalg.solve(weighted @ powers.T, responses.T).T @ weighted
    return torch.cat([gaussian[None], derivatives]).T
