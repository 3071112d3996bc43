"""TIFF stacks that are cut short or damaged."""

import os
import struct
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import tifffile

sys.path.insert(0, str(Path(__file__).parent))
from tiff_stacks import ALL, DATA, IMAGEJ, KINDS, read, set_tag, write

from cfzoo.runtime.errors import EnvironmentProblem, InputError
from cfzoo.runtime.volume import open_volume


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


@pytest.mark.parametrize("options", [{}, {"compression": "zlib"}])
def test_notices_on_opening_a_strip_that_leaves_the_file(tmp_path, options):
    path = write(tmp_path / "brain.tif", **options)
    with tifffile.TiffFile(path, mode="r+") as file:
        file.pages[3].tags[273].overwrite(path.stat().st_size - 10)
    with pytest.raises(InputError, match=r"strip or tile 0 of page 3 takes bytes \d+ to \d+"):
        open_volume(path)
