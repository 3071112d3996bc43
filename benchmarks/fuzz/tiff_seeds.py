"""Whole TIFF volumes of every kind, which the fuzzer damages."""

import functools
import json
import struct

import numpy as np
import tifffile

SHAPE = (6, 48, 56)  # z y x
_SCANIMAGE = "\n".join(
    [
        "SI.VERSION_MAJOR = 2020",
        "SI.hChannels.channelSave = [1;2]",
        "SI.hStackManager.enable = true",
        "SI.hStackManager.numSlices = 6",
        "SI.hStackManager.framesPerSlice = 1",
    ]
)
_SET = (
    '<?xml version="1.0"?><OME><Image><Pixels DimensionOrder="XYZCT" SizeX="56" SizeY="48" '
    'SizeZ="6" SizeC="2" SizeT="1" Type="uint16">{}</Pixels></Image></OME>'
)
_RUN = '<TiffData IFD="{z}" FirstZ="{z}" FirstC="{c}"><UUID FileName="c{c}.ome.tif"/></TiffData>'
IMAGEJ = {"imagej": True, "metadata": {"axes": "ZYX", "spacing": 5, "unit": "um"}}
STACKS = {
    "plain": {},
    "no text": {"metadata": None},
    "strips": {"rowsperstrip": 7},
    "big-endian": {"byteorder": ">"},
    "bigtiff": {"bigtiff": True},
    "deflate": {"compression": "zlib"},
    "deflate strips": {"compression": "zlib", "predictor": True, "rowsperstrip": 9},
    "lzw": {"compression": "lzw"},
    "zstd": {"compression": "zstd", "predictor": True},
    "packbits": {"compression": "packbits"},
    "tiles": {"tile": (16, 32)},
    "deflate tiles": {"tile": (32, 32), "compression": "zlib"},
    "imagej": IMAGEJ,
    "imagej, one page": IMAGEJ | {"truncate": True},
    "tifffile, one page": {"truncate": True},
    "ome": {"ome": True, "metadata": {"axes": "ZYX"}},
}


@functools.cache
def make_data():
    """Return (z, c, y, x) data that compress a little."""
    rng = np.random.default_rng(0)
    return (rng.integers(0, 900, (6, 2, *SHAPE[1:])) // 3 * 7).astype("u2")


def write_seeds(folder):
    """Write every kind of volume, each in a folder of its own.

    Parameters
    ----------
    folder : path
        Must be empty.

    Returns
    -------
    dict of str to (path, int or None)
        For each kind the path to open and the channel.
    """
    data, seeds = make_data(), {}
    for k, (kind, options) in enumerate(STACKS.items()):
        path = folder / f"{k}" / "brain.tif"
        path.parent.mkdir()
        tifffile.imwrite(path, data[:, 0], **options)
        seeds[kind] = path, None
    pages = [(z, c) for z in range(6) for c in range(2)]
    for kind, tags_of in {
        "scanimage": lambda z, c: {"software": _SCANIMAGE, "description": f"frame = {2 * z + c}"},
        "ndtiff": lambda z, c: {"extratags": [_ndtiff_tag(z, c)]},
        "fluoview": lambda z, c: {"extratags": [_fluoview_tag()]},
    }.items():
        path = folder / kind / "brain.tif"
        path.parent.mkdir()
        with tifffile.TiffWriter(path) as file:
            for z, c in pages:
                file.write(data[z, c], metadata=None, contiguous=False, **tags_of(z, c))
        seeds[kind] = path, 1
    _write_folders(folder, data, seeds)
    return seeds


def _ndtiff_tag(z, c):
    text = json.dumps({"Axes": {"z": z, "channel": "ab"[c]}, "PixelSizeUm": 2})
    return 51123, "s", 0, text, True


def _fluoview_tag():
    raw = bytes(284)
    for name, size in ((b"X", 56), (b"Y", 48), (b"Ch", 2), (b"Z", 6), *[(b"", 0)] * 6):
        raw += struct.pack("<16si80s", name, size, b"")
    return 34361, "B", len(raw), raw, True


def _write_folders(folder, data, seeds):
    """Write volumes of several files: planes, a list of planes, a set of OME-TIFFs."""
    for kind, options in {"folder": {}, "folder, deflate": {"compression": "zlib"}}.items():
        (folder / kind).mkdir()
        for z in range(6):
            tifffile.imwrite(folder / kind / f"z{z:02}.tif", data[z, 0], **options)
        seeds[kind] = folder / kind, None
    (folder / "list").mkdir()
    for z in range(6):
        tifffile.imwrite(folder / "list" / f"z{z:02}.tif", data[z, 0])
    lines = "\n".join(f"z{z:02}.tif" for z in range(6))
    (folder / "list" / "planes.txt").write_text(lines, encoding="utf-8")
    seeds["list"] = folder / "list" / "planes.txt", None
    (folder / "set").mkdir()
    runs = "".join(_RUN.format(z=z, c=c) for c in range(2) for z in range(6))
    for c in range(2):
        with tifffile.TiffWriter(folder / "set" / f"c{c}.ome.tif") as file:
            for z in range(6):
                text = _SET.format(runs) if z == 0 else ""
                file.write(data[z, c], description=text, metadata=None, contiguous=False)
    seeds["set"] = folder / "set" / "c0.ome.tif", 1
