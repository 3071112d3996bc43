"""Damage zarrs at random and read them: every failure must be one of cfzoo's own errors.

    python benchmarks/fuzz/ome_zarr.py --executions 50000 --seed 0

Small zarrs of both formats, with and without shards, are damaged one file at a time: bits, lengths,
deletions, and values and keys of the metadata. Each is opened, searched for absent voxels and read.
The last line is JSON:

- tracebacks: errors of another kind than cfzoo's. Must be 0.
- silent_shapes: another shape or type without an error, although the
  metadata do not state it. Must be 0.
- silent_absences: voxels of a deleted chunk that are not found to be absent. Must be 0.
- restated: the damaged metadata are valid, and describe another volume. Nothing else in a zarr says
  how many voxels it has.
- unchecked: other voxels from a damaged chunk, in a codec that stores no checksum (blosc, lz4, zstd
  as zarr writes it, none). Must be 0 for gzip and crc32c (checked).
"""

import json
import shutil
import tempfile
import time
from collections import Counter
from pathlib import Path

import click
import numcodecs
import numpy as np
import zarr

from cfzoo.runtime.errors import CfzooError
from cfzoo.runtime.volume import open_volume

DATA = np.random.default_rng(0).integers(1, 2**12, (5, 7, 9), "u2")
AXES = [{"name": n, "type": "space", "unit": "micrometer"} for n in "zyx"]
IMAGE = {
    "axes": AXES,
    "datasets": [
        {"path": "0", "coordinateTransformations": [{"type": "scale", "scale": [5, 2, 2]}]}
    ],
}
CHECKED = ("gzip", "crc32c", "shards")  # whose chunks have a checksum
EVIL = [None, True, *range(-1, 9), 2**31, 2**40, 2**70, 1.5, "", "c", ".", "/", "blosc", "pickle"]
EVIL += ["|O", "<u4", ">u2", "int16", [], {}, [1], [0, 0, 0], {"name": "bytes"}, {"id": "pickle"}]


def write(folder: Path) -> dict[str, Path]:
    """Write the zarrs that are damaged, by name."""
    blosc, zstd, lz4 = numcodecs.Blosc(), numcodecs.Zstd(), numcodecs.LZ4()
    codecs = zarr.codecs
    kinds = {
        "2 blosc": {"compressors": blosc},
        "2 blosc nested": {
            "compressors": blosc,
            "chunk_key_encoding": {"name": "v2", "separator": "/"},
        },
        "2 zstd": {"compressors": zstd},
        "2 lz4 delta": {"compressors": lz4, "filters": [numcodecs.Delta("<u2")]},
        "2 gzip": {"compressors": numcodecs.GZip()},
        "2 none": {"compressors": None},
        "3 blosc": {"compressors": codecs.BloscCodec()},
        "3 zstd crc32c": {"compressors": [codecs.ZstdCodec(), codecs.Crc32cCodec()]},
        "3 gzip": {"compressors": codecs.GzipCodec()},
        "3 none": {"compressors": None},
        "3 crc32c shards": {
            "shards": (6, 4, 10),
            "compressors": [codecs.ZstdCodec(), codecs.Crc32cCodec()],
        },
        "3 blosc in sharded": {"shards": (6, 4, 10), "compressors": codecs.BloscCodec()},
    }
    paths = {}
    for name, options in kinds.items():
        version = int(name[0])
        group = zarr.create_group(folder / f"{name}.zarr", zarr_format=version)
        shape = (1, 1, *DATA.shape) if name == "2 zstd" else DATA.shape
        chunks = (1,) * (len(shape) - 3) + (3, 4, 5)
        array = group.create_array(
            "0", shape=shape, dtype="u2", chunks=chunks, fill_value=0, **options
        )
        array[:] = DATA.reshape(shape)
        image = IMAGE if len(shape) == 3 else {"datasets": [{"path": "0"}]}
        image = {"multiscales": [image]}
        group.attrs.update(image if version == 2 else {"ome": image})
        paths[name] = folder / f"{name}.zarr"
    return paths


def damage(raw: bytes, is_metadata: bool, rng: np.random.Generator) -> bytes | None:
    """Return the damaged contents of a file; None to delete it."""
    kind = rng.integers(15 if is_metadata else 5)
    if kind == 0:
        return None
    if kind == 1:
        return raw[: rng.integers(len(raw))]
    if kind in (2, 3):
        mutant = bytearray(raw)
        for _ in range(rng.integers(1, 4)):
            place = rng.integers(len(raw))
            mutant[place] = (
                mutant[place] ^ (1 << rng.integers(8)) if kind == 2 else rng.integers(256)
            )
        return bytes(mutant)
    if kind == 4:
        return raw + rng.bytes(rng.integers(1, 40))
    return damage_json(raw, int(kind), rng)


