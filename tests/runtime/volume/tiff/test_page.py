"""Pages that are odd: what they mean, strips without lengths, sparse tiles."""

import numpy as np
import pytest
import tifffile

from cfzoo.runtime.errors import InputError
from cfzoo.runtime.volume import open_volume

ALL = (slice(None),) * 3
DATA = np.random.default_rng(0).integers(1, 2**16, (5, 40, 50), "u2")


def read(path):
    with open_volume(path) as volume:
        return volume.read(*ALL)


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("big", [False, True])
def test_infers_the_lengths_of_uncompressed_strips(tmp_path, build_tiff, order, big):
    """StripByteCounts (tag 279) is left out by old writers; their strips have to be whole."""
    tags = {279: None}
    path = build_tiff(tmp_path / "one.tif", DATA, tags=tags, order=order, big=big)
    np.testing.assert_array_equal(read(path), DATA)
    raw = path.read_bytes()
    single = build_tiff(tmp_path / "cut.tif", DATA[:1], tags=tags | {273: (4, [len(raw)])})
    with pytest.raises(InputError, match=r"cut.tif is cut short.*takes bytes"):
        open_volume(single)


def test_infers_the_lengths_of_several_strips(tmp_path, build_tiff):
    row = 50 * 2
    tags = {279: None, 278: (3, [15]), 273: (4, [8, 8 + 15 * row, 8 + 30 * row])}
    np.testing.assert_array_equal(
        read(build_tiff(tmp_path / "brain.tif", DATA[:1], tags=tags)), DATA[:1]
    )


def test_refuses_compressed_strips_without_lengths(tmp_path, build_tiff):
    path = build_tiff(tmp_path / "brain.tif", DATA, tags={279: None, 259: (3, [8])})
    with pytest.raises(InputError, match="does not state the lengths of its compressed") as failure:
        open_volume(path)
    assert "cut short" not in str(failure.value)


@pytest.mark.parametrize(
    ("tags", "message"),
    [
        ({262: (3, [0])}, "0 is white"),
        ({262: (3, [2])}, "a colour image"),
        ({262: (3, [3])}, "a palette"),
        ({262: (3, [3]), 320: (3, [*range(255, -1, -1)] * 3)}, "a palette"),
        ({262: (3, [3]), 320: (3, [0] * 767)}, "a palette"),
        ({262: (3, [4])}, "PhotometricInterpretation 4"),
        ({262: (3, [32844])}, "PhotometricInterpretation 32844"),
        ({254: (4, [1])}, "marked as a thumbnail"),
        ({254: (4, [4])}, "marked as a mask"),
        ({255: (3, [2])}, "marked as a thumbnail"),
        ({274: (3, [4])}, "Orientation 4; expected 1, rows from the top"),
        ({274: (3, [6])}, "Orientation 6"),
        ({266: (3, [2])}, "FillOrder 2"),
        ({32997: (4, [5])}, "ImageDepth 5"),
        ({317: (3, [2])}, "not compressed but uses TIFF predictor 2"),
        ({317: (3, [3])}, "not compressed but uses TIFF predictor 3"),
        ({317: (3, [2]), 259: (3, [8]), 339: (3, [3]), 258: (3, [32])}, "predictor 2 for float32"),
        ({259: (3, [6])}, "scheme 6"),
        ({259: (3, [7])}, "scheme 7"),
        ({259: (3, [34712])}, "scheme 34712"),
        ({259: (3, [34887])}, "scheme 34887"),
        ({277: (3, [3])}, "3 samples per pixel"),
        ({258: (3, [12])}, "12-bit samples"),
        ({339: (3, [4])}, "16-bit samples of TIFF format 4"),
        ({33629: (4, [1, 2])}, "MetaMorph STK"),
        ({34412: (1, [1])}, "Zeiss LSM"),
        ({279: (4, [0])}, "offset 8 and length 0"),
        ({279: (4, [3999])}, "has 3999 bytes, expected 4000"),
        ({278: (4, [0])}, "in strips or tiles of 0 x 50"),
        ({273: (2, b"abc")}, r"does not state where its data lie \(tag 273\)"),
    ],
)
def test_refuses_what_would_be_read_wrongly(tmp_path, build_tiff, tags, message):
    path = build_tiff(tmp_path / "brain.tif", DATA[:1], tags=tags)
    with pytest.raises(InputError, match=message) as failure:
        open_volume(path)
    assert "cut short" not in str(failure.value) and "\n" not in str(failure.value)


@pytest.mark.parametrize(
    "tags",
    [
        {262: None},
        {262: (3, [3]), 320: (3, [*range(0, 2**16, 257)] * 3)},  # a look-up table of ImageJ
        {274: (3, [1])},
        {254: (4, [2])},  # a page of many
        {33629: (4, [1])},  # a single plane of MetaMorph
        {284: (3, [2])},  # planar, of one sample
    ],
)
def test_reads_pages_that_look_odd_but_are_not(tmp_path, build_tiff, tags):
    data = DATA[:1].astype("u1") if 320 in tags else DATA[:1]
    np.testing.assert_array_equal(read(build_tiff(tmp_path / "a.tif", data, tags=tags)), data)


