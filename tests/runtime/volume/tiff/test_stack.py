"""TIFF stacks: values, numbers of planes, and what is no stack."""

import sys
import time
from pathlib import Path

import numpy as np
import pytest
import tifffile

sys.path.insert(0, str(Path(__file__).parent))
from tiff_stacks import ALL, DATA, KINDS, read, set_tag, write

from cfzoo.runtime.errors import EnvironmentProblem, InputError
from cfzoo.runtime.volume import open_volume


@pytest.mark.parametrize("kind", KINDS)
def test_values_equal_the_source(tmp_path, kind):
    path = write(tmp_path / "brain.tif", **KINDS[kind])
    with open_volume(path) as volume:
        assert volume.shape == DATA.shape and volume.dtype == DATA.dtype
        np.testing.assert_array_equal(volume.read(*ALL), DATA)
        for box in np.random.default_rng(1).integers(0, (6, 38, 30), (20, 2, 3)):
            part = tuple(slice(int(a), int(b)) for a, b in np.sort(box, axis=0).T)
            np.testing.assert_array_equal(volume.read(*part), DATA[part])


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("byteorder", "<>")
def test_reads_floats_with_predictors(tmp_path, dtype, byteorder):
    data = np.random.default_rng(0).normal(size=(5, 20, 30)).astype(dtype)
    for options in ({"predictor": 3}, {"predictor": 3, "tile": (16, 16)}):
        path = write(
            tmp_path / "brain.tif", data, compression="zlib", byteorder=byteorder, **options
        )
        np.testing.assert_array_equal(read(path), data)


@pytest.mark.parametrize("codec", ["lzw", "zstd", "packbits"])
def test_reads_the_codecs_of_imagecodecs(tmp_path, codec):
    for options in ({}, {"predictor": True}, {"rowsperstrip": 5}):
        path = write(tmp_path / "brain.tif", compression=codec, **options)
        np.testing.assert_array_equal(read(path), DATA)
        raw = path.read_bytes()
        path.write_bytes(raw[: len(raw) - 10])
        with pytest.raises(InputError):
            read(path)


def test_reads_one_plane_and_pages_written_one_by_one(tmp_path):
    for axes in (None, "YX", "QYX"):
        flat = DATA[:1] if axes == "QYX" else DATA[0]
        path = write(tmp_path / "flat.tif", flat, metadata={"axes": axes} if axes else {})
        np.testing.assert_array_equal(read(path), DATA[:1])
    with tifffile.TiffWriter(tmp_path / "loop.tif") as file:
        for plane in DATA:
            file.write(plane)
    np.testing.assert_array_equal(read(tmp_path / "loop.tif"), DATA)


@pytest.mark.parametrize(
    ("pages", "message"),
    [
        (DATA[:, :20], r"page 5 is \(20, 29\) uint16, page 0 is \(37, 29\)"),
        (DATA.astype("f4"), r"page 5 is \(37, 29\) float32"),
        (DATA.view("i2"), r"page 5 is \(37, 29\) int16"),
    ],
)
def test_refuses_pages_that_differ(tmp_path, pages, message):
    with tifffile.TiffWriter(tmp_path / "brain.tif") as file:
        file.write(DATA)
        file.write(pages)
    with pytest.raises(InputError, match=message):
        open_volume(tmp_path / "brain.tif")


def test_refuses_several_series(tmp_path):
    with tifffile.TiffWriter(tmp_path / "brain.tif") as file:
        file.write(DATA)
        file.write(DATA)
    with pytest.raises(InputError, match=r"has 10 planes.*declares 5"):
        open_volume(tmp_path / "brain.tif")


@pytest.mark.parametrize(
    ("data", "options", "message"),
    [
        (np.zeros((9, 9, 3), "u1"), {"photometric": "rgb"}, "3 samples per pixel, a colour"),
        (np.zeros((5, 9, 9, 4), "u1"), {"photometric": "rgb"}, "4 samples per pixel"),
        (np.zeros((3, 9, 9), "u1"), {"photometric": "rgb", "planarconfig": 2}, "3 samples"),
        (np.zeros((5, 9, 9), bool), {}, "1-bit samples"),
        (np.zeros((5, 9, 9), "c8"), {}, "64-bit samples of TIFF format 6"),
        (np.zeros((2, 5, 9, 9), "u2"), {}, r"\(2, 5, 9, 9\) without names of its axes"),
        (np.zeros((2, 5, 9, 9), "u2"), {"metadata": {"axes": "TZYX"}}, "2 time points"),
        (np.zeros((2, 5, 9, 9), "u2"), {"metadata": {"axes": "QZYX"}}, "without names of its axes"),
        (np.zeros((5, 9, 9), "u2"), {"imagej": True, "metadata": {"axes": "TYX"}}, "5 time points"),
        (np.zeros((5, 9, 9), "u2"), {"ome": True, "metadata": {"axes": "TYX"}}, "5 time points"),
        (np.zeros((5, 9, 9), "u2"), {"imagej": True}, "5 channels.*If these are planes in z"),
    ],
)
def test_refuses_what_is_not_a_grey_stack(tmp_path, data, options, message):
    with pytest.raises(InputError, match=message):
        open_volume(write(tmp_path / "brain.tif", data, **options))


def test_names_a_codec_that_is_not_installed(tmp_path):
    path = write(tmp_path / "brain.tif", compression="zlib")
    set_tag(path, 259, 5)
    try:
        import imagecodecs  # noqa: F401
    except ImportError:
        with pytest.raises(EnvironmentProblem, match=r"LZW.*pip install imagecodecs"):
            open_volume(path)
    else:
        with pytest.raises(InputError, match="LZW"):
            open_volume(path)


@pytest.mark.parametrize("code", [7, 34712, 99])
def test_refuses_unsupported_codecs(tmp_path, code):
    path = write(tmp_path / "brain.tif", compression="zlib")
    set_tag(path, 259, code)
    with pytest.raises(InputError, match=f"scheme {code}; expected none or one of Deflate"):
        open_volume(path)


def test_opens_many_pages_quickly(tmp_path):
    path = write(tmp_path / "brain.tif", np.zeros((5000, 4, 5), "u2"), compression="zlib")
    begin = time.perf_counter()
    assert open_volume(path).shape == (5000, 4, 5)
    assert time.perf_counter() - begin < 5  # about 0.3 s on a quiet core
