"""Threads that read: the same batches, each chunk decoded once, errors and ends as with one."""

import itertools
import threading
import time
import tracemalloc
import zlib

import numpy as np
import pytest
import tifffile
import zarr

from cfzoo.runtime.cubes import (
    CubeSpec,
    Grid,
    measure_pieces,
    measure_tiles,
    neighbourhoods,
    pieces,
    read_batches,
    tiles,
    window,
)
from cfzoo.runtime.errors import InputError
from cfzoo.runtime.volume import open_volume
from cfzoo.runtime.volume.tiff import block_cache, pages

SHAPE = (24, 120, 140)
DATA = np.random.default_rng(0).integers(0, 4000, SHAPE).astype(np.uint16)
STARTS = np.random.default_rng(1).integers((-2, -3, -4), np.array(SHAPE) - 3, (150, 3))
GRID = Grid((5, 7, 9), (5, 7, 9), (None, None, None))
KINDS = {
    "strips": {"compression": "zlib", "rowsperstrip": 16},
    "lzw": {"compression": "lzw", "predictor": True, "rowsperstrip": 7},
    "tiles": {"compression": "zlib", "tile": (32, 48)},
    "one strip": {"compression": "zlib", "rowsperstrip": 120},
    "plain": {},
}


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch):
    """Many pieces, each of a few chunks, and blocks that count as large."""
    monkeypatch.setattr(pieces, "READ_BYTES", 12_000)
    monkeypatch.setattr(neighbourhoods, "CELL_VOXELS", 16)
    monkeypatch.setattr(neighbourhoods, "CELL_BYTES", 6_000)
    monkeypatch.setattr(block_cache, "_LARGE", 20_000)


@pytest.fixture(scope="module")
def paths(tmp_path_factory):
    folder = tmp_path_factory.mktemp("volumes")
    for name, options in KINDS.items():
        tifffile.imwrite(folder / f"{name}.tif", DATA, metadata=None, **options)
    (folder / "planes").mkdir()
    for z, plane in enumerate(DATA):
        tifffile.imwrite(folder / "planes" / f"{z:03}.tif", plane, **KINDS["strips"])
    zarr.create_array(folder / "chunks.zarr", data=DATA, chunks=(8, 32, 32))
    names = {name: f"{name}.tif" for name in KINDS} | {"planes": "planes", "zarr": "chunks.zarr"}
    return {name: folder / path for name, path in names.items()}


@pytest.fixture(params=["ring", "boxes"])
def keeps(request, monkeypatch):
    """Whether the planes of a tile are kept, or boxes around its points."""
    if request.param == "boxes":
        monkeypatch.setattr(tiles, "SMALL_WINDOW", -1)
        monkeypatch.setattr(tiles, "measure_neighbourhoods", lambda *_: 0)
    return request.param


def read_all(volume, readers, window_bytes=2**28, starts=STARTS):
    index = np.arange(len(starts))
    return list(read_batches([volume], [CubeSpec(GRID, starts)], index, 16, window_bytes, readers))


def threads_of_decoding():
    return [t for t in threading.enumerate() if t.name.startswith("cfzoo-decode")]


@pytest.mark.parametrize("kind", [*KINDS, "planes", "zarr"])
def test_batches_do_not_depend_on_the_number_of_readers(paths, keeps, kind):
    padded = np.pad(DATA, [(9, 9)] * 3, mode="edge")
    with open_volume(paths[kind]) as volume:
        for window_bytes in (2**28, 60_000):
            one, several = (read_all(volume, readers, window_bytes) for readers in (1, 4))
            assert len(one) == len(several)
            for a, b in zip(one, several, strict=True):
                np.testing.assert_array_equal(a.index, b.index)
                np.testing.assert_array_equal(a.blocks[0], b.blocks[0])
                for row, cube in zip(b.index, b.blocks[0][:, 0], strict=True):
                    z, y, x = STARTS[row] + 9
                    expected = padded[z : z + 5, y : y + 7, x : x + 9]
                    np.testing.assert_array_equal(cube, expected)
    assert not threads_of_decoding()


