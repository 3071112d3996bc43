"""TIFF stacks: values, numbers of planes, damage."""

import os
import struct
import time
import tracemalloc

import numpy as np
import pytest
import tifffile

from cfzoo.runtime.errors import EnvironmentProblem, InputError
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
    "kind",
    [
        "plain",
        "no text",
        "zlib tiles",
        "imagej",
        "ome",
        "bigtiff",
        "imagej, one page",
        "tifffile, one page",
        "packbits",
    ],
)
def test_notices_truncation_at_every_byte(tmp_path, kind):
    data = DATA[:4, :6, :7]
    path = write(tmp_path / "brain.tif", data, **KINDS[kind])
    harmless = 0
    for length in reversed(range(path.stat().st_size)):
        os.truncate(path, length)
        try:
            volume = open_volume(path)  # at once, not when the plane's turn comes
        except InputError as error:
            assert "brain.tif" in str(error) and "\n" not in str(error)
        else:
            harmless += 1
            with volume:
                np.testing.assert_array_equal(volume.read(*ALL), data)
    assert harmless <= 16  # padding at the end


def test_refuses_a_chain_of_pages_that_ends_early(tmp_path):
    """The end of the chain moved forward: structurally sound, but planes are lost."""
    for kind in ("plain", "imagej", "ome"):
        path = write(tmp_path / "brain.tif", **KINDS[kind])
        with tifffile.TiffFile(path) as file:
            page = file.pages[2]
            end = page.offset + 2 + 12 * len(page.tags)
        raw = bytearray(path.read_bytes())
        raw[end : end + 4] = bytes(4)
        path.write_bytes(raw)
        with pytest.raises(InputError, match=r"has 3 planes, but its .* declares 5"):
            open_volume(path)


@pytest.mark.parametrize("kind", ["no text", "zlib", "tiles", "bigtiff"])
@pytest.mark.parametrize("last", [0, 2, 3])
def test_notices_planes_to_which_no_page_leads(tmp_path, kind, last):
    """Without a text that counts the planes, the bytes left over show that some are lost."""
    data = np.random.default_rng(0).integers(0, 2**16, (5, 60, 70), "u2")
    path = write(tmp_path / "brain.tif", data, **KINDS[kind] | {"metadata": None})
    np.testing.assert_array_equal(read(path), data)
    with tifffile.TiffFile(path) as file:
        page, big = file.pages[last], file.is_bigtiff
        end = page.offset + (8 + 20 * len(page.tags) if big else 2 + 12 * len(page.tags))
    raw = bytearray(path.read_bytes())
    raw[end : end + 4 * (1 + big)] = bytes(4 * (1 + big))
    path.write_bytes(raw)
    with pytest.raises(InputError, match=r"many bytes that no page refers to|as many bytes again"):
        open_volume(path)


def test_notices_planes_behind_a_single_page(tmp_path):
    """The text that declares them is damaged, so they would be overlooked."""
    path = write(tmp_path / "brain.tif", **IMAGEJ | {"truncate": True})
    for damage in ((b"ImageJ=", b"ImageX="), (b"images=5", b"images=1"), (b"images", b"imagex")):
        raw = path.read_bytes().replace(b"slices=5", b"sli____5")
        path.write_bytes(raw.replace(*damage))
        with pytest.raises(InputError, match=r"declares 1 |declares no more planes"):
            open_volume(path)


def test_refuses_a_loop_of_pages(tmp_path):
    path = write(tmp_path / "brain.tif")
    with tifffile.TiffFile(path) as file:
        first, page = file.pages[0].offset, file.pages[-1]
        end = page.offset + 2 + 12 * len(page.tags)
    raw = bytearray(path.read_bytes())
    raw[end : end + 4] = struct.pack("<I", first)
    path.write_bytes(raw)
    with pytest.raises(InputError, match="the page after page 4 is an earlier one"):
        open_volume(path)


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