def damage_json(raw: bytes, kind: int, rng: np.random.Generator) -> bytes:
    """Change, remove, repeat or exchange values of metadata."""
    content = json.loads(raw)
    places = list(list_places(content))
    if not places:
        return b"[]"
    parent, key = places[rng.integers(len(places))]
    if kind in (5, 9, 10, 11, 12):
        parent[key] = EVIL[rng.integers(len(EVIL))]
    elif kind == 6:
        del parent[key]
    elif kind in (7, 13, 14):
        other, name = places[rng.integers(len(places))]
        parent[key], other[name] = other[name], parent[key]
        try:
            return json.dumps(content).encode()
        except ValueError:  # a value inside itself
            return b"{}"
    else:
        text, names = raw.decode(), [k for p, k in places if isinstance(p, dict)]
        name = json.dumps(names[rng.integers(len(names))])
        value = json.dumps(EVIL[rng.integers(len(EVIL))])
        return text.replace(f"{name}:", f"{name}: {value}, {name}:", 1).encode()
    return json.dumps(content).encode()


def list_places(content):
    """Yield container and key of every value in parsed JSON."""
    keys = content if isinstance(content, dict) else range(len(content))
    for key in list(keys):
        yield content, key
        if isinstance(content[key], dict | list):
            yield from list_places(content[key])


def attempt(
    path: Path, file: Path, mutant: bytes | None, is_metadata: bool, is_checked: bool
) -> str:
    """Read a damaged zarr; return the kind of its outcome."""
    try:
        volume = open_volume(path)
        zyx = np.argwhere(np.ones(np.minimum(volume.shape, 12), bool))
        absent = volume.find_absent(zyx)
        volume.find_gaps(zyx, zyx + 3)
        data = volume.read(*(slice(0, min(n, 12)) for n in volume.shape))
    except CfzooError as error:
        return "errors" if "\n" not in str(error) else "tracebacks"
    if data.shape != tuple(min(n, 12) for n in volume.shape) or data.dtype != volume.dtype:
        return "silent_shapes"
    is_same = (volume.shape, volume.dtype) == (DATA.shape, DATA.dtype)
    if is_metadata:
        return "unchanged" if is_same and np.array_equal(data, DATA) else "restated"
    if not is_same:
        return "silent_shapes"
    differs = (data != DATA).reshape(-1)
    if mutant is None:
        return "absent" if absent.any() and np.array_equal(differs, absent) else "silent_absences"
    if not differs.any():
        return "unchanged"
    return "silent_voxels" if is_checked else "unchecked"


@click.command()
@click.option("--executions", default=50_000, show_default=True)
@click.option("--seed", default=0, show_default=True)
def main(executions: int, seed: int) -> None:
    """Print what became of the damaged zarrs."""
    rng, counts, slowest = np.random.default_rng(seed), Counter(), 0.0
    examples: list[str] = []
    folder = Path(tempfile.mkdtemp())
    begin = time.perf_counter()
    try:
        paths = list(write(folder).items())
        files = {
            (name, is_metadata): [
                f
                for f in sorted(p.rglob("*"))
                if f.is_file() and (f.name[0] in ".z") == is_metadata
            ]
            for name, p in paths
            for is_metadata in (False, True)
        }
        for number in range(executions):
            name, path = paths[number % len(paths)]
            is_metadata = bool(rng.integers(2))
            file = rng.choice(files[name, is_metadata])
            raw = file.read_bytes()
            mutant = damage(raw, is_metadata, rng)
            if mutant is None:
                file.unlink()
            else:
                file.write_bytes(mutant)
            start = time.perf_counter()
            is_checked = any(word in name.split() for word in CHECKED)
            try:
                outcome = attempt(path, file, mutant, is_metadata, is_checked)
            except Exception as error:
                outcome = "tracebacks"
                if len(examples) < 5:
                    examples.append(f"{name} {file.name} {error!r:.300} {mutant!r:.300}")
            if outcome.startswith("silent") and len(examples) < 5:
                examples.append(f"{outcome}: {name} {file.relative_to(path)} {mutant!r:.300}")
            slowest = max(slowest, time.perf_counter() - start)
            counts[outcome] += 1
            file.write_bytes(raw)
    finally:
        shutil.rmtree(folder)
    for example in examples:
        click.echo(example, err=True)
    required = ("tracebacks", "silent_shapes", "silent_absences", "silent_voxels")
    summary = {key: counts[key] for key in (*required, *sorted(set(counts) - set(required)))}
    seconds = round(time.perf_counter() - begin, 1)
    click.echo(
        json.dumps(
            {
                "executions": executions,
                "seed": seed,
                "seconds": seconds,
                "slowest_s": round(slowest, 2),
                **summary,
            }
        )
    )


if __name__ == "__main__":
    main()
