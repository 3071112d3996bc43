"""OME-Zarr and plain zarr arrays: values, metadata, damage."""

import json
import shutil
import sys

import numcodecs
import numpy as np
import pytest
import zarr

from cfzoo.runtime.errors import EnvironmentProblem, InputError
from cfzoo.runtime.volume import open_volume

ALL = (slice(None),) * 3
DATA = np.random.default_rng(0).integers(1, 2**16, (5, 7, 9), "u2")
LEVEL = {"path": "0", "coordinateTransformations": [{"type": "scale", "scale": [5, 2, 2]}]}
AXES = [{"name": n, "type": "space", "unit": "micrometer"} for n in "zyx"]


def write(path, data=DATA, version=3, **multiscale):
    group = zarr.create_group(path, zarr_format=version, overwrite=True)
    options = {"shards": (4, 6, 8)} if version == 3 and data.ndim == 3 else {}
    chunks = (1,) * (data.ndim - 3) + (2, 3, 4)
    array = group.create_array(
        "0", shape=data.shape, dtype=data.dtype, chunks=chunks, fill_value=0, **options
    )
    array[:] = data
    level0 = multiscale.pop("level", LEVEL)
    image = {"multiscales": [{"axes": AXES, "datasets": [level0], **multiscale}]}
    group.attrs.update(image if version == 2 else {"ome": image})
    return path


@pytest.mark.parametrize("version", [2, 3])
def test_reads_an_ome_zarr(tmp_path, version):
    with open_volume(write(tmp_path / "brain.zarr", version=version)) as volume:
        assert (volume.shape, volume.dtype) == ((5, 7, 9), np.dtype("u2"))
        assert volume.chunks == (2, 3, 4)  # inside shards in format 3
        assert volume.voxel_size == (5, 2, 2)
        np.testing.assert_array_equal(volume.read(*ALL), DATA)
        np.testing.assert_array_equal(
            volume.read(slice(1, 3), slice(2, 6), slice(8, 9)), DATA[1:3, 2:6, 8:9]
        )


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("dtype", ["<f4", ">f4", ">u2", ">f8"])
def test_reads_a_plain_array_of_any_byte_order(tmp_path, version, dtype):
    array = zarr.create_array(
        tmp_path / "a", shape=DATA.shape, dtype=dtype, chunks=(2, 3, 4), zarr_format=version
    )
    array[:] = DATA
    volume = open_volume(tmp_path / "a")  # recognised without the suffix
    assert volume.dtype.isnative and volume.read(*ALL).dtype.isnative
    np.testing.assert_array_equal(volume.read(*ALL), DATA.astype(dtype))
    assert volume.voxel_size is None


def test_reads_the_array_inside_an_ome_zarr(tmp_path):
    path = write(tmp_path / "brain.zarr")
    assert open_volume(path / "0").shape == (5, 7, 9)


def test_multiplies_the_scales_of_level_and_image(tmp_path):
    def size(**multiscale):
        return open_volume(write(tmp_path / "brain.zarr", **multiscale)).voxel_size

    twice = [{"type": "scale", "scale": [2, 0.5, 0.5]}]
    assert size(coordinateTransformations=twice) == (10, 1, 1)
    assert size(axes=[a | {"unit": "millimeter"} for a in AXES]) is None  # 5 mm: implausible
    assert size(axes=[{"name": n, "type": "space"} for n in "zyx"]) is None
    assert size(axes=list("zyx")) is None
    assert size(level={"path": "0"}) is None
    nanometres = {
        **LEVEL,
        "coordinateTransformations": [{"type": "scale", "scale": [5000, 2000, 2000]}],
    }
    assert size(axes=[a | {"unit": "nanometer"} for a in AXES], level=nanometres) == (5, 2, 2)


