"""Voxels that no file holds, and cubes that reach into them."""

import itertools

import numpy as np
import pytest
import zarr

from cfzoo.runtime.volume import open_volume
from cfzoo.runtime.volume.ome_zarr.chunk_files import ChunkFiles
from cfzoo.runtime.volume.ome_zarr.gaps import GapFinder

ALL = (slice(None),) * 3
CHUNK = (2, 4, 5)
KINDS = {
    "2 .": {"version": 2},
    "2 /": {"version": 2, "chunk_key_encoding": {"name": "v2", "separator": "/"}},
    "3 /": {},
    "3 v2 .": {"chunk_key_encoding": {"name": "v2", "separator": "."}},
    "shards": {"shards": (4, 8, 10)},
    "shards, index first": {
        "chunks": (4, 8, 10),
        "serializer": zarr.codecs.ShardingCodec(
            chunk_shape=CHUNK, codecs=[zarr.codecs.BytesCodec()], index_location="start"
        ),
        "compressors": None,
    },
}
VOXELS = np.stack(np.indices((6, 12, 10)), -1).reshape(-1, 3)


def box(chunk):
    return tuple(slice(i * n, (i + 1) * n) for i, n in zip(chunk, CHUNK, strict=True))


@pytest.mark.parametrize("kind", KINDS)
def test_each_absent_chunk_is_found(write, data, kind):
    """Each chunk in turn; an inner chunk of a shard is absent if it was never written."""
    for number, chunk in enumerate(itertools.product(range(3), range(3), range(2))):
        if number % 4 and "shard" in kind:
            continue
        values = data.copy()
        values[box(chunk)] = 0
        volume = open_volume(write(**KINDS[kind], values=values, name=f"{chunk}.zarr"))
        expected = np.zeros(data.shape, bool)
        expected[box(chunk)] = True
        np.testing.assert_array_equal(volume.find_absent(VOXELS), expected[tuple(VOXELS.T)])
        np.testing.assert_array_equal(volume.read(*ALL), values)


@pytest.mark.parametrize("version", [2, 3])
def test_channels_are_looked_at_one_by_one(tmp_path, data, version):
    """Chunks may hold one channel or several."""
    for channels_per_chunk in (1, 2):
        values = np.stack([data, np.zeros_like(data), data])[None]
        array = zarr.create_array(
            tmp_path / f"{channels_per_chunk}.zarr",
            shape=values.shape,
            dtype="u2",
            chunks=(1, channels_per_chunk, *CHUNK),
            fill_value=0,
            zarr_format=version,
            dimension_names=("t", "c", "z", "y", "x") if version == 3 else None,
        )
        array[:] = values
        if version == 2:
            array.attrs["_ARRAY_DIMENSIONS"] = ["t", "c", "z", "y", "x"]
        absent = [
            open_volume(tmp_path / f"{channels_per_chunk}.zarr", channel=c).find_absent(VOXELS)
            for c in range(3)
        ]
        assert not absent[0].any() and not absent[2].any()
        assert absent[1].all() == (channels_per_chunk == 1)
        assert absent[1].any() == (channels_per_chunk == 1)
    volume = open_volume(tmp_path / "1.zarr", channel=1)
    volume.find_absent(VOXELS)
    assert "Only chunks of other channels are there" in volume.reason_for_absence
    assert not volume.find_absent(VOXELS[:0]).size


@pytest.mark.parametrize("kind", KINDS)
def test_cubes_that_reach_into_a_lost_chunk_are_found(write, data, kind):
    values = data.copy()
    values[box((1, 1, 0))] = 0
    volume = open_volume(write(**KINDS[kind], values=values))
    low = VOXELS - 2
    high = low + np.array((3, 4, 4))
    touches = np.array(
        [
            not values[tuple(slice(max(a, 0), b) for a, b in zip(*ends, strict=True))].all()
            for ends in zip(low, high, strict=True)
        ]
    )
    np.testing.assert_array_equal(volume.find_gaps(low, high), touches)
    assert volume.reason_for_absence
    assert not volume.find_gaps(low[:0], high[:0]).size


def test_chunks_that_a_writer_omitted_are_no_gaps(write, data):
    """The edge of a mask lies within a chunk: the voxels beside an omitted chunk are mostly 0."""
    values = data.copy()
    values[:, :5] = 0
    volume = open_volume(write(values=values))
    assert volume.find_absent(np.array([[0, 0, 0]])).all()
    assert not volume.find_gaps(VOXELS - 2, VOXELS + 2).any()


def test_an_undefined_chunk_is_always_a_gap(write, data, edit):
    values = data.copy()
    values[:, :5] = 0
    path = write(2, values=values)
    edit(path / ".zarray", {"fill_value": None})
    volume = open_volume(path)
    assert volume.find_gaps(np.array([[0, 3, 0]]), np.array([[2, 5, 2]])).all()
    assert not volume.find_gaps(np.array([[0, 5, 0]]), np.array([[2, 7, 2]])).any()


def test_nan_as_fill_value(write):
    values = np.full((6, 12, 10), np.nan, "f4")
    values[:, 5:] = 1
    volume = open_volume(write(values=values, fill_value=np.nan))
    assert volume.find_absent(np.array([[0, 0, 0]])).all()
    assert not volume.find_gaps(VOXELS - 2, VOXELS + 2).any()


def test_a_million_points_cost_one_look_at_each_chunk(write, monkeypatch):
    volume = open_volume(write())
    points = np.random.default_rng(0).integers(0, (6, 12, 10), (10**6, 3))
    looks = []
    measure = type(volume.source._files)._measure
    monkeypatch.setattr(
        type(volume.source._files),
        "_measure",
        lambda self, path: looks.append(path) or measure(self, path),
    )
    assert not volume.find_absent(points).any()
    assert len(looks) == len(set(looks)) == 18


def test_each_chunk_file_is_looked_for_once(write, data, monkeypatch):
    values = data.copy()
    values[box((1, 1, 0))] = 0
    volume = open_volume(write(values=values))
    sought = []
    measure = ChunkFiles._measure
    monkeypatch.setattr(ChunkFiles, "_measure", lambda s, p: sought.append(p) or measure(s, p))
    monkeypatch.setattr(GapFinder, "_is_gap", lambda *_: True)  # which reads
    some, low = VOXELS[::7], VOXELS - 2
    answers = [volume.find_absent(some), volume.find_gaps(low, low + 4), volume.find_absent(VOXELS)]
    assert len(sought) == len(set(sought)) == 18  # of all chunks
    for answer, expected in zip(answers, (some, None, VOXELS), strict=True):
        if expected is not None:
            np.testing.assert_array_equal(answer, values[tuple(expected.T)] == 0)