def set_tag(path, code, value):
    with tifffile.TiffFile(path, mode="r+") as file:
        for page in file.pages:
            page.tags[code].overwrite(value)


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


@pytest.mark.parametrize(
    "options",
    [{"rowsperstrip": 37}, *({"compression": codec} for codec in ("zlib", "lzw", "zstd"))],
)
@pytest.mark.parametrize("length", [36, 38, 2**31])
def test_notices_a_changed_height_without_any_declaration(tmp_path, options, length):
    path = write(tmp_path / "brain.tif", metadata=None, **options)
    set_tag(path, 257, length)
    set_tag(path, 278, length)
    with pytest.raises(
        (InputError, EnvironmentProblem), match=r"brain\.tif is (cut short or )?damaged"
    ):
        open_volume(path)


def test_names_the_damaged_plane(tmp_path):
    path = write(tmp_path / "brain.tif", compression="zlib")
    with tifffile.TiffFile(path) as file:
        offset = file.pages[3].dataoffsets[0] + 400
    raw = bytearray(path.read_bytes())
    raw[offset] ^= 0xFF
    path.write_bytes(raw)
    with open_volume(path) as volume:
        np.testing.assert_array_equal(volume.read(slice(0, 3), *ALL[1:]), DATA[:3])
        with pytest.raises(InputError, match=r"brain.tif.*strip or tile 0 of page 3 cannot be"):
            volume.read(*ALL)


def test_refuses_an_absent_strip(tmp_path):
    path = write(tmp_path / "brain.tif", compression="zlib", metadata=None)
    set_tag(path, 279, 0)
    with pytest.raises(InputError, match="strip or tile 0 of page 0"):
        open_volume(path)


@pytest.mark.parametrize("compression", ["zlib", "lzma"])
def test_refuses_a_strip_that_expands_beyond_its_plane(tmp_path, compression):
    data, options = np.zeros((1, 4096, 4096), "u2"), {"compression": compression}
    path = write(tmp_path / "bomb.tif", data, rowsperstrip=4096, metadata=None, **options)
    for code in (257, 278):
        set_tag(path, code, 1)
    tracemalloc.start()
    try:
        with pytest.raises(InputError, match=r"8193 or more bytes, expected 8192"):
            open_volume(path)
        # The strip expands to 34 MB; LZMA itself needs 8 MB.
        assert tracemalloc.get_traced_memory()[1] < 12e6
    finally:
        tracemalloc.stop()


def test_refuses_a_tag_of_unknown_type(tmp_path):
    """Without its SampleFormat, int16 would be read as uint16."""
    path = write(tmp_path / "brain.tif", DATA.view("i2"), metadata=None)
    with tifffile.TiffFile(path) as file:
        offsets = [page.tags[339].offset for page in file.pages]
    raw = bytearray(path.read_bytes())
    for offset in offsets:
        raw[offset + 2] = 99
    path.write_bytes(raw)
    with pytest.raises(InputError, match=r"page 0 has no tag 339 with a single whole number"):
        open_volume(path)


def test_opens_many_pages_quickly(tmp_path):
    path = write(tmp_path / "brain.tif", np.zeros((5000, 4, 5), "u2"), compression="zlib")
    begin = time.perf_counter()
    assert open_volume(path).shape == (5000, 4, 5)
    assert time.perf_counter() - begin < 5  # about 0.3 s on a quiet core


@pytest.mark.parametrize("options", [{}, {"compression": "zlib"}])
def test_notices_on_opening_a_strip_that_leaves_the_file(tmp_path, options):
    path = write(tmp_path / "brain.tif", **options)
    with tifffile.TiffFile(path, mode="r+") as file:
        file.pages[3].tags[273].overwrite(path.stat().st_size - 10)
    with pytest.raises(InputError, match=r"strip or tile 0 of page 3 takes bytes \d+ to \d+"):
        open_volume(path)
