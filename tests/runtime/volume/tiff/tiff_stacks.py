"""Stacks as tifffile writes them."""

import numpy as np
import tifffile

from cfzoo.runtime.volume import open_volume

ALL = (slice(None),) * 3
DATA = np.random.default_rng(0).integers(0, 2**16, (5, 37, 29), "u2")
IMAGEJ = {"imagej": True, "metadata": {"axes": "ZYX"}}
OME = {"ome": True, "metadata": {"axes": "ZYX"}}
KINDS = {
    "plain": {},
    "no text": {"metadata": None},
    "own text": {"description": "a brain"},
    "big-endian": {"byteorder": ">"},
    "bigtiff": {"bigtiff": True},
    "big-endian bigtiff": {"bigtiff": True, "byteorder": ">"},
    "strips": {"rowsperstrip": 5},
    "zlib": {"compression": "zlib"},
    "zlib strips": {"compression": "zlib", "rowsperstrip": 5},
    "predictor": {"compression": "zlib", "predictor": True},
    "big-endian predictor": {"compression": "zlib", "predictor": True, "byteorder": ">"},
    "tiles": {"tile": (16, 16)},
    "zlib tiles": {"tile": (16, 16), "compression": "zlib", "predictor": True},
    "packbits": {"compression": "packbits"},
    "lzma": {"compression": "lzma"},
    "imagej": IMAGEJ,
    "imagej, one page": IMAGEJ | {"truncate": True},
    "tifffile, one page": {"truncate": True},
    "ome": OME,
    "axes": {"metadata": {"axes": "ZYX"}},
}


def write(path, data=DATA, **options):
    tifffile.imwrite(path, data, **options)
    return path


def read(path, **options):
    with open_volume(path, **options) as volume:
        return volume.read(*ALL)


def set_tag(path, code, value):
    with tifffile.TiffFile(path, mode="r+") as file:
        for page in file.pages:
            page.tags[code].overwrite(value)
