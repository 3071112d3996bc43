"""Codecs: those listed are read, all others are refused before zarr is told of the array."""

import sys

import numcodecs
import numpy as np
import pytest
import zarr
import zarr.codecs.numcodecs as wrapped

from cfzoo.runtime.errors import InputError
from cfzoo.runtime.volume import open_volume

ALL = (slice(None),) * 3
N = numcodecs
READ_2 = {
    "none": {"compressors": None},
    "blosc": {"compressors": N.Blosc("lz4")},
    "zstd": {"compressors": N.Zstd()},
    "lz4": {"compressors": N.LZ4()},
    "gzip": {"compressors": N.GZip()},
    "zlib": {"compressors": N.Zlib()},
    "bz2": {"compressors": N.BZ2()},
    "lzma": {"compressors": N.LZMA()},
    "lzma filters": {
        "compressors": N.LZMA(format=3, filters=[{"id": 3, "dist": 4}, {"id": 33, "preset": 1}])
    },
    "delta": {"compressors": N.Zstd(), "filters": [N.Delta("<u2")]},
    "delta alone": {"compressors": None, "filters": [N.Delta("<u2")]},
    "astype": {"compressors": N.Blosc(), "filters": [N.AsType("<u4", "<u2")]},
    "scale": {
        "compressors": N.Blosc(),
        "filters": [N.FixedScaleOffset(offset=0, scale=1, dtype="<u2", astype="<f8")],
    },
    "shuffle": {"compressors": N.Zstd(), "filters": [N.Shuffle(2)]},
    "crc32": {"compressors": N.Blosc(), "filters": [N.CRC32()]},
    "order F": {"compressors": N.Blosc(), "order": "F"},
}
C = zarr.codecs
READ_3 = {
    "none": {"compressors": None},
    "blosc": {"compressors": C.BloscCodec()},
    "zstd": {"compressors": C.ZstdCodec()},
    "gzip": {"compressors": C.GzipCodec()},
    "crc32c": {"compressors": [C.BloscCodec(), C.Crc32cCodec()]},
    "crc32c alone": {"compressors": [C.Crc32cCodec()]},
    "transpose": {"filters": [C.TransposeCodec(order=(2, 1, 0))]},
    "big endian": {"serializer": C.BytesCodec(endian="big")},
    "numcodecs": {"filters": [wrapped.Delta(dtype="<u2")], "compressors": [wrapped.LZ4()]},
    "bz2": {"compressors": [wrapped.BZ2()]},
    "shards": {"shards": (4, 8, 10)},
    "shards of blosc": {"shards": (4, 8, 10), "compressors": C.BloscCodec()},
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("version", "kind"), [*((2, kind) for kind in READ_2), *((3, kind) for kind in READ_3)]
)
def test_reads_every_usual_codec(write, data, version, kind):
    path = write(version, **(READ_2, READ_3)[version - 2][kind])
    volume = open_volume(path)
    np.testing.assert_array_equal(volume.read(*ALL), data)
    assert volume.chunks == (2, 4, 5)
    np.testing.assert_array_equal(
        volume.read(slice(3, 4), slice(5, 9), slice(2, 3)), data[3:4, 5:9, 2:3]
    )


def test_reads_the_image_formats_of_imagecodecs(write, data, edit):
    """zarr does not find the codecs of imagecodecs by itself."""
    imagecodecs = pytest.importorskip("imagecodecs.numcodecs")
    imagecodecs.register_codecs(["imagecodecs_jpegxl"], verbose=False)
    codec = imagecodecs.Jpegxl(lossless=True, photometric="gray")
    path = write(2, compressors=codec, chunks=(1, 12, 10))
    del numcodecs.registry.codec_registry["imagecodecs_jpegxl"]
    np.testing.assert_array_equal(open_volume(path).read(*ALL), data)


class _Trap:
    """A package that may not be used."""

    def __getattr__(self, name):
        raise AssertionError(f"zarr.{name} is used")


FORBIDDEN = ["pickle", "json2", "msgpack2", "vlen-utf8", "vlen-bytes", "vlen-array", "categorize"]
FORBIDDEN += ["base64", "packbits", "zfpy", "imagecodecs_tiff", "none_such", "os.system", "", 7]


@pytest.mark.parametrize("codec", FORBIDDEN)
@pytest.mark.parametrize("place", ["compressor", "filter", "format 3", "shards", "index"])
def test_a_codec_that_is_not_listed_never_reaches_zarr(write, edit, monkeypatch, codec, place):
    version = 2 if place in ("compressor", "filter") else 3
    path = write(version, **({"shards": (4, 8, 10)} if place in ("shards", "index") else {}))

    def change(content):
        if place == "compressor":
            content["compressor"] = {"id": codec}
        elif place == "filter":
            content["filters"] = [{"id": "delta", "dtype": "<u2"}, {"id": codec}]
        elif place == "format 3":
            content["codecs"].append({"name": codec, "configuration": {}})
        else:
            settings = content["codecs"][0]["configuration"]
            key = "codecs" if place == "shards" else "index_codecs"
            settings[key].append({"name": codec, "configuration": {}})

    edit(path / (".zarray" if version == 2 else "zarr.json"), change)
    monkeypatch.setitem(sys.modules, "zarr", _Trap())
    with pytest.raises(InputError, match="codec") as caught:
        open_volume(path)
    assert not codec or str(codec) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_pickle_is_not_run(write, edit, tmp_path):
    """CVE of numcodecs: GHSA-jqc8-qjfv-5m6r."""
    path = write(2, compressors=None)
    evil = f"cos\nsystem\n(S'touch {tmp_path}/owned'\ntR.".encode()
    for chunk in path.glob("[0-9]*"):
        chunk.write_bytes(evil)
    for change in ({"filters": [{"id": "pickle"}]}, {"dtype": "|O"}):
        edit(path / ".zarray", change)
        with pytest.raises(InputError, match=r"pickle|\|O"):
            open_volume(path)
    assert not (tmp_path / "owned").exists()


@pytest.mark.parametrize(
    "settings",
    [
        {"id": "astype", "encode_dtype": "O", "decode_dtype": "<u2"},
        {"id": "astype", "encode_dtype": "<u2", "decode_dtype": [["a", "<u2"]]},
        {"id": "delta", "dtype": "<U9"},
        {"id": "quantize", "digits": 2, "dtype": "M8[s]"},
        {"id": "lzma", "filters": [[[[1]]]]},
        {"id": "zlib", "level": 2**40},
        {"id": "blosc", "cname": "x" * 99},
        {"id": "zstd", "level": [1] * 99},
    ],
)
def test_settings_that_are_no_numbers_are_refused(write, edit, settings):
    path = write(2)
    edit(path / ".zarray", {"filters": [settings]})
    with pytest.raises(InputError, match=f"its codec {settings['id']}"):
        open_volume(path)


def test_blosc_inside_another_codec_is_refused(write, edit):
    """Blosc trusts the size in its header, which only the file can confirm."""
    path = write(2)
    edit(path / ".zarray", {"filters": [{"id": "blosc"}], "compressor": {"id": "zlib"}})
    with pytest.raises(InputError, match="blosc again"):
        open_volume(path)
