"""Damage TIFF volumes at random; count tracebacks and silent changes.

    python benchmarks/fuzz/tiff.py --executions 50000 --seed 0
    python benchmarks/fuzz/tiff.py --malformed   # a table of volumes, each of which is wrong

Each execution damages one volume (bits, bytes, cuts, tags, texts; in folders also whole files),
opens it and reads every plane. cfzoo may refuse it with an error of its own in one line, or read it
with the shape and dtype of the whole one. Prints one line of JSON; exit code 1 if it was otherwise.
"""

import collections
import json
import random
import resource
import shutil
import struct
import sys
import tempfile
import time
from pathlib import Path

import click
import numpy as np

from cfzoo.runtime.errors import CfzooError
from cfzoo.runtime.volume import open_volume

sys.path.insert(0, str(Path(__file__).parent))
from tiff_seeds import SHAPE, make_data, write_seeds
from tiff_tags import edit_link, edit_tag, tag_places

_LIMIT = 4 * 2**30  # bytes of address space


@click.command()
@click.option("--executions", default=50_000, show_default=True)
@click.option("--seed", default=0, show_default=True)
@click.option("--malformed", is_flag=True, help="Run the table of malformed volumes instead.")
def main(executions, seed, malformed):
    """Damage volumes and print the counts as JSON."""
    resource.setrlimit(resource.RLIMIT_AS, (_LIMIT, _LIMIT))
    with tempfile.TemporaryDirectory() as folder:
        seeds = write_seeds(Path(folder))
        begin, counts, examples = time.perf_counter(), collections.Counter(), []
        slowest = 0.0
        cases = _table(seeds) if malformed else _mutations(seeds, executions, seed)
        for kind, label, (path, channel) in cases:
            start = time.process_time()
            outcome = _open(path, channel)
            seconds = time.process_time() - start
            slowest = max(slowest, seconds)
            counts["executions"] += 1
            counts["over_a_second_of_cpu"] += seconds > 1
            counts[outcome if outcome in ("refused", "same", "other voxels") else "bad"] += 1
            is_bad = outcome not in ("refused", "same", "other voxels")
            if (is_bad or (malformed and outcome != "refused")) and len(examples) < 40:
                examples.append(f"{kind}: {label}: {outcome}")
    if malformed:
        counts["bad"] = counts["executions"] - counts["refused"]
    result = {
        **counts,
        "tracebacks and silent changes": counts["bad"],
        "seconds": round(time.perf_counter() - begin, 1),
        "slowest_cpu_ms": round(slowest * 1000),
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        "examples": examples,
    }
    print(json.dumps(result))
    sys.exit(bool(counts["bad"]))


def _open(path, channel):
    """Read a volume whole, and say what came of it."""
    try:
        with open_volume(path, channel=channel) as volume:
            if volume.shape != SHAPE or volume.dtype != np.uint16:
                return f"silent change to {volume.shape} {volume.dtype}"
            planes = [
                volume.read(slice(z, z + 1), slice(0, SHAPE[1]), slice(0, SHAPE[2]))
                for z in range(SHAPE[0])
            ]
    except CfzooError as error:
        return "refused" if "\n" not in str(error) else f"two lines: {error}"
    except BaseException as error:
        return f"{type(error).__name__}: {error}"
    data = make_data()[:, channel or 0]
    return "same" if np.array_equal(np.concatenate(planes), data) else "other voxels"


def _mutations(seeds, executions, seed):
    """Yield kind, label and the damaged volume."""
    rng, kinds = random.Random(seed), list(seeds)
    for k in range(executions):
        kind = kinds[k % len(kinds)]
        path, channel = seeds[kind]
        files = sorted(path.parent.glob("*") if path.is_file() else path.glob("*"))
        file = rng.choice(files)
        whole = file.read_bytes()
        # A list that was cut is a shorter list.
        damage = rng.choice(_DAMAGES) if file.suffix == ".tif" else change_digit
        raw = bytearray(whole)
        damage(raw, rng)
        if bytes(raw) == whole:
            continue
        file.write_bytes(raw)
        yield kind, f"{k} {damage.__name__} of {file.name}", (path, channel)
        file.write_bytes(whole)


def flip_bits(raw, rng):
    for _ in range(rng.randint(1, 4)):
        raw[rng.randrange(len(raw))] ^= 1 << rng.randrange(8)


