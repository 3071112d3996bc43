"""The promises of `Volume` and of every kind of source."""

import os
import threading

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st

from cfzoo.runtime.errors import EnvironmentProblem, InputError
from cfzoo.runtime.volume import open_volume
from cfzoo.runtime.volume.source import Source

ALL = (slice(None),) * 3
DTYPES = ["u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f2", "f4", "f8"]


def stack(dtype="u2", shape=(5, 7, 9), seed=0):
    data = np.random.default_rng(seed).integers(0, 120, shape).astype(dtype)
    data[0, 0, 0] = np.iinfo(dtype).max if np.dtype(dtype).kind in "iu" else 0.5
    return data


def as_tiff(path, data):
    tifffile.imwrite(path.with_suffix(".tif"), data)
    return path.with_suffix(".tif")


def as_big_endian_tiff(path, data):
    tifffile.imwrite(path.with_suffix(".tif"), data, byteorder=">", bigtiff=True)
    return path.with_suffix(".tif")


def as_folder(path, data):
    path.mkdir()
    predictor = data.dtype.kind in "iu" and data.dtype.itemsize < 8  # else it needs imagecodecs
    for z, plane in enumerate(data):
        tifffile.imwrite(path / f"z{z}.tif", plane, compression="zlib", predictor=predictor)
    return path


def as_zarr(path, data):
    import zarr

    zarr.create_array(path, data=data, chunks=(2, 3, 4))
    return path


def as_array(path, data):
    return data.astype(data.dtype.newbyteorder(">"))


def as_memmap(path, data):
    np.save(path.with_suffix(".npy"), data)
    return np.load(path.with_suffix(".npy"), mmap_mode="r")


CHUNKS = {
    as_tiff: (1, 1, 9),
    as_big_endian_tiff: (1, 1, 9),
    as_folder: (1, 7, 9),
    as_zarr: (2, 3, 4),
    as_array: (1, 1, 1),
    as_memmap: (1, 1, 1),
}


