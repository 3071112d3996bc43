"""Random changes of training cubes, a batch at a time.

This is plain batched torch rather than MONAI, whose transforms take one sample at a time. Shifts,
scaling and flips are a product with one resampling matrix per sample and axis: the runtime's own
resampling to the network's grid, at other positions and widths. Geometry thus costs no more than
the resampling that every cube needs anyway, and the photometric changes work on the network's few
voxels: about 15 ms for 64 cubes on one core, a third of the network's forward and backward pass.
Rotations by arbitrary angles would need ``grid_sample`` at the data's voxels, at several times
that cost; quarter turns are free.

Noise and gradients are scaled by the cube's own contrast, so that they are equally strong at any
intensity.
"""

import torch
from torch import nn
from torch.nn import functional as F

from ..data import LabelledCubes
from ..recipe import Augmentation


class Augment(nn.Module):
    """Augmentation of one data set: from crops with a margin to cubes on the network's grid.

    Parameters
    ----------
    cubes : LabelledCubes
        Data set whose grid, margin and voxel size are used.
    strength : Augmentation
    resampling : str
        Resampling of the card, from the data's grid to the network's.
    """

    def __init__(self, cubes: LabelledCubes, strength: Augmentation, resampling: str):
        super().__init__()
        self.strength, self.resampling = strength, resampling
        self.grid, self.margin, self.voxel_size = cubes.grid, cubes.margin, cubes.voxel_size
        # A swap of y and x is a quarter turn only if the grid is square in voxels and in um.
        (_, *voxels), (_, *sizes) = self.grid.cube_shape, self.voxel_size
        um = [n * size for n, size in zip(self.grid.data_shape[1:], sizes, strict=True)]
        self._is_square = voxels[0] == voxels[1] and abs(um[0] - um[1]) < 0.02 * um[0]

    def forward(self, crops: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
        """Return one of the `views` of a batch, (n, C, z, y, x) float32."""
        return self.views(crops, rng, 1)[0]

    def views(self, crops: torch.Tensor, rng: torch.Generator, count: int) -> list[torch.Tensor]:
        """Augment a batch in several ways.

        Parameters
        ----------
        crops : (n, C, z, y, x) float32
            Raw intensities, with margin.
        rng : torch.Generator
            On the device of ``crops``.
        count : int
            Number of views. They share the movement, so that a voxel shows the same place of
            the brain in all of them, and differ in intensities.

        Returns
        -------
        list of (n, C, z, y, x) float32
            On the network's grid, not normalised.
        """
        cubes = self._move(crops, rng)
        return [
            self._change_intensities(cubes.clone() if count > 1 else cubes, rng)
            for _ in range(count)
        ]

    def _change_intensities(self, x: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
        """Change the intensities alone; overwrites ``x``."""
        s = self.strength
        rows = self._select_rows(len(x), s.photometric, x.device, rng)
        if len(rows):
            x[rows] = self._change_photometry(x[rows], rng)
        rows = self._select_rows(len(x), s.offset, x.device, rng)
        if len(rows):
            low, high = s.offset_range
            shape = (len(rows), 1, 1, 1, 1)
            level = low + (high - low) * torch.rand(shape, generator=rng, device=x.device)
            mean = x[rows].mean((2, 3, 4), keepdim=True)
            x[rows] = (x[rows] + level * mean).clamp(min=0)
        return x.contiguous()

    @staticmethod
    def _select_rows(
        n: int, share: float, device: torch.device, rng: torch.Generator
    ) -> torch.Tensor:
        return (torch.rand(n, generator=rng, device=device) < share).nonzero()[:, 0]

    def _move(self, crops: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
        """Shift, scale, flip and resample all cubes: a new tensor (n, C, *cube_shape)."""
        s, n, device = self.strength, len(crops), crops.device

        def normal() -> torch.Tensor:
            return torch.randn(n, generator=rng, device=device)

        common, x = s.scale * normal(), crops
        for axis in (2, 1, 0):  # the last axis first, since it shrinks most
            reach = float(self.margin[axis])
            shift = normal() * (s.shift_um[axis] / self.voxel_size[axis])
            flip = torch.rand(n, generator=rng, device=device) < s.flip
            # With an even number of voxels, the candidate is just after the middle; a flip about
            # the middle would move it, along z by a whole plane.
            even = 1 - self.grid.data_shape[axis] % 2
            shift = (shift.round() + even * flip).clamp(-reach, reach)
            # Planes are too few and too far apart to scale z by a tenth.
            log_size = common + s.stretch * normal() if axis else torch.zeros_like(common)
            matrices = self._matrices(axis, shift, log_size.clamp(-0.3, 0.3).exp())
            matrices = torch.where(flip[:, None, None], matrices.flip(1), matrices)
            x = (matrices[:, None, None] @ x.movedim(axis + 2, -2)).movedim(-2, axis + 2)
        if self._is_square:
            swap = torch.rand(n, generator=rng, device=device) < s.swap
            x = torch.where(swap[:, None, None, None, None], x.mT, x)
        return x

    def _matrices(self, axis: int, shift: torch.Tensor, size: torch.Tensor) -> torch.Tensor:
        """Return the linear resampling of one axis with margin, (n, network, data voxels).

        Without shift and scale it is ``runtime.cubes.resampling_matrix``, padded with zeros.
        """
        inner, outer = self.grid.data_shape[axis], self.grid.cube_shape[axis]
        step, length = inner / outer, inner + 2 * self.margin[axis]
        width = max(step, 1.0) if self.resampling == "antialias" else 1.0
        # In float32, 46 - 45.999 would lose too many digits.
        options = {"dtype": torch.float64, "device": shift.device}
        middle = shift.double()[:, None] + (length - 1) / 2
        offsets = (torch.arange(outer, **options) + 0.5) * step - inner / 2
        centres = (middle + offsets * size.double()[:, None]).clamp(0, length - 1)
        voxels = torch.arange(length, **options)
        weights = (1 - (voxels - centres[..., None]).abs() / width).clamp(min=0)
        # As in the runtime, which has only the cube, nothing comes from beyond its faces.
        is_outside = (voxels - middle).abs() > size.double()[:, None] * (inner / 2)
        weights = weights.masked_fill(is_outside[:, None], 0)
        total = weights.sum(2, keepdim=True).clamp(min=1e-6)
        return (weights / total).float()

    def _change_photometry(self, x: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
        s, n, device = self.strength, len(x), x.device
        space = (2, 3, 4)

        def uniform() -> torch.Tensor:
            return torch.rand(n, x.shape[1], 1, 1, 1, generator=rng, device=device)

        def normal(*shape: int) -> torch.Tensor:
            return torch.randn(*shape, generator=rng, device=device)

        low = x.amin(space, keepdim=True)
        span = (x.amax(space, keepdim=True) - low).clamp(min=1e-3)
        gamma = torch.exp(s.gamma * normal(n, x.shape[1], 1, 1, 1)).clamp(0.4, 2.5)
        x = (((x - low) / span).clamp(min=1e-6) ** gamma) * span + low
        if s.blur:
            share = (uniform() * 1.5 - 0.5) * s.blur
            blurred = F.avg_pool3d(F.pad(x, (1, 1, 1, 1, 0, 0), mode="replicate"), (1, 3, 3), 1)
            x = x + share * (blurred - x)
        deviation = x.std(space, keepdim=True, correction=0).clamp(min=1e-3)
        if s.gradient:
            slopes = normal(n, 3)
            slopes = slopes / slopes.norm(dim=1, keepdim=True).clamp(min=1e-6)
            ramp = torch.zeros(n, 1, 1, 1, 1, device=device)
            for axis, length in enumerate(x.shape[2:]):
                line = torch.linspace(-1, 1, length, device=device)
                line = line.reshape([length if a == axis + 2 else 1 for a in range(5)])
                ramp = ramp + slopes[:, axis].reshape(n, 1, 1, 1, 1) * line
            x = x + uniform() * s.gradient * deviation * ramp
        if s.noise or s.shot:
            signal = (x - low).clamp(min=0)
            root = (signal / (signal.mean(space, keepdim=True) + 1e-6)).sqrt()
            level = torch.hypot(uniform() ** 2 * s.noise, uniform() ** 2 * s.shot * root)
            x = x + normal(*x.shape) * level * deviation
        return x
