"""An image in an OME-Zarr, or a plain zarr array, of zarr format 2 or 3.

A chunk whose file is absent reads as the fill value: writers leave out empty chunks, so an
absent file is no sign of damage, and one lost in copying cannot be told from it.

The format: https://ngff.openmicroscopy.org (0.1 to 0.5).
"""

import itertools
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import EnvironmentProblem, InputError
from .source import choose_channel
from .voxel_size import stated_voxel_size

MARKERS = ("zarr.json", ".zgroup", ".zarray", ".zattrs")


class OmeZarr:
    """One channel of the full resolution of an OME-Zarr."""

    def __init__(self, path: Path, name: str, channel: int | None):
        zarr = _zarr()
        with _codec_problems(name):
            node = zarr.open(str(path), mode="r")
        array, axes, units, scale = _image(node, name)
        self.name, self._root, self._array, self._axes = name, path, array, axes
        if axes[-3:] != ("z", "y", "x"):
            raise InputError(
                f"{name} has the axes {' '.join(axes)}; expected z y x as the last three. Write it "
                "again with its axes in that order."
            )
        lengths = dict(zip(axes, array.shape, strict=True))
        for axis in axes[:-3]:
            if axis != "c" and lengths[axis] != 1:
                raise InputError(
                    f"{name} has {lengths[axis]} positions along its axis {axis!r:.20}; expected "
                    "z y x and channels only. Write one of them to a zarr of its own."
                )
        self._channel = choose_channel(lengths.get("c", 1), channel, name)
        self.shape = tuple(array.shape[-3:])
        self.dtype = array.dtype
        chunks = (array.shards or array.chunks)[-3:]
        self.chunks = tuple(max(1, min(c, n)) for c, n in zip(chunks, self.shape, strict=True))
        self.voxel_size = stated_voxel_size(scale[-3:], units[-3:]) if scale else None
        self._folder = path / array.path
        codecs = () if array.shards else array.compressors
        self._blosc = bool(codecs) and type(codecs[-1]).__name__.startswith("Blosc")

    def close(self) -> None:
        """Nothing stays open."""

    def read(self, z: slice, y: slice, x: slice) -> np.ndarray:
        """(z, y, x), the file's dtype."""
        before = [self._channel if axis == "c" else 0 for axis in self._axes[:-3]]
        self._check_files([*(slice(i, i + 1) for i in before), z, y, x])
        return np.asarray(self._array[(*before, z, y, x)])

    def _check_files(self, box: list[slice]) -> None:
        """Refuse chunk files whose end is missing where zarr 3.1 does not notice it.

        An empty file of a shard reads as the fill value, and numcodecs gives Blosc a buffer
        without its length, so that it decodes whatever lies behind it in memory.
        """
        grid = self._array.shards or self._array.chunks
        spans = [range(s.start // n, -(-s.stop // n)) for s, n in zip(box, grid, strict=True)]
        for chunk in itertools.product(*spans):
            file = self._folder / self._array.metadata.encode_chunk_key(chunk)
            try:
                with file.open("rb") as opened:
                    header, size = opened.read(16), os.fstat(opened.fileno()).st_size
            except FileNotFoundError:
                continue
            # The last field of Blosc's header is the number of bytes, header included.
            expected = int.from_bytes(header[12:16], "little") if self._blosc else size
            if size == 0 or size != expected:
                raise InputError(
                    f"{self.name}: the chunk {file.relative_to(self._root)} is cut short, it has "
                    f"{size} bytes. Copy it again from its source, or write the zarr again."
                )


def _zarr() -> Any:
    try:
        import zarr
    except ImportError:
        raise EnvironmentProblem(
            "Reading zarr needs the package zarr. Install it: pip install 'cfzoo[zarr]'"
        ) from None
    return zarr


@contextmanager
def _codec_problems(name: str) -> Iterator[None]:
    """A codec that is not installed is a matter of the computer, not of the file."""
    try:
        yield
    except Exception as error:
        # zarr and numcodecs each have a class of this name.
        if type(error).__name__ != "UnknownCodecError":
            raise
        raise EnvironmentProblem(
            f"{name} needs a codec that is not installed ({error}). Install its package (often "
            "pip install imagecodecs), or write the zarr with zstd or gzip."
        ) from error


def _image(node: Any, name: str) -> tuple[Any, tuple[str, ...], list, list]:
    """The array at full resolution, the names and units of its axes, and its scale."""
    attributes = node.attrs.asdict()
    if hasattr(node, "shape"):
        names = getattr(node.metadata, "dimension_names", None)
        return node, _axes(names or attributes.get("_ARRAY_DIMENSIONS"), node.ndim, name), [], []
    ome = attributes.get("ome", attributes)
    if not (isinstance(ome, Mapping) and ome.get("multiscales")):
        inside = ", ".join(sorted(node)[:5]) or "nothing"
        raise InputError(
            f"{name} is a zarr group without an OME image (multiscales); it holds {inside}. Give "
            f"the image or array inside, as {name}/0."
        )
    try:
        multiscale = ome["multiscales"][0]
        level = multiscale["datasets"][0]
        path = level["path"]
        if not isinstance(path, str) or {"", ".", ".."} & set(path.split("/")):
            raise ValueError(f"a path {path!r:.60}")
        with _codec_problems(name):
            array = node[path]
        stated = multiscale.get("axes") or (list("tczyx") if array.ndim == 5 else None)
        dicts = [a if isinstance(a, Mapping) else {"name": a} for a in stated or ()]
        axes = _axes([a["name"] for a in dicts] if stated else None, array.ndim, name)
        scale = _scale([level, multiscale], array.ndim)
        units = [a.get("unit") for a in dicts]
    except (TypeError, KeyError, IndexError, AttributeError, ValueError) as error:
        raise InputError(
            f"{name}: its OME metadata (multiscales) cannot be used ({error!r:.200}). Write the "
            "zarr again, or give the array inside it."
        ) from error
    return array, axes, units, scale if units else []


def _axes(names: Sequence | None, number: int, name: str) -> tuple[str, ...]:
    """Names of an array's axes, lower case; z y x where three have none."""
    if names is None or all(n is None for n in names):
        if number == 3:
            return ("z", "y", "x")
        raise InputError(
            f"{name} is a zarr array of {number} axes without names; expected three, z y x. Give a "
            "3D array, or an OME-Zarr, which names its axes."
        )
    if len(names) != number or len(set(names)) != number:
        raise InputError(f"{name} has {number} axes, but names {names!r:.80}. Write it again.")
    return tuple(str(n).lower() for n in names)


def _scale(holders: list, number: int) -> list[float]:
    """Product of the scales of the level and of the whole image; empty where none is given."""
    scales = [
        transform["scale"]
        for holder in holders
        for transform in holder.get("coordinateTransformations") or ()
        if transform["type"] == "scale"
    ]
    if not scales or any(len(scale) != number for scale in scales):
        return []
    return np.prod(np.array(scales, float), axis=0).tolist()