@pytest.mark.parametrize("write", CHUNKS)
class TestSource:
    """The contract of `Source`, for every kind of source."""

    def test_inherits_the_contract(self, tmp_path, write):
        with open_volume(write(tmp_path / "brain", stack())) as volume:
            assert Source in type(volume.source).__mro__

    @pytest.mark.parametrize("dtype", DTYPES)
    def test_values_shape_and_native_dtype(self, tmp_path, write, dtype):
        data = stack(dtype)
        with open_volume(write(tmp_path / "brain", data)) as volume:
            assert (volume.shape, volume.dtype) == ((5, 7, 9), np.dtype(dtype))
            assert volume.dtype.isnative
            assert volume.source.shape == (5, 7, 9)
            assert volume.source.dtype.newbyteorder("=") == volume.dtype
            whole = volume.read(*ALL)
            assert whole.dtype.isnative
            np.testing.assert_array_equal(whole, data)
            box = slice(1, 4), slice(2, 5), slice(3, 9)
            np.testing.assert_array_equal(volume.read(*box), data[box])
            np.testing.assert_array_equal(volume.source.read(*box), data[box])

    @settings(max_examples=25, deadline=None)
    @given(bounds=st.tuples(*[st.tuples(st.integers(-2, 11), st.integers(-2, 11))] * 3))
    def test_a_box_is_exact_or_refused(self, tmp_path_factory, write, bounds):
        data = stack()
        box = tuple(slice(a, b) for a, b in bounds)
        with open_volume(write(tmp_path_factory.mktemp("box") / "brain", data)) as volume:
            if all(0 <= a <= b <= n for (a, b), n in zip(bounds, data.shape, strict=True)):
                np.testing.assert_array_equal(volume.read(*box), data[box])
            else:
                with pytest.raises(InputError, match=r"voxels along [zyx]; got"):
                    volume.read(*box)

    def test_chunks_are_what_a_voxel_costs(self, tmp_path, write):
        with open_volume(write(tmp_path / "brain", stack())) as volume:
            assert volume.chunks == volume.source.chunks == CHUNKS[write]

    def test_reads_in_another_thread(self, tmp_path, write):
        data, boxes = stack(), []
        with open_volume(write(tmp_path / "brain", data)) as volume:
            thread = threading.Thread(target=lambda: boxes.append(volume.read(*ALL)))
            thread.start()
            thread.join()
        np.testing.assert_array_equal(boxes[0], data)

    def test_threads_do_not_disturb_each_other(self, tmp_path, write):
        data, answers = stack(shape=(40, 16, 16)), []
        repeats = 5 if write is as_zarr else 50  # zarr takes some 30 ms per plane
        with open_volume(write(tmp_path / "brain", data)) as volume:

            def check(z):
                for _ in range(repeats):
                    plane = volume.read(slice(z, z + 1), *ALL[1:])[0]
                    answers.append((plane == data[z]).all())

            threads = [threading.Thread(target=check, args=(z,)) for z in range(8)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        assert len(answers) == 8 * repeats and all(answers)

    def test_closes_twice(self, tmp_path, write):
        volume = open_volume(write(tmp_path / "brain", stack()))
        volume.close()
        volume.close()


def test_refuses_steps():
    with pytest.raises(InputError, match="without step"):
        open_volume(stack()).read(slice(0, 4, 2), *ALL[1:])


def test_in_memory_is_the_array_in_native_order(tmp_path):
    data = stack("f4")
    assert open_volume(data).in_memory is data
    native = open_volume(as_array(None, data)).in_memory
    assert native.dtype.isnative
    np.testing.assert_array_equal(native, data)
    assert open_volume(as_memmap(tmp_path / "brain", data)).in_memory is None
    assert open_volume(as_tiff(tmp_path / "brain", data)).in_memory is None


def test_reads_dask_zarr_and_xarray(tmp_path):
    data = stack()
    import zarr

    array = zarr.create_array(tmp_path / "a.zarr", data=data, chunks=(2, 3, 4))
    assert open_volume(array).chunks == (2, 3, 4)
    np.testing.assert_array_equal(open_volume(array).read(*ALL), data)
    import dask.array

    dask = dask.array.from_array(data, chunks=(2, 4, 9))
    assert open_volume(dask).chunks == (2, 4, 9)
    np.testing.assert_array_equal(open_volume(dask).read(*ALL), data)
    import xarray

    volume = open_volume(xarray.DataArray(dask, dims=list("zyx")))
    assert volume.chunks == (2, 4, 9)
    np.testing.assert_array_equal(volume.read(*ALL), data)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (np.zeros((4, 4), "u2"), r"\(4, 4\).*z y x"),
        (np.zeros((2, 4, 4, 4), "u2"), r"\(2, 4, 4, 4\).*choose one channel"),
        (np.zeros((0, 4, 4), "u2"), "at least one voxel"),
        (np.zeros((4, 4, 4), bool), "bool.*expected integers or floats"),
        (np.zeros((4, 4, 4), complex), "complex128"),
        (np.zeros((4, 4, 4), "U3"), "<U3"),
        (np.zeros((4, 4, 4), object), "object"),
        ([[[1, 2]]], "Got a list; expected a TIFF stack"),
        (None, "NoneType"),
        (3, "int"),
    ],
)
def test_refuses_unusable_arrays(source, message):
    with pytest.raises(InputError, match=message):
        open_volume(source)


def test_reports_an_array_that_misbehaves():
    class Bad:
        shape, dtype = (3, 3, 3), np.dtype("u2")

        def __init__(self, value):
            self.value = value

        def __getitem__(self, key):
            if isinstance(self.value, Exception):
                raise self.value
            return self.value

    for value in (np.zeros((2, 3, 3), "u2"), np.zeros((3, 3, 3), "f4"), RuntimeError("gone\nfar")):
        with pytest.raises(InputError) as failure:
            open_volume(Bad(value)).read(*ALL)
        assert "\n" not in str(failure.value)
    with pytest.raises(EnvironmentProblem, match="too little memory"):
        open_volume(Bad(MemoryError())).read(*ALL)


