"""Where a candidate's cube lies in the data, and how it reaches the network's grid.

The geometry is exactly cellfinder's (``cellfinder.core.classify.cube_generator``), whose
rounding is Python's: halves go to the even neighbour. It is written down here once, for
training, tests and inference alike.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from ..artifact import Card
from ..errors import InputError

SMALL_PRODUCT = 2**18  # multiplications, up to which OpenBLAS stays in the calling thread


@dataclass(frozen=True)
class Grid:
    """Geometry of the cubes of one card in data of one voxel size.

    Attributes
    ----------
    data_shape : tuple of int
        Data voxels of one cube (z, y, x).
    cube_shape : tuple of int
        Network voxels of one cube (z, y, x).
    matrices : tuple of (ndarray or None)
        Resampling matrix of each axis (z, y, x), float32 (network voxels, data voxels);
        None where the voxels are passed through.
    padding : str
        What lies outside the volume, as in the card.
    """

    data_shape: tuple[int, int, int]
    cube_shape: tuple[int, int, int]
    matrices: tuple[np.ndarray | None, np.ndarray | None, np.ndarray | None]
    padding: str = "edge"

    @classmethod
    def of(cls, card: Card, voxel_size: Sequence[float]) -> "Grid":
        """Compute the geometry for data with ``voxel_size`` (z, y, x), um.

        Raises
        ------
        InputError
            A cube would take less than one voxel of data along an axis, or more than 4096.
        """
        z, y, x = (
            round(n * network / data)
            for n, network, data in zip(card.cube_shape, card.voxel_size, voxel_size, strict=True)
        )
        z = 1 if card.cube_shape[0] == 1 else z  # cellfinder takes one plane as it is, for 2D
        data_shape = (z, y, x)
        if min(data_shape) < 1 or max(data_shape) > 4096:
            raise InputError(
                f"With voxels of {tuple(voxel_size)} um (z y x) a cube of {card.cube_shape} voxels "
                f"of {card.voxel_size} um would take {data_shape} voxels of data. "
                "Check the voxel size: z y x, in micrometres."
            )
        # cellfinder resamples when any voxel size differs, also along axes whose number of
        # voxels stays; there the matrix is the identity and skipping it changes nothing.
        along_z, along_y, along_x = (
            None if n_in == n_out else resampling_matrix(n_in, n_out, card.resampling)
            for n_in, n_out in zip(data_shape, card.cube_shape, strict=True)
        )
        return cls(data_shape, card.cube_shape, (along_z, along_y, along_x), card.padding)

    def starts(self, zyx: np.ndarray) -> np.ndarray:
        """Compute the first voxel of each point's cube.

        Parameters
        ----------
        zyx : (N, 3) float
            Points, voxels.

        Returns
        -------
        (N, 3) int64, z y x, voxels
            Negative, or too near the end, where the cube leaves the volume.
        """
        nz, ny, nx = self.data_shape
        starts = np.empty((len(zyx), 3), np.int64)
        starts[:, 0] = np.trunc(zyx[:, 0] - nz // 2)  # Python's int() rounds towards zero
        starts[:, 1] = np.rint(zyx[:, 1] - ny / 2)  # rint and round() both take halves to even
        starts[:, 2] = np.rint(zyx[:, 2] - nx / 2)
        return starts

    def inside(self, starts: np.ndarray, volume_shape: Sequence[int]) -> np.ndarray:
        """Test which cubes lie wholly inside the volume, (N,) bool.

        Parameters
        ----------
        starts : (N, 3) int64, z y x, voxels
            First voxels of the cubes.
        volume_shape : z y x, voxels
        """
        return np.all((starts >= 0) & (starts + self.data_shape <= np.array(volume_shape)), axis=1)

    def overlaps(self, starts: np.ndarray, volume_shape: Sequence[int]) -> np.ndarray:
        """Test which cubes hold at least one voxel of the volume, (N,) bool.

        Parameters
        ----------
        starts : (N, 3) int64, z y x, voxels
            First voxels of the cubes.
        volume_shape : z y x, voxels
        """
        return np.all((starts < np.array(volume_shape)) & (starts + self.data_shape > 0), axis=1)

    def pad(self, starts: np.ndarray, volume_shape: Sequence[int], cubes: np.ndarray) -> None:
        """Write zeros where cubes leave the volume, if ``padding`` says so.

        Parameters
        ----------
        starts : (m, 3) int64, z y x, voxels
            First voxels of the cubes.
        volume_shape : z y x, voxels
        cubes : (m, z, y, x) array
            With the volume's faces repeated; of ``data_shape`` or another. Overwritten.
        """
        if self.padding != "zero":
            return
        for axis, length in enumerate(volume_shape):
            voxels = starts[:, axis, None] + np.arange(cubes.shape[1 + axis])
            outside = (voxels < 0) | (voxels >= length)
            for row in np.flatnonzero(outside.any(axis=1)):
                np.moveaxis(cubes[row], axis, 0)[outside[row]] = 0

    def resample(self, cubes: np.ndarray) -> np.ndarray:
        """Resample cubes from the data's grid to the network's.

        Parameters
        ----------
        cubes : (N, C, z, y, x) float32
            With ``data_shape`` voxels each.

        Returns
        -------
        (N, C, z, y, x) float32
            With ``cube_shape`` voxels each.
        """
        n, c = cubes.shape[:2]
        along_z, along_y, along_x = self.matrices
        # Along x with all other axes as rows, then along y, then along z on flattened planes. The
        # products are kept small: BLAS splits a large one among threads of its own, which then
        # compete with the threads that call this method.
        depth, height, width = self.data_shape
        if along_x is not None:
            limit = SMALL_PRODUCT // (height * along_x.size)
            planes = max([1, *(k for k in range(1, depth + 1) if depth % k == 0 and k <= limit)])
            # A copy of the transposed matrix: BLAS is half as fast on a view of it.
            cubes = cubes.reshape(-1, planes * height, width) @ along_x.T.copy()
            width = self.cube_shape[2]
        cubes = cubes.reshape(n * c * depth, height, width)
        if along_y is not None:
            cubes = along_y @ cubes
        cubes = cubes.reshape(n * c, self.data_shape[0], -1)
        if along_z is not None:
            cubes = along_z @ cubes
        return cubes.reshape(n, c, *self.cube_shape)


@lru_cache(maxsize=64)
def resampling_matrix(n_in: int, n_out: int, rule: str = "trilinear") -> np.ndarray:
    """Build the matrix of linear interpolation along one axis, align_corners=False.

    Output voxel i samples the input at (i + 0.5) * n_in / n_out - 0.5, clamped at the ends, as
    ``torch.nn.functional.interpolate`` does. With ``antialias``, where the axis shrinks, the
    triangular kernel is as wide as an output voxel, truncated at the ends and renormalised (as in
    Pillow, and with torch's ``antialias=True``).

    Returns
    -------
    (n_out, n_in) float32
        Each row sums to 1.
    """
    voxels = np.arange(n_in)
    if rule == "antialias" and n_in > n_out:
        scale = n_in / n_out
        centres = (np.arange(n_out)[:, None] + 0.5) * scale - 0.5
        weights = np.clip(1 - np.abs(voxels - centres) / scale, 0, None)
        weights /= weights.sum(axis=1, keepdims=True)
    else:
        # In float32, as torch computes it: rounding the position alone changes an intensity
        # interpolated at 0.95 between two voxels by 1e-5.
        scale = np.float32(n_in) / np.float32(n_out)
        centres = (np.arange(n_out, dtype=np.float32)[:, None] + np.float32(0.5)) * scale
        centres = np.clip(centres - np.float32(0.5), 0, n_in - 1)
        weights = np.clip(1 - np.abs(voxels - centres), 0, None)
    weights = weights.astype(np.float32)
    weights.flags.writeable = False
    return weights


def copy_cubes(block: np.ndarray, starts: np.ndarray, out: np.ndarray) -> None:
    """Copy cubes out of a block, repeating its faces where a cube leaves it.

    Parameters
    ----------
    block : (Z, Y, X) array
    starts : (m, 3) int
        First voxels of the cubes in the block, z y x; they may be negative.
    out : (m, z, y, x) array
        Of the block's type or float32. Overwritten with the cubes.
    """
    shape = out.shape[1:]
    depth, height, width = shape
    inside = np.all((starts >= 0) & (starts + shape <= block.shape), axis=1)
    with np.errstate(over="ignore"):  # float64 beyond float32 becomes infinite; it is flagged
        for row, (z, y, x) in zip(np.flatnonzero(inside), starts[inside].tolist(), strict=True):
            cube = block[z : z + depth, y : y + height, x : x + width]
            # Converting whole cubes is faster than converting short rows.
            out[row] = cube if cube.dtype == out.dtype else cube.copy()
    for row in np.flatnonzero(~inside):
        voxels: list[np.ndarray] = [
            np.clip(np.arange(int(start), int(start + n)), 0, length - 1)
            for start, n, length in zip(starts[row], shape, block.shape, strict=True)
        ]
        z, y, x = voxels
        # Slicing first keeps the fancy indexing small.
        part = block[z[0] : z[-1] + 1, y[0] : y[-1] + 1, x[0] : x[-1] + 1]
        with np.errstate(over="ignore"):
            out[row] = part[np.ix_(z - z[0], y - y[0], x - x[0])]