def flip_tag_bits(raw, rng):
    places = tag_places(raw)
    for _ in range(rng.randint(1, 3)):
        start, length = rng.choice(places) if places else (0, len(raw))
        raw[start + rng.randrange(length)] ^= 1 << rng.randrange(8)


def set_bytes(raw, rng):
    for _ in range(rng.randint(1, 4)):
        raw[rng.randrange(len(raw))] = rng.choice((0, 1, 127, 128, 255, rng.randrange(256)))


def cut(raw, rng):
    del raw[rng.randrange(len(raw)) :]


def remove(raw, rng):
    start = rng.randrange(len(raw))
    del raw[start : start + rng.choice((1, 2, 8, 100, 5376))]


def insert(raw, rng):
    start = rng.randrange(len(raw))
    raw[start:start] = rng.randbytes(rng.choice((1, 2, 12, 100)))


def zero(raw, rng):
    start, length = rng.randrange(len(raw)), rng.choice((4, 12, 512, 4096))
    raw[start : start + length] = bytes(len(raw[start : start + length]))


def change_digit(raw, rng):
    """Change a number in a text: of planes, channels, files."""
    digits = [i for i in range(len(raw)) if 48 <= raw[i] < 58]
    if digits:
        raw[rng.choice(digits)] = rng.randrange(48, 58)


_DAMAGES = [flip_bits, flip_tag_bits, set_bytes, cut, remove, insert, zero, change_digit]
_DAMAGES += [edit_tag, edit_link]


def _table(seeds):
    """Yield malformed volumes: each defect of each kind of file."""
    for kind, (path, channel) in seeds.items():
        folder = path if path.is_dir() else path.parent
        files = sorted(folder.glob("*.tif"))
        backup = folder.with_name(folder.name + "-whole")
        shutil.copytree(folder, backup)
        for label, spoil in _DEFECTS.items():
            target = files[min(2, len(files) - 1)] if channel is None else files[-1]
            if spoil(target) is not False:
                yield kind, label, (path, channel)
            shutil.rmtree(folder)
            shutil.copytree(backup, folder)


def _spoil_bytes(change):
    def spoil(path):
        raw = bytearray(path.read_bytes())
        if change(raw) is False:
            return False
        path.write_bytes(raw)
        return None

    return spoil


def _replace_with(raw):
    return lambda path: path.write_bytes(raw) and None


def _link_to(target):
    def spoil(path):
        path.unlink()
        path.symlink_to(target)

    return spoil


def _make_folder(path):
    path.unlink()
    path.mkdir()


def _first_link_to_itself(raw):
    """Let the chain of pages return to its first page."""
    order = "<" if raw[:2] == b"II" else ">"
    if raw[2:3] == b"+" or raw[3:4] == b"+":
        return False
    (first,) = struct.unpack_from(order + "I", raw, 4)
    (number,) = struct.unpack_from(order + "H", raw, first)
    struct.pack_into(order + "I", raw, first + 2 + 12 * number, first)
    return None


def _set_tag(code, value):
    def change(raw):
        return edit_tag(raw, random.Random(0), code=code, value=value)

    return _spoil_bytes(change)


_DEFECTS = {
    "empty": _replace_with(b""),
    "text": _replace_with(b"no image"),
    "half": _spoil_bytes(lambda raw: raw.__delitem__(slice(len(raw) // 2, None))),
    "last byte of data": _spoil_bytes(lambda raw: raw.__delitem__(slice(len(raw) - 300, None))),
    "header only": _spoil_bytes(lambda raw: raw.__delitem__(slice(8, None))),
    "first page far away": _spoil_bytes(lambda raw: raw.__setitem__(slice(4, 8), b"\xf0" * 4)),
    "chain in a circle": _spoil_bytes(_first_link_to_itself),
    "git-annex": _link_to(".git/annex/objects/x.tif"),
    "link to itself": _link_to("z02.tif"),
    "LFS": _replace_with(b"version https://git-lfs.github.com/spec/v1\n"),
    "folder": _make_folder,
    "width 1": _set_tag(256, 1),
    "width 2**31": _set_tag(256, 2**31),
    "height 10**9": _set_tag(257, 10**9),
    "rows per strip 0": _set_tag(278, 0),
    "three samples": _set_tag(277, 3),
    "JPEG": _set_tag(259, 7),
    "1 bit": _set_tag(258, 1),
    "white is zero": _set_tag(262, 0),
    "turned": _set_tag(274, 3),
}

if __name__ == "__main__":
    main()
