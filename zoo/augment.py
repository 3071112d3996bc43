"""Random changes to training cubes, a batch at a time.

Plain batched torch rather than MONAI: its transforms take one sample at a time (several ms
each for an affine in 3D, so seconds a batch), while here one ``grid_sample`` turns, flips,
scales and shifts the whole batch at the data's own voxels, in about 20 ms for 128 cubes on
two cores, on any device, and everything is drawn from one seeded generator.

Only what remains after the normalisation per cube is worth changing: a factor or an offset
of the whole cube cancels there, so noise, gradients and gamma are measured in the cube's own
contrast.
"""

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F

from .data import LabelledCubes


@dataclass(frozen=True)
class Augmentation:
    """How strong each change is; 0 turns it off.

    Attributes
    ----------
    flip : float
        Probability per axis.
    rotate : float
        Share of samples turned by any angle in the plane (about z) and scaled.
    scale : float
        Standard deviation of the logarithm of the size, common to all axes.
    stretch : float
        The same, drawn per axis.
    shift_um : tuple of float
        Standard deviation of the misplacement of the centre, z y x; rounded to voxels.
    photometric : float
        Share of samples that any of the following changes.
    gamma : float
        Standard deviation of the logarithm of the exponent.
    gradient : float
        Largest local background: a ramp in a random direction, in units of the cube's
        standard deviation from its middle to its face.
    blur : float
        Largest share of a 3-voxel blur in the plane; half of it, negative, sharpens.
    noise : float
        Largest gaussian noise, in standard deviations of the cube.
    shot : float
        The same for noise that grows as the root of the intensity.
    """

    flip: float = 0.5
    rotate: float = 0.3
    scale: float = 0.1
    stretch: float = 0.05
    shift_um: tuple[float, float, float] = (2.0, 1.5, 1.5)
    photometric: float = 0.5
    gamma: float = 0.25
    gradient: float = 0.7
    blur: float = 1.0
    noise: float = 0.4
    shot: float = 0.4


class Augment(nn.Module):
    """From crops with a margin to augmented cubes on the network's grid, for one volume.

    Parameters
    ----------
    like : LabelledCubes
        Gives the geometry: grid, margin and voxel size.
    strength : Augmentation
    """

    def __init__(self, like: LabelledCubes, strength: Augmentation):
        super().__init__()
        self.strength = strength
        self.data_shape, self.margin = like.grid.data_shape, like.margin
        size = torch.tensor(like.voxel_size)
        self.register_buffer("voxel", size)
        inner = torch.tensor(like.grid.data_shape, dtype=torch.float32)
        outer = inner + 2 * torch.tensor(like.margin)
        # Half extents between the centres of the first and last voxel, as affine_grid counts
        # with align_corners=True.
        self.register_buffer("inner", (inner - 1) / 2)
        self.register_buffer("outer", ((outer - 1) / 2).clamp(min=0.5))
        for axis, matrix in zip("zyx", like.grid.matrices, strict=True):
            tensor = None if matrix is None else torch.tensor(matrix)
            self.register_buffer(f"along_{axis}", tensor)

    def forward(self, crops: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
        """Augment a batch.

        Parameters
        ----------
        crops : (n, C, z, y, x) float32
            With margin, raw intensities.
        rng : torch.Generator
            On the device of ``crops``.

        Returns
        -------
        (n, C, z, y, x) float32 on the network's grid, not normalised
        """
        x = self._move(crops, rng)
        rows = self._some(len(x), self.strength.photometric, x.device, rng)
        if len(rows):
            x[rows] = self._photometric(x[rows], rng)
        for axis, matrix in enumerate((self.along_z, self.along_y, self.along_x), start=2):
            if matrix is not None:
                x = (x.movedim(axis, -1) @ matrix.T).movedim(-1, axis)
        return x.contiguous()

    @staticmethod
    def _some(n: int, share: float, device: torch.device, rng: torch.Generator) -> torch.Tensor:
        return (torch.rand(n, generator=rng, device=device) < share).nonzero()[:, 0]

    def _move(self, crops: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
        """Misplace and flip all; turn and scale some. (n, C, *data_shape), a new tensor."""
        s, n, device = self.strength, len(crops), crops.device
        scale = torch.tensor(s.shift_um, device=device) / self.voxel
        shift = torch.round(torch.randn(n, 3, generator=rng, device=device) * scale)
        room = torch.tensor(self.margin, device=device)
        shift = torch.minimum(torch.maximum(shift, -room), room)
        flips = torch.rand(n, 3, generator=rng, device=device) < s.flip
        x = crops.new_empty(n, crops.shape[1], *self.data_shape)
        # Whole voxels are copied, not interpolated: these samples reach the network exactly
        # as the runtime would cut them, and copying costs a twentieth of grid_sample.
        starts = (shift.long() + room).tolist()
        for row, (start, flip) in enumerate(zip(starts, flips.tolist(), strict=True)):
            where = [slice(a, a + m) for a, m in zip(start, self.data_shape, strict=True)]
            axes = [axis + 1 for axis in range(3) if flip[axis]]
            part = crops[row][(slice(None), *where)]
            x[row] = part.flip(axes) if axes else part
        rows = self._some(n, s.rotate, device, rng)
        if len(rows):
            x[rows] = self._turn(crops[rows], shift[rows], 1 - 2 * flips[rows].float(), rng)
        return x

    def _turn(
        self, crops: torch.Tensor, shift: torch.Tensor, flips: torch.Tensor, rng: torch.Generator
    ) -> torch.Tensor:
        s, n, device = self.strength, len(crops), crops.device

        def uniform(*shape: int) -> torch.Tensor:
            return torch.rand(*shape, generator=rng, device=device)

        def normal(*shape: int) -> torch.Tensor:
            return torch.randn(*shape, generator=rng, device=device)

        angle = uniform(n) * 2 * torch.pi
        log_size = s.scale * normal(n, 1) + s.stretch * normal(n, 3)
        size = torch.exp(-log_size.clamp(-0.4, 0.4))
        matrix = torch.zeros(n, 3, 3, device=device)
        matrix[:, 0, 0] = 1
        matrix[:, 1, 1] = matrix[:, 2, 2] = torch.cos(angle)
        matrix[:, 1, 2], matrix[:, 2, 1] = -torch.sin(angle), torch.sin(angle)
        matrix = matrix * (size * flips)[:, None, :]
        # In um, so that a turn keeps circles round; then to voxels, then to affine_grid's units.
        matrix = matrix * self.voxel[None, None, :] / self.voxel[None, :, None]
        theta = torch.cat(
            [
                matrix * self.inner[None, None, :] / self.outer[None, :, None],
                (shift / self.outer)[:, :, None],
            ],
            dim=2,
        )
        order = torch.tensor([2, 1, 0], device=device)  # affine_grid counts x y z
        theta = torch.cat([theta[:, order][:, :, order], theta[:, order, 3:]], dim=2)
        grid = F.affine_grid(theta, [n, crops.shape[1], *self.data_shape], align_corners=True)
        return F.grid_sample(crops, grid, padding_mode="border", align_corners=True)

    def _photometric(self, x: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
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
            soft = F.avg_pool3d(F.pad(x, (1, 1, 1, 1, 0, 0), mode="replicate"), (1, 3, 3), 1)
            x = x + share * (soft - x)
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
            above = (x - low).clamp(min=0)
            root = (above / (above.mean(space, keepdim=True) + 1e-6)).sqrt()
            level = torch.hypot(uniform() ** 2 * s.noise, uniform() ** 2 * s.shot * root)
            x = x + normal(*x.shape) * level * deviation
        return x