def test_reads_the_chosen_channel(tmp_path):
    data = np.stack([DATA, DATA // 2])[None]
    level = {
        "path": "0",
        "coordinateTransformations": [{"type": "scale", "scale": [1, 1, 5, 2, 2]}],
    }
    axes = [{"name": "t", "type": "time"}, {"name": "c", "type": "channel"}, *AXES]
    path = write(tmp_path / "brain.zarr", data, axes=axes, level=level)
    with pytest.raises(InputError, match=r"2 channels; .*--channel 0 .*--background-channel"):
        open_volume(path)
    for channel in (0, 1):
        volume = open_volume(path, channel=channel)
        np.testing.assert_array_equal(volume.read(*ALL), data[0, channel])
        assert volume.voxel_size == (5, 2, 2)
    for channel in (2, -1):
        with pytest.raises(InputError, match="Choose from 0 to 1"):
            open_volume(path, channel=channel)
    path = write(tmp_path / "time.zarr", data.swapaxes(0, 1), axes=axes, level=level)
    with pytest.raises(InputError, match="2 positions along its axis 't'"):
        open_volume(path)


@pytest.mark.parametrize(
    ("multiscale", "message"),
    [
        ({"axes": [AXES[2], AXES[1], AXES[0]]}, "axes x y z; expected z y x"),
        ({"axes": AXES[:2]}, "3 axes, but names"),
        ({"axes": [AXES[0]] * 3}, "3 axes, but names"),
        ({"axes": 7}, "metadata"),
        ({"axes": [{}] * 3}, "metadata"),
        ({"level": {"path": "../other"}}, "metadata"),
        ({"level": {"path": "1"}}, "metadata"),
        ({"level": {}}, "metadata"),
        ({"level": "0"}, "metadata"),
        ({"datasets": []}, "metadata"),
        ({"level": {"path": "0", "coordinateTransformations": [{"type": "scale"}]}}, "metadata"),
    ],
)
def test_refuses_unusable_metadata(tmp_path, multiscale, message):
    with pytest.raises(InputError, match=message):
        open_volume(write(tmp_path / "brain.zarr", **multiscale))


def test_refuses_groups_and_arrays_without_names(tmp_path):
    zarr.create_group(tmp_path / "g.zarr").create_array("raw", data=DATA)
    with pytest.raises(InputError, match=r"without an OME image.*it holds raw"):
        open_volume(tmp_path / "g.zarr")
    zarr.create_array(tmp_path / "four.zarr", data=DATA[None])
    with pytest.raises(InputError, match="4 axes without names"):
        open_volume(tmp_path / "four.zarr")
    zarr.create_array(tmp_path / "xyz.zarr", data=DATA, dimension_names=("x", "y", "z"))
    with pytest.raises(InputError, match="axes x y z"):
        open_volume(tmp_path / "xyz.zarr")
    zarr.create_array(tmp_path / "bool.zarr", data=DATA > 9)
    with pytest.raises(InputError, match="bool"):
        open_volume(tmp_path / "bool.zarr")
    (tmp_path / "empty.zarr").mkdir()
    with pytest.raises(InputError, match=r"empty.zarr cannot be opened"):
        open_volume(tmp_path / "empty.zarr")


def test_refuses_two_axes(tmp_path):
    zarr.create_array(tmp_path / "flat.zarr", data=DATA[0])
    with pytest.raises(InputError, match="expected three, z y x"):
        open_volume(tmp_path / "flat.zarr")


def test_mutated_metadata_give_an_error_or_a_consistent_volume(tmp_path):
    path, rng = write(tmp_path / "brain.zarr"), np.random.default_rng(0)
    for file in (path / "zarr.json", path / "0" / "zarr.json"):
        raw = file.read_bytes()
        for _ in range(60):
            mutant = bytearray(raw)
            mutant[rng.integers(len(raw))] = rng.integers(256)
            file.write_bytes(mutant if rng.random() < 0.7 else raw[: rng.integers(len(raw))])
            try:
                volume = open_volume(path)
                if np.prod(volume.shape) < 10**6:
                    assert volume.read(*ALL).shape == volume.shape
            except (InputError, EnvironmentProblem) as error:
                assert "\n" not in str(error)
        file.write_bytes(raw)


@pytest.mark.parametrize(
    ("version", "codec"),
    [*((v, c) for v in (2, 3) for c in ("blosc", "zstd", "none")), (3, "shards")],
)
def test_notices_a_truncated_chunk(tmp_path, version, codec):
    """zarr itself does not notice truncation with Blosc, the default of zarr format 2."""
    compressors = {
        "blosc": numcodecs.Blosc() if version == 2 else zarr.codecs.BloscCodec(),
        "zstd": numcodecs.Zstd() if version == 2 else zarr.codecs.ZstdCodec(),
    }
    data = DATA // 1000
    array = zarr.create_array(
        tmp_path / "brain.zarr",
        shape=data.shape,
        dtype=data.dtype,
        chunks=(3, 4, 5),
        shards=(3, 8, 10) if codec == "shards" else None,
        compressors=compressors.get(codec),
        zarr_format=version,
    )
    array[:] = data
    files = [f for f in (tmp_path / "brain.zarr").rglob("*") if f.is_file()]
    chunks = sorted(f for f in files if f.name[0] != "." and f.name != "zarr.json")
    volume = open_volume(tmp_path / "brain.zarr")
    np.testing.assert_array_equal(volume.read(*ALL), data)
    raw = chunks[0].read_bytes()
    for length in {0, 1, 15, 16, 17, len(raw) // 2, len(raw) - 1}:
        chunks[0].write_bytes(raw[:length])
        with pytest.raises(InputError, match=r"brain\.zarr"):
            volume.read(*ALL)
        if codec in ("blosc", "shards") and length == 0:
            with pytest.raises(InputError, match=r"the chunk .*0.0.0 is cut short"):
                volume.read(*ALL)
    chunks[0].write_bytes(raw)
    np.testing.assert_array_equal(volume.read(*ALL), data)


def test_names_a_codec_that_is_not_installed(tmp_path, monkeypatch):
    path = write(tmp_path / "brain.zarr", version=2)
    file = path / "0" / ".zarray"
    description = json.loads(file.read_text())
    description["compressor"] = {"id": "pcodec"}
    file.write_text(json.dumps(description))
    monkeypatch.delitem(numcodecs.registry.codec_registry, "pcodec", raising=False)
    with pytest.raises(EnvironmentProblem, match="codec that is not installed"):
        open_volume(path)


def test_names_the_missing_package(tmp_path, monkeypatch):
    path = write(tmp_path / "brain.zarr")
    monkeypatch.setitem(sys.modules, "zarr", None)
    with pytest.raises(EnvironmentProblem, match=r"pip install 'cfzoo\[zarr\]'"):
        open_volume(path)


def test_an_absent_chunk_has_the_fill_value(tmp_path):
    path = write(tmp_path / "brain.zarr")
    shutil.rmtree(path / "0" / "c")
    assert not open_volume(path).read(*ALL).any()