def test_refuses_paths_that_are_not_a_volume(tmp_path):
    (tmp_path / "brain.nii").write_bytes(b"n+1")
    (tmp_path / "empty.tif").write_bytes(b"")
    (tmp_path / "text.tif").write_bytes(b"Dear reader, this is no image")
    (tmp_path / "folder").mkdir()
    (tmp_path / "dir.tif").mkdir()
    (tmp_path / "closed.tif").symlink_to(tmp_path / "closed.tif")
    os.mkfifo(tmp_path / "pipe.tif")
    for name, message in {
        "nothing.tif": "nothing.tif does not exist; expected a TIFF stack",
        "brain.nii": r"brain.nii is not of a kind.*\.zarr",
        "empty.tif": r"empty.tif is empty \(0 bytes\)",
        "text.tif": "text.tif is not a TIFF file: it begins with b'Dear'",
        "folder": "The folder folder holds no TIFF files",
        "dir.tif": "dir.tif holds no TIFF files",
        "closed.tif": "closed.tif",
        "pipe.tif": "pipe.tif is not of a kind",
        "zero\0.tif": "zero",
        "new\nline.tif": r"new\\nline.tif",
    }.items():
        with pytest.raises(InputError, match=message) as failure:
            open_volume(tmp_path / name)
        assert "\n" not in str(failure.value) and str(tmp_path) not in str(failure.value)


def test_an_absent_folder_is_named(tmp_path):
    with pytest.raises(InputError, match=r"There is no folder '.*absent\\nhere'\.") as failure:
        open_volume(tmp_path / "absent\nhere" / "brain.tif")
    assert "\n" not in str(failure.value)


def test_refuses_to_read_after_closing(tmp_path):
    volume = open_volume(as_tiff(tmp_path / "brain", stack()))
    volume.close()
    with pytest.raises(InputError, match="closed"):
        volume.read(*ALL)


def test_notices_a_file_that_shrinks_while_it_is_open(tmp_path):
    path = as_tiff(tmp_path / "brain", stack(shape=(5, 64, 64)))
    with open_volume(path) as volume:
        os.truncate(path, path.stat().st_size - 6000)
        with pytest.raises(InputError, match=r"brain.tif is cut short or damaged.*page \d"):
            volume.read(*ALL)


MUTANTS = {
    "plain": {},
    "zlib": {"compression": "zlib", "predictor": True, "rowsperstrip": 3},
    "tiled": {"tile": (16, 16)},
    "imagej": {"imagej": True, "metadata": {"axes": "ZYX", "spacing": 5, "unit": "um"}},
    "ome": {"ome": True, "metadata": {"axes": "ZYX"}},
    "big": {"bigtiff": True, "byteorder": ">"},
}


@pytest.mark.parametrize("kind", MUTANTS)
def test_mutated_bytes_give_an_error_or_a_consistent_volume(tmp_path, kind):
    path, rng = tmp_path / "brain.tif", np.random.default_rng(0)
    tifffile.imwrite(path, stack(), **MUTANTS[kind])
    original, refusals = path.read_bytes(), 0
    for _ in range(150):
        raw = bytearray(original)
        for _ in range(rng.integers(1, 4)):
            raw[rng.integers(len(raw))] = rng.integers(256)
        path.write_bytes(raw)
        try:
            with open_volume(path) as volume:
                # The number of planes is declared twice, so a mutation cannot change it unseen.
                assert volume.shape[0] == 5
                assert volume.read(*ALL).shape == volume.shape
        except (InputError, EnvironmentProblem) as error:
            refusals += 1
            assert "\n" not in str(error)
            assert "brain.tif" in str(error)
    assert refusals > 10