def test_reads_the_full_size_of_a_pyramid(tmp_path):
    def write(levels, **options):
        with tifffile.TiffWriter(tmp_path / "brain.tif") as file:
            for plane in DATA:
                file.write(plane, subifds=len(levels), metadata=None, contiguous=False)
                for level in levels:
                    file.write(level(plane), metadata=None, **options)
        return tmp_path / "brain.tif"

    path = write([lambda p: p[::2, ::2], lambda p: p[::4, ::4]], subfiletype=1)
    np.testing.assert_array_equal(read(path), DATA)
    np.testing.assert_array_equal(read(write([lambda p: p[::2, ::2]])), DATA)
    with pytest.raises(InputError, match="another image of its size behind it"):
        open_volume(write([lambda p: p]))


class TestSparse:
    """Tiles that a writer left out: offset 0, length 0."""

    TILES = (slice(16, 32), slice(32, 48)), (slice(0, 16), slice(0, 16))

    def write(self, path, options):
        """Write planes without the tiles 6 and 0 of plane 1, and return what they hold."""
        big = options.pop("bigtiff", False)
        with tifffile.TiffWriter(path, bigtiff=big) as file:
            for plane in DATA:
                file.write(plane, tile=(16, 16), metadata=None, contiguous=False, **options)
        with tifffile.TiffFile(path, mode="r+") as file:
            page = file.pages[1]
            for code in (324, 325):
                values = [*page.tags[code].value]
                for k in (6, 0):
                    values[k] = 0
                page.tags[code].overwrite(values)
        data = DATA.copy()
        for y, x in self.TILES:
            data[1, y, x] = 0
        return data

    @pytest.mark.parametrize("options", [{}, {"compression": "zlib"}, {"bigtiff": True}])
    def test_reads_zeros_there_and_says_where(self, tmp_path, options):
        data = self.write(tmp_path / "brain.tif", dict(options))
        with open_volume(tmp_path / "brain.tif") as volume:
            np.testing.assert_array_equal(volume.read(*ALL), data)
            box = slice(0, 4), slice(10, 20), slice(30, 50)
            np.testing.assert_array_equal(volume.read(*box), data[box])
            points = np.argwhere(np.ones(DATA.shape, bool))
            assert np.array_equal(volume.find_absent(points), (data == 0)[tuple(points.T)])
            assert "sparse" in volume.reason_for_absence

    def test_says_where_in_a_folder_of_planes(self, tmp_path):
        data = self.write(tmp_path / "brain.tif", {})
        folder = tmp_path / "planes"
        folder.mkdir()
        for z, plane in enumerate(DATA):
            tifffile.imwrite(folder / f"z{z}.tif", plane, tile=(16, 16), metadata=None)
        with tifffile.TiffFile(folder / "z1.tif", mode="r+") as file:
            for code in (324, 325):
                values = [*file.pages[0].tags[code].value]
                values[6] = values[0] = 0
                file.pages[0].tags[code].overwrite(values)
        with open_volume(folder) as volume:
            np.testing.assert_array_equal(volume.read(*ALL), data)
            points = np.argwhere(np.ones(DATA.shape, bool))
            assert np.array_equal(volume.find_absent(points), (data == 0)[tuple(points.T)])

    def test_accepts_a_first_page_without_data(self, tmp_path):
        # With its shape, which tifffile writes; else the data left behind would be lost planes.
        tifffile.imwrite(tmp_path / "brain.tif", DATA, tile=(16, 16))
        with tifffile.TiffFile(tmp_path / "brain.tif", mode="r+") as file:
            for code in (324, 325):
                file.pages[0].tags[code].overwrite([0] * 12)
        with open_volume(tmp_path / "brain.tif") as volume:
            assert not volume.read(slice(0, 1), *ALL[1:]).any()
            assert volume.find_absent(np.array([[0.0, 1, 1], [1, 1, 1]])).tolist() == [True, False]

    def test_refuses_a_tile_with_a_length_but_no_place(self, tmp_path):
        tifffile.imwrite(tmp_path / "brain.tif", DATA, tile=(16, 16), metadata=None)
        with tifffile.TiffFile(tmp_path / "brain.tif", mode="r+") as file:
            values = [*file.pages[0].tags[324].value]
            file.pages[0].tags[324].overwrite([0, *values[1:]])
        with pytest.raises(InputError, match="offset 0 and length 512, expected both or neither"):
            open_volume(tmp_path / "brain.tif")


@pytest.mark.parametrize(
    ("options", "chunk"),
    [
        ({}, (1, 1, 50)),
        ({"rowsperstrip": 7}, (1, 1, 50)),
        ({"compression": "zlib"}, (1, 40, 50)),
        ({"compression": "zlib", "rowsperstrip": 7}, (1, 7, 50)),
        ({"tile": (16, 32)}, (1, 16, 32)),
        ({"tile": (16, 32), "compression": "zlib"}, (1, 16, 32)),
        ({"tile": (64, 64), "compression": "zlib"}, (1, 40, 50)),
        ({"imagej": True, "truncate": True, "metadata": {"axes": "ZYX"}}, (1, 1, 50)),
    ],
)
def test_chunks_are_what_has_to_be_decoded_for_one_voxel(tmp_path, options, chunk):
    tifffile.imwrite(tmp_path / "brain.tif", DATA, **options)
    assert open_volume(tmp_path / "brain.tif").chunks == chunk
    (tmp_path / "planes").mkdir()
    options = {key: value for key, value in options.items() if key not in ("imagej", "metadata")}
    for z, plane in enumerate(DATA):
        tifffile.imwrite(tmp_path / "planes" / f"z{z}.tif", plane, **options)
    assert open_volume(tmp_path / "planes").chunks == chunk
