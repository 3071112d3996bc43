"""Parts of a classification: which candidates belong to each, and where its file is.

The division depends on the points, the chunks of the volume and the cubes, and on nothing else:
neither on the number of processes nor on their memory.
"""

import hashlib
import json
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..cubes import Scale
from ..errors import InputError
from ..files import atomic_write
from ..job import Job
from .identity import identify_job
from .part_file import Part, read_part

FOLDER = "parts"  # in the output folder
SMALLEST_PART, LARGEST_PART = 64, 4096  # candidates: a batch, and some seconds of work
SEVERAL = 64  # parts about, where each is neither smaller nor larger


@dataclass(frozen=True)
class Shard:
    """A share of the parts, for one of several processes.

    Attributes
    ----------
    number, total : int
        Shard ``number``, from 1, of ``total``.

    Raises
    ------
    InputError
        There is no such shard.
    """

    number: int = 1
    total: int = 1

    def __post_init__(self) -> None:
        if not 1 <= self.number <= self.total:
            raise InputError(
                f"The shard is {self.number}/{self.total}; expected 1/N to N/N. In an array of "
                "SLURM, begin with 1: --array=1-N."
            )

    @classmethod
    def parse(cls, text: str) -> "Shard":
        """Return the shard that ``i/N`` means; an `InputError` if it is written otherwise."""
        number, _, total = text.partition("/")
        try:
            shard = int(number), int(total)
        except ValueError:
            raise InputError(f"The shard is {text!r:.40}; expected i/N, such as 3/20.") from None
        return cls(*shard)

    def select(self, count: int) -> range:
        """Return the numbers of its parts, from 0: neighbours, which share chunks."""
        first, last = ((self.number - n) * count // self.total for n in (1, 0))
        return range(first, last)


@dataclass(frozen=True, eq=False)
class Parts:
    """The parts of a job, in a folder.

    Attributes
    ----------
    folder : Path
    key : str
        Identity of the job.
    rows : list of (n,) int64
        Rows of the points of each part, in the order of reading.
    names : list of str
        Names of the files.
    """

    folder: Path
    key: str
    rows: list[np.ndarray]
    names: list[str]

    @classmethod
    def of(cls, job: Job, folder: Path) -> "Parts":
        """Divide the points of a job; its volumes must be on a disk, see `identify_job`."""
        key, order = identify_job(job), np.concatenate([*job.tiles, np.zeros(0, np.int64)])
        # Whole batches, since each rest of one takes nearly as long.
        batches = -(-len(order) // (SEVERAL * SMALLEST_PART))
        size = min(LARGEST_PART, max(1, batches) * SMALLEST_PART)
        rows = [order[start : start + size] for start in range(0, len(order), size)]
        names = [f"{_digest(key, number, each)}.npz" for number, each in enumerate(rows)]
        return cls(folder, key, rows, names)

    def read(self, number: int) -> Part | None:
        """Read a part; None if it has not been computed, or its file is damaged."""
        return read_part(self.folder / self.names[number], len(self.rows[number]))

    def list_missing(self, numbers: Iterable[int]) -> list[int]:
        """Return those parts that have to be computed."""
        return [number for number in numbers if self.read(number) is None]

    def locate(self, number: int) -> Path:
        """Return the path of a part."""
        return self.folder / self.names[number]

    def count_points(self, shard: Shard) -> int:
        """Return the number of points of a shard."""
        return sum(len(self.rows[number]) for number in shard.select(len(self.rows)))

    def remove(self) -> None:
        """Remove the folder, when the results hold all that is in it."""
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def _scales_path(self) -> Path:
        return self.folder / f"{self.key[:32]}-scales.json"

    def read_scales(self) -> tuple[Scale, ...] | None:
        """Return the scales that another process has measured over the volume, if one has."""
        try:
            pairs = json.loads(self._scales_path.read_text(encoding="utf-8"))
            return tuple(Scale(float(mean), float(std)) for mean, std in pairs)
        except (OSError, ValueError, TypeError):
            return None

    def write_scales(self, scales: Sequence[Scale]) -> None:
        """Write the scales for the other processes; JSON keeps every bit of a float."""
        with atomic_write(self._scales_path) as file:
            json.dump([(scale.mean, scale.std) for scale in scales], file)


def _digest(key: str, number: int, rows: np.ndarray) -> str:
    content = f"{key} {number} ".encode() + rows.astype("<i8").tobytes()
    return hashlib.sha256(content).hexdigest()[:32]
