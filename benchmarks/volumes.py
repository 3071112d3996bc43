"""Large volumes that take little disk space, for `benchmarks/memory.py`.

Voxels that are read have to be decoded as in real files: compressed planes and chunks hold noise.
A stack or folder repeats one plane, and a zarr a few chunks, so that a volume of many gigabytes
needs the space of a plane or two.
"""

import os
import struct
from pathlib import Path
from typing import BinaryIO

import numpy as np
import tifffile
import zarr

LEVEL = {"level": 1}


def sparse_tiff(path: Path, shape: tuple[int, int, int]) -> Path:
    """Write an uncompressed BigTIFF that is a hole, with noise in every 100th plane at most."""
    path = path.with_suffix(".tif")
    pixels = tifffile.memmap(path, shape=shape, dtype=np.uint16, bigtiff=True)
    for z in range(0, shape[0], max(100, shape[0] // 100)):
        pixels[z] = _noise(shape[1:])
    del pixels
    return path


def deflated_tiff(path: Path, shape: tuple[int, int, int], tile: int | None = None) -> Path:
    """Write a BigTIFF whose pages refer to the same tiles of noise, or by turns to two strips."""
    path = path.with_suffix(".tif")
    _write_plane(path, shape[1:], tile)
    with path.open("r+b") as file:
        data = file.read(16)
        (start,) = struct.unpack("<Q", data[8:])
        file.seek(start)
        (count,) = struct.unpack("<Q", file.read(8))
        entries = file.read(20 * count)
        others = entries if tile else _copy_strip(file, entries)
        pointer = start + 8 + 20 * count
        for z in range(1, shape[0]):
            place = file.seek(0, os.SEEK_END)
            file.write(bytes(-place % 8))
            place += -place % 8
            tags = others if z % 2 else entries
            file.write(struct.pack("<Q", count) + tags + struct.pack("<Q", 0))
            file.seek(pointer)
            file.write(struct.pack("<Q", place))
            pointer = place + 8 + 20 * count
    return path


def deflated_folder(path: Path, shape: tuple[int, int, int]) -> Path:
    """Fill a folder with hard links to one plane of noise, compressed in one strip."""
    path.mkdir()
    first = path / "z00000.tif"
    _write_plane(first, shape[1:], None)
    for z in range(1, shape[0]):
        os.link(first, path / f"z{z:05}.tif")
    return path


def linked_zarr(
    path: Path,
    shape: tuple[int, int, int],
    chunk: tuple[int, int, int],
    shard: tuple[int, int, int] | None = None,
) -> Path:
    """Write a zarr whose chunk (or shard) files are hard links to a few of noise."""
    path = path.with_suffix(".zarr")
    unit = shard or chunk
    array = zarr.create_array(path, shape=shape, chunks=chunk, shards=shard, dtype=np.uint16)
    grid = [-(-n // c) for n, c in zip(array.shape, unit, strict=True)]
    sources = []
    for k in range(8 if shard is None else 1):
        donor = path.parent / f"donor-{path.stem}-{k}.zarr"
        noise = _noise(unit, k)
        zarr.create_array(donor, data=noise, chunks=chunk, shards=shard)
        sources.append(donor / "c" / "0" / "0" / "0")
    for n, (z, y, x) in enumerate(np.ndindex(*grid)):
        file = path / "c" / str(z) / str(y) / str(x)
        file.parent.mkdir(parents=True, exist_ok=True)
        os.link(sources[n % len(sources)], file)
    return path


def _copy_strip(file: BinaryIO, entries: bytes) -> bytes:
    """Append a copy of a page's only strip; return the page's entries with the copy's place.

    A strip at one place for all pages would be decoded once, since readers keep the last one.
    """
    tags = {entry[0]: entry for entry in struct.iter_unpack("<HHQQ", entries)}
    (*_, offset), (*_, size) = tags[273], tags[279]  # StripOffsets, StripByteCounts
    file.seek(offset)
    strip = file.read(size)
    place = file.seek(0, os.SEEK_END)
    file.write(strip)
    old = struct.pack("<HHQQ", *tags[273])
    return entries.replace(old, struct.pack("<HHQQ", *tags[273][:3], place))


def _write_plane(path: Path, shape: tuple[int, int], tile: int | None) -> None:
    tifffile.imwrite(
        path,
        _noise(shape),
        bigtiff=True,
        compression="zlib",
        compressionargs=LEVEL,
        metadata=None,
        **({"tile": (tile, tile)} if tile else {"rowsperstrip": shape[0]}),
    )


def _noise(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    """Return noise of 12 bits, which compresses to about three quarters."""
    return np.random.default_rng(seed).integers(0, 4000, shape, dtype=np.uint16)
