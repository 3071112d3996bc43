"""An image in an OME-Zarr, or a plain zarr array, of zarr format 2 or 3.

A chunk without a file has the fill value: writers omit empty chunks, so an absent file is no sign
of damage, and a file that was lost in copying cannot be distinguished from it.

The format: https://ngff.openmicroscopy.org (0.1 to 0.5).
"""

import itertools
import os
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np

from ..errors import EnvironmentProblem, InputError
from .source import Source, choose_channel
from .voxel_size import stated_voxel_size

MARKERS = ("zarr.json", ".zgroup", ".zarray", ".zattrs")


class OmeZarr(Source):
    """One channel of the full resolution of an OME-Zarr."""

    def __init__(self, path: Path, name: str, channel: int | None):
        zarr = _import_zarr()
        with _convert_codec_errors(name):
            node = zarr.open(str(path), mode="r")
        image = _read_image(node, name)
        array, axes = image.array, image.axes
        self.name, self._root, self._array = name, path, array
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
                    "z y x and channels only. Write one of them to a separate zarr."
                )
        channel = choose_channel(lengths.get("c", 1), channel, name)
        self._leading = [channel if axis == "c" else 0 for axis in axes[:-3]]
        self.shape = tuple(array.shape[-3:])
        self.dtype = array.dtype
        chunks = (array.shards or array.chunks)[-3:]
        self.chunks = tuple(max(1, min(c, n)) for c, n in zip(chunks, self.shape, strict=True))
        self.voxel_size = image.voxel_size
        self._folder = path / array.path
        codecs = () if array.shards else array.compressors
        self._is_blosc = bool(codecs) and type(codecs[-1]).__name__.startswith("Blosc")

    def close(self) -> None:
        """Do nothing: no file stays open."""

    def read(self, z: slice, y: slice, x: slice) -> np.ndarray:
        """Read a box, (z, y, x), byte order of the file."""
        self._check_files([*(slice(i, i + 1) for i in self._leading), z, y, x])
        return np.asarray(self._array[(*self._leading, z, y, x)])

    def _check_files(self, box: list[slice]) -> None:
        """Refuse truncated chunk files that zarr 3.1 does not notice.

        zarr takes an empty file of a shard for the fill value, and numcodecs passes a buffer
        without its length to Blosc, which then decodes whatever lies behind it in memory.
        """
        grid = self._array.shards or self._array.chunks
        spans = [range(s.start // n, -(-s.stop // n)) for s, n in zip(box, grid, strict=True)]
        for chunk in itertools.product(*spans):
            path = self._folder / self._array.metadata.encode_chunk_key(chunk)
            try:
                with path.open("rb") as file:
                    header, size = file.read(16), os.fstat(file.fileno()).st_size
            except FileNotFoundError:
                continue
            # The last field of Blosc's header is the number of bytes, header included.
            expected = int.from_bytes(header[12:16], "little") if self._is_blosc else size
            if size == 0 or size != expected:
                raise InputError(
                    f"{self.name}: the chunk {path.relative_to(self._root)} is cut short, it has "
                    f"{size} bytes. Copy it again from its source, or write the zarr again."
                )


class _Image(NamedTuple):
    array: Any  # of zarr, at full resolution
    axes: tuple[str, ...]
    voxel_size: tuple[float, float, float] | None


def _import_zarr() -> Any:
    try:
        import zarr
    except ImportError:
        raise EnvironmentProblem(
            "Reading zarr needs the package zarr. Install it: pip install 'cfzoo[zarr]'"
        ) from None
    return zarr


@contextmanager
def _convert_codec_errors(name: str) -> Generator[None, None, None]:
    """Report a codec that is not installed as a problem of the computer, not of the file."""
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


def _read_image(node: Any, name: str) -> _Image:
    """Read the array at full resolution, its axes and its voxel size from a zarr node."""
    attributes = node.attrs.asdict()
    if hasattr(node, "shape"):
        names = getattr(node.metadata, "dimension_names", None)
        axes = _check_axes(names or attributes.get("_ARRAY_DIMENSIONS"), node.ndim, name)
        return _Image(node, axes, None)
    ome = attributes.get("ome", attributes)
    if not (isinstance(ome, Mapping) and cast(Mapping[str, Any], ome).get("multiscales")):
        members = ", ".join(sorted(node)[:5]) or "nothing"
        raise InputError(
            f"{name} is a zarr group without an OME image (multiscales); it holds {members}. Give "
            f"the image or array inside, as {name}/0."
        )
    try:
        return _read_multiscale(node, ome["multiscales"][0], name)
    except (TypeError, KeyError, IndexError, AttributeError, ValueError) as error:
        raise InputError(
            f"{name}: its OME metadata (multiscales) cannot be used ({error!r:.200}). Write the "
            "zarr again, or give the array inside it."
        ) from error


def _read_multiscale(group: Any, multiscale: Any, name: str) -> _Image:
    level = multiscale["datasets"][0]
    path = level["path"]
    if not isinstance(path, str) or {"", ".", ".."} & set(path.split("/")):
        raise ValueError(f"a path {path!r:.60}")
    with _convert_codec_errors(name):
        array = group[path]
    entries: Any = multiscale.get("axes") or (list("tczyx") if array.ndim == 5 else [])
    entries = [{"name": entry} if isinstance(entry, str) else entry for entry in entries]
    axes = _check_axes([entry["name"] for entry in entries] or None, array.ndim, name)
    scale = _multiply_scales([level, multiscale], array.ndim)
    units = [entry.get("unit") for entry in entries]
    voxel_size = stated_voxel_size(scale[-3:], units[-3:]) if scale and units else None
    return _Image(array, axes, voxel_size)


def _check_axes(names: Sequence[Any] | None, number: int, name: str) -> tuple[str, ...]:
    """Return the names of an array's axes in lower case; z y x if its three axes have none."""
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


def _multiply_scales(entries: list[Any], number: int) -> list[float]:
    """Return the product of the scales of the level and of the whole image; empty if unstated."""
    scales = [
        transform["scale"]
        for entry in entries
        for transform in entry.get("coordinateTransformations") or ()
        if transform["type"] == "scale"
    ]
    if not scales or any(len(scale) != number for scale in scales):
        return []
    return np.prod(np.array(scales, float), axis=0).tolist()
