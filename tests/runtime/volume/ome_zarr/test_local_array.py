"""Arrays of zarr and dask given from Python: the files behind them are checked as well."""

import dask.array
import numpy as np
import pytest
import zarr

from cfzoo.runtime.errors import InputError
from cfzoo.runtime.volume import open_volume

ALL = (slice(None),) * 3
OPENERS = {
    "zarr": zarr.open_array,
    "dask": dask.array.from_zarr,
    "dask of zarr": lambda path: dask.array.from_array(zarr.open_array(path)),
}


@pytest.mark.parametrize("opener", OPENERS)
def test_absent_and_damaged_chunks_are_noticed(write, data, opener):
    path = write()
    volume = open_volume(OPENERS[opener](path))
    np.testing.assert_array_equal(volume.read(*ALL), data)
    (path / "c" / "0" / "0" / "0").unlink()
    assert volume.find_absent(np.array([[0, 0, 0], [5, 5, 5]])).tolist() == [True, False]
    (path / "c" / "1" / "0" / "0").write_bytes(b"")
    with pytest.raises(InputError, match="The array: the chunk c/1/0/0 is cut short"):
        volume.read(*ALL)


@pytest.mark.parametrize("opener", OPENERS)
def test_shards_are_read_by_their_chunks(write, data, opener):
    volume = open_volume(OPENERS[opener](write(shards=(4, 8, 10))))
    assert volume.chunks == (2, 4, 5)
    np.testing.assert_array_equal(volume.read(*ALL), data)


def test_arrays_in_memory_and_changed_arrays_are_read_as_they_are(write, data):
    store = zarr.storage.MemoryStore()
    array = zarr.create_array(
        store, shape=data.shape, dtype="u2", chunks=(2, 4, 5), shards=(4, 8, 10)
    )
    array[:] = data
    volume = open_volume(array)
    assert volume.chunks == (2, 4, 5)
    np.testing.assert_array_equal(volume.read(*ALL), data)
    lazy = dask.array.from_zarr(write())
    np.testing.assert_array_equal(open_volume(lazy[1:, ::2]).read(*ALL), data[1:, ::2])
    np.testing.assert_array_equal(open_volume(lazy + 1).read(*ALL), data + 1)
    np.testing.assert_array_equal(open_volume(lazy[::-1]).read(*ALL), data[::-1])


def test_codecs_of_arrays_are_checked(write, edit):
    path = write(2)
    array = zarr.open_array(path)
    edit(path / ".zarray", {"filters": [{"id": "pickle"}]})
    with pytest.raises(InputError, match="'pickle'"):
        open_volume(array)
