"""The stamp of a volume: it changes with the files, not with their place."""

import os
import shutil

import numpy as np
import pytest
import tifffile
import zarr

from cfzoo.runtime.errors import InputError
from cfzoo.runtime.volume import open_volume, stamp_volume
from cfzoo.runtime.volume.ome_zarr import ome_zarr

DATA = np.arange(8 * 20 * 30, dtype=np.uint16).reshape(8, 20, 30)


def stamp(path, **options):
    with open_volume(path, **options) as volume:
        return stamp_volume(volume)


def write_zarr(path):
    group = zarr.open_group(path, mode="w", zarr_format=2)
    group.create_array("0", data=DATA, chunks=(4, 10, 15), chunk_key_encoding={"name": "v2"})
    group.attrs["multiscales"] = [
        {
            "version": "0.4",
            "axes": [{"name": n, "type": "space", "unit": "micrometer"} for n in "zyx"],
            "datasets": [
                {
                    "path": "0",
                    "coordinateTransformations": [{"type": "scale", "scale": [5.0, 2.0, 2.0]}],
                }
            ],
        }
    ]


@pytest.fixture
def volumes(tmp_path):
    folder = tmp_path / "a"
    (folder / "planes").mkdir(parents=True)
    tifffile.imwrite(folder / "stack.tif", DATA)
    axes = {"axes": "ZCYX"}
    tifffile.imwrite(folder / "both.tif", np.stack([DATA, DATA], 1), imagej=True, metadata=axes)
    for z, plane in enumerate(DATA):
        tifffile.imwrite(folder / "planes" / f"z{z}.tif", plane)
    write_zarr(folder / "brain.zarr")
    return folder


@pytest.mark.parametrize("name", ["stack.tif", "planes", "brain.zarr"])
def test_a_copy_with_its_times_has_the_same_stamp(volumes, name):
    shutil.copytree(volumes, volumes.parent / "b")
    assert stamp(volumes / name) == stamp(volumes.parent / "b" / name)


def test_a_changed_file_changes_the_stamp(volumes):
    before = {name: stamp(volumes / name) for name in ("stack.tif", "planes", "brain.zarr")}
    os.utime(volumes / "stack.tif", ns=(0, 1))
    os.utime(volumes / "planes" / "z5.tif", ns=(0, 1))
    array = zarr.open_array(volumes / "brain.zarr" / "0")
    array[7, 19, 29] = 1
    assert not [name for name, stamp_ in before.items() if stamp(volumes / name) == stamp_]


def test_a_chunk_that_is_overwritten_in_place_changes_the_stamp(volumes, monkeypatch):
    path = volumes / "brain.zarr"
    chunk = next(path.glob("0/1.*"))
    folder = chunk.parent.stat().st_mtime_ns
    stamps = [stamp(path)]
    with chunk.open("r+b") as file:
        file.write(file.read(1))
    os.utime(chunk, ns=(0, 1))
    stamps.append(stamp(path))
    assert chunk.parent.stat().st_mtime_ns == folder
    assert stamps[0] != stamps[1]
    monkeypatch.setattr(ome_zarr, "MAX_LISTED", 3)  # then the folders alone count
    assert len({stamp(path), *stamps}) == 3


def test_channels_have_stamps_of_their_own(volumes):
    assert stamp(volumes / "both.tif", channel=0) != stamp(volumes / "both.tif", channel=1)


def test_an_array_has_none():
    with pytest.raises(InputError, match="is in no file"):
        stamp(DATA)
