"""The voxels around each candidate: the part of large planes that sparse candidates need."""

from collections import defaultdict
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from ..volume import Volume
from .grid import copy_cubes
from .pieces import read_ahead_of_use

CELL_VOXELS = 64  # side of the pieces that are read, at least
JOINED_BYTES = 2**20  # of cells that are read at once; more gains little
CELL_BYTES = 2**24  # of the pieces of a plane that its source keeps decoded


class Cell(NamedTuple):
    """The part of a cell that boxes touch, from ``low`` to ``high``, and whose boxes they are."""

    low: np.ndarray  # z y x, voxels
    high: np.ndarray
    members: list[int]


class Group(NamedTuple):
    """Cells of one slab that one thread reads: those of a chunk, which is thus decoded once."""

    cells: list[Cell]
    end: int  # the plane after the last one that is complete with this group


class Neighbourhoods:
    """The boxes of the candidates of one tile, from their first plane until they are copied.

    The planes are read in slabs, one chunk deep. Of each slab only the cells that a box touches
    are read, each once; a cell is a chunk, or a few of them where chunks are small. Memory thus
    grows with the boxes that span the same planes, and not with the planes.

    Parameters
    ----------
    volume : Volume
    low, high : (n, 3) int, z y x, voxels
        First voxels of the candidates' boxes, and the voxels after their last, sorted by the first
        plane.
    readers : int
        Threads that read and decode.
    """

    def __init__(self, volume: Volume, low: np.ndarray, high: np.ndarray, readers: int = 1):
        self.volume = volume
        self.low, self.high = clip_boxes(volume, low, high)
        self.cell = cell_shape(volume)
        self.blocks: dict[int, np.ndarray] = {}  # of the candidates whose planes are being read
        self.end = 0  # the plane after the last one read
        self._groups = read_ahead_of_use(self._read_group, self._list_groups(), readers)

    def close(self) -> None:
        """End the threads that read; those in the middle of a group finish it."""
        self._groups.close()

    def load(self, first: int, stop: int) -> int:
        """Read on until all planes of candidate ``first`` are there.

        Parameters
        ----------
        first, stop : int
            The next candidates; those before them are forgotten.

        Returns
        -------
        int
            Number of candidates from ``first`` on whose boxes are complete; at least one.
        """
        for k in [k for k in self.blocks if k < first]:
            del self.blocks[k]
        while self.end < self.high[first, 0]:
            group, parts = next(self._groups)
            for cell, voxels in zip(group.cells, parts, strict=True):
                self._copy_cell(cell, voxels)
            self.end = max(self.end, group.end)
        incomplete = np.flatnonzero(self.high[first:stop, 0] > self.end)
        return int(incomplete[0]) if len(incomplete) else stop - first

    def copy_cubes(self, first: int, starts: np.ndarray, out: np.ndarray) -> None:
        """Copy cubes of consecutive candidates into ``out``; `load` has completed their boxes.

        Parameters
        ----------
        first : int
            The first of the candidates.
        starts : (m, 3) int, z y x, voxels of the volume
            First voxels of their cubes.
        out : (m, z, y, x) array, written
        """
        rows = slice(first, first + len(starts))
        places = starts - self.low[rows]
        sizes = self.high[rows] - self.low[rows]
        is_box = ~places.any(axis=1) & (sizes == out.shape[1:]).all(axis=1)
        with np.errstate(over="ignore"):  # as in `copy_cubes`
            for k in np.flatnonzero(is_box).tolist():
                out[k] = self.blocks[first + k]
        for k in np.flatnonzero(~is_box).tolist():
            # A box ends inside the volume only where its cubes do, so faces are repeated rightly.
            copy_cubes(self.blocks[first + k], places[k : k + 1], out[k : k + 1])

    def _list_groups(self) -> Iterator[Group]:
        """List what is to be read, slab by slab, up to the end of a chunk."""
        active: list[int] = []
        end = begun = 0
        depth, height = self.volume.chunks[:2]
        while active or begun < len(self.low):
            z = end if active else max(end, int(self.low[begun, 0]))
            stop = min((z // depth + 1) * depth, self.volume.shape[0])
            while begun < len(self.low) and self.low[begun, 0] < stop:
                active.append(begun)
                begun += 1
            stop = min(stop, int(self.high[active, 0].max()))
            groups: dict[tuple[int, int], list[Cell]] = defaultdict(list)
            for (y, x, rows), members in self._join_cells(np.array(active), stop - z).items():
                corner = np.multiply((y, x), self.cell)
                end_corner = np.multiply((y + rows, x + 1), self.cell)
                low = np.maximum(self.low[members].min(axis=0), (z, *corner))
                high = np.minimum(self.high[members].max(axis=0), (stop, *end_corner))
                groups[y * self.cell[0] // height, x].append(Cell(low, high, members))
            last = len(groups) - 1
            for number, cells in enumerate(groups.values()):
                yield Group(cells, stop if number == last else end)
            end = stop
            active = [k for k in active if self.high[k, 0] > end]

    def _join_cells(self, active: np.ndarray, depth: int) -> dict[tuple[int, int, int], list[int]]:
        """Join touched cells that follow each other along y into pieces of a read's size.

        Where chunks are small, each piece costs more than its voxels: the description of its plane
        is read, and each box that it touches copied.
        """
        size = depth * self.cell[0] * min(self.cell[1], self.volume.shape[2])
        most = max(1, JOINED_BYTES // (size * self.volume.dtype.itemsize))
        joined: dict[tuple[int, int, int], list[int]] = {}
        runs: dict[int, tuple[int, list[list[int]]]] = {}  # of each column of cells: the open one

        def close(x: int) -> None:
            y, parts = runs.pop(x)
            members = parts[0] if len(parts) == 1 else sorted({k for part in parts for k in part})
            joined[y, x, len(parts)] = members

        for (y, x), members in self._touched_cells(active).items():
            if x in runs and (runs[x][0] + len(runs[x][1]) < y or len(runs[x][1]) == most):
                close(x)
            runs.setdefault(x, (y, []))[1].append(members)
        for x in list(runs):
            close(x)
        return dict(sorted(joined.items()))

    def _touched_cells(self, active: np.ndarray) -> dict[tuple[int, int], list[int]]:
        """List the cells that boxes touch, in the order of the plane, and the boxes of each."""
        members: dict[tuple[int, int], list[int]] = defaultdict(list)
        first = self.low[active, 1:] // self.cell
        last = (self.high[active, 1:] - 1) // self.cell
        for k, (y0, x0), (y1, x1) in zip(
            active.tolist(), first.tolist(), last.tolist(), strict=True
        ):
            for y in range(y0, y1 + 1):
                for x in range(x0, x1 + 1):
                    members[y, x].append(k)
        return dict(sorted(members.items()))

    def _read_group(self, group: Group) -> list[np.ndarray]:
        """Read the cells of a group, one after another."""
        return [
            self.volume.read(*map(slice, cell.low.tolist(), cell.high.tolist()))
            for cell in group.cells
        ]

    def _copy_cell(self, cell: Cell, voxels: np.ndarray) -> None:
        """Copy the voxels of a cell into the boxes that touch it."""
        first = self.low[cell.members]
        low, high = np.maximum(first, cell.low), np.minimum(self.high[cell.members], cell.high)
        # Lists, because this runs for each plane of each candidate.
        corners = (low - cell.low, high - cell.low, low - first, high - first)
        for k, a, b, c, d in zip(cell.members, *(each.tolist() for each in corners), strict=True):
            if k not in self.blocks:
                self.blocks[k] = np.empty(self.high[k] - self.low[k], self.volume.dtype)
            part = voxels[a[0] : b[0], a[1] : b[1], a[2] : b[2]]
            self.blocks[k][c[0] : d[0], c[1] : d[1], c[2] : d[2]] = part


def clip_boxes(volume: Volume, low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Cut boxes at the volume's faces; of one outside remains the voxel layer nearest to it."""
    first = np.clip(low, 0, np.array(volume.shape) - 1)
    return first, np.maximum(np.minimum(high, volume.shape), first + 1)


def cell_shape(volume: Volume) -> tuple[int, int]:
    """Return rows and columns of the pieces in which planes are read, multiples of a chunk.

    Of a large chunk that its source keeps decoded, a piece is some of the rows.
    """
    depth, *chunk = volume.chunks
    rows, columns = (c * -(-CELL_VOXELS // c) for c in chunk)
    if volume.keeps_block:
        row_bytes = depth * min(columns, volume.shape[2]) * volume.dtype.itemsize
        rows = min(rows, max(CELL_VOXELS, CELL_BYTES // row_bytes))
    return rows, columns


def measure_neighbourhoods(volume: Volume, low: np.ndarray, high: np.ndarray) -> int:
    """Compute the peak memory of `Neighbourhoods` for some candidates, bytes."""
    first, stop = clip_boxes(volume, low, high)
    sizes = (stop - first).prod(axis=1) * volume.dtype.itemsize
    depth = volume.chunks[0]
    # A box is in memory from the first chunk that it touches to the end of its last.
    begin = np.bincount(first[:, 0] // depth, sizes, -(-volume.shape[0] // depth) + 1)
    end = np.bincount((stop[:, 0] - 1) // depth + 1, sizes, len(begin))
    peak = int((begin - end).cumsum().max())
    cell = np.minimum(cell_shape(volume), volume.shape[1:])
    return peak + min(depth, volume.shape[0]) * int(cell.prod()) * volume.dtype.itemsize