@pytest.mark.parametrize("kind", ["strips", "lzw", "tiles", "one strip"])
def test_only_the_blocks_that_points_need_are_decoded_and_each_once(
    paths, keeps, kind, monkeypatch
):
    blocks, decode = [], pages.decode
    monkeypatch.setattr(pages, "decode", lambda *args: blocks.append(1) or decode(*args))
    starts = STARTS[(STARTS[:, 0] > 3) & (STARTS[:, 0] < 12)]  # planes 4 to 15
    with open_volume(paths[kind]) as volume:
        counts = []
        for readers in (1, 4):
            blocks.clear()
            read_all(volume, readers, starts=starts)
            counts.append(len(blocks))
        rows, columns = volume.chunks[1:]
        all_blocks = 12 * -(-SHAPE[1] // rows) * -(-SHAPE[2] // columns)
    assert counts[0] == counts[1] <= all_blocks
    if keeps == "ring":
        assert counts[0] == all_blocks


class Meeting:
    """A volume whose first reads go on only when all of them have begun."""

    dtype, in_memory, keeps_block, name = np.dtype(np.uint16), None, False, "meeting"
    shape, chunks = SHAPE, (1, 16, SHAPE[2])

    def __init__(self, parties):
        self.barrier = threading.Barrier(parties)
        self.begun = itertools.count()

    def read(self, z, y, x):
        if next(self.begun) < self.barrier.parties:
            self.barrier.wait(timeout=20)  # a `BrokenBarrierError` where too few threads come
        return DATA[z, y, x]


def test_as_many_threads_as_readers_decode_at_the_same_time(keeps):
    volume = Meeting(3)
    read_all(volume, 3)
    assert next(volume.begun) > 3


def test_pieces_are_read_ahead_and_no_further(keeps):
    reads, release = [], threading.Event()

    class Slow(Meeting):
        def read(self, z, y, x):
            reads.append(z.start)
            release.wait(20)
            return DATA[z, y, x]

    batches = read_batches([Slow(1)], [CubeSpec(GRID, STARTS)], np.arange(150), 16, 2**28, 3)
    thread = threading.Thread(target=next, args=(batches,))
    thread.start()
    time.sleep(0.3)
    assert len(reads) == 3  # one for each thread; a fourth piece waits
    release.set()
    thread.join()
    batches.close()
    assert not threads_of_decoding()


@pytest.mark.parametrize("readers", [1, 4])
def test_the_first_fault_along_the_planes_is_reported_and_the_threads_end(
    tmp_path, paths, keeps, readers
):
    path = tmp_path / "damaged.tif"
    path.write_bytes(paths["strips"].read_bytes())
    with tifffile.TiffFile(path) as file, path.open("r+b") as raw:
        for page in (file.pages[7], file.pages[6], file.pages[9]):
            raw.seek(page.dataoffsets[3] + 20)
            raw.write(bytes(20))
    with open_volume(path) as volume, pytest.raises(InputError, match="strip or tile 3 of page 6"):
        read_all(volume, readers)
    assert not threads_of_decoding()


def test_a_consumer_that_stops_ends_the_threads(paths, keeps):
    with open_volume(paths["strips"]) as volume:
        batches = read_batches([volume], [CubeSpec(GRID, STARTS)], np.arange(150), 16, 2**28, 4)
        next(batches)
        assert threads_of_decoding()
        batches.close()
        assert not threads_of_decoding()


def test_pieces_are_whole_chunks_of_a_few_megabytes(monkeypatch):
    monkeypatch.setattr(pieces, "READ_BYTES", 2**22)
    volume = Meeting(1)
    for shape, chunks, expected in (
        ((300, 5000, 6000), (1, 21, 6000), (336, 6000)),  # 4.0 MB
        ((300, 5000, 6000), (1, 5000, 6000), (5000, 6000)),
        ((300, 5000, 6000), (64, 64, 64), (64, 512)),  # 8 chunks of the 94 along x
        ((300, 5000, 6000), (1, 256, 256), (256, 6144)),
    ):
        volume.shape, volume.chunks = shape, chunks
        rows, columns = window.piece_shape(volume, chunks[0], shape[2])
        assert (rows, columns) == expected
        assert rows % chunks[1] == 0 and columns % chunks[2] == 0
        size = chunks[0] * rows * min(columns, shape[2]) * 2
        assert size <= max(2**22, 2 * np.prod(chunks))


def test_memory_of_pieces_grows_with_readers_and_chunks():
    volume = Meeting(1)
    volume.shape, volume.chunks = (300, 5000, 6000), (1, 5000, 6000)
    assert measure_pieces(volume, 1) == 3 * 60_000_000
    assert measure_pieces(volume, 4) == (3 * 4 + 5) * 60_000_000
    volume.chunks = (1, 21, 6000)
    assert measure_pieces(volume, 4) == (3 * 4 + 5) * 252_000  # more than READ_BYTES here
    volume.in_memory = DATA
    assert measure_pieces(volume, 4) == 0


@pytest.mark.parametrize("readers", [1, 3])
@pytest.mark.parametrize("boxes", [False, True])
def test_reading_takes_no_more_memory_than_was_estimated(tmp_path, boxes, readers, monkeypatch):
    if boxes:  # even where they take more than a ring
        monkeypatch.setattr(tiles, "SMALL_WINDOW", -1)
        monkeypatch.setattr(tiles, "SPARSE", 0)
    plane = np.random.default_rng(0).integers(0, 500, (400, 750)).astype(np.uint16)
    strip = zlib.compress(plane.tobytes())
    path, options = tmp_path / "large.tif", {"compression": "zlib", "rowsperstrip": 400}
    with tifffile.TiffWriter(path) as writer:
        for _ in range(14):
            strips = iter([strip])
            writer.write(strips, shape=(400, 750), dtype="u2", metadata=None, **options)
    starts = np.random.default_rng(1).integers(0, (9, 390, 740), (40, 3))
    with open_volume(path) as volume:
        specs, index = [CubeSpec(GRID, starts)], np.arange(40)
        data = measure_tiles([volume], specs, index) + measure_pieces(volume, readers)
        tracemalloc.start()
        for _ in read_batches([volume], specs, index, 16, readers=readers):
            pass
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert 0.2 * data < peak < data + 200_000  # of batches, pages and the like
