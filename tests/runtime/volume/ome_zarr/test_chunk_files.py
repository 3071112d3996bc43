"""Chunk files that zarr would read as empty chunks, or as whole ones: each is named."""

import numpy as np
import pytest
import zarr

from cfzoo.runtime.errors import InputError
from cfzoo.runtime.volume import open_volume

ALL = (slice(None),) * 3
KEYS = {  # options of the array, and the file of its chunk (1, 1, 1)
    "2 .": ({"version": 2}, "1.1.1"),
    "2 /": ({"version": 2, "chunk_key_encoding": {"name": "v2", "separator": "/"}}, "1/1/1"),
    "3 /": ({}, "c/1/1/1"),
    "3 .": ({"chunk_key_encoding": {"name": "default", "separator": "."}}, "c.1.1.1"),
    "3 v2": ({"chunk_key_encoding": {"name": "v2", "separator": "/"}}, "1/1/1"),
}


def replace_by_link(chunk):
    chunk.unlink()
    chunk.symlink_to(chunk.parent / ".git" / "annex" / "objects" / "x")


def replace_by_loop(chunk):
    chunk.unlink()
    chunk.symlink_to(chunk)


def replace_by_folder(chunk):
    chunk.unlink()
    chunk.mkdir()


def replace_by_annex_pointer(chunk):
    chunk.write_bytes(b"/annex/objects/SHA256E-s1234--0123456789abcdef\n")


def replace_by_lfs_pointer(chunk):
    chunk.write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n")


def empty(chunk):
    chunk.write_bytes(b"")


DAMAGE = {
    replace_by_link: "is a link that leads nowhere. Fetch",
    replace_by_loop: "cannot be read|leads nowhere",
    replace_by_folder: "is not a file",
    replace_by_annex_pointer: "only stands for data kept elsewhere.*datalad get",
    replace_by_lfs_pointer: "only stands for data kept elsewhere.*git lfs pull",
    empty: "is cut short, it has 0 bytes",
}


@pytest.mark.parametrize("damage", DAMAGE, ids=lambda damage: damage.__name__)
@pytest.mark.parametrize("keys", KEYS)
def test_a_chunk_that_zarr_reads_as_empty_is_named(write, keys, damage):
    options, key = KEYS[keys]
    path = write(**options)
    damage(path / key)
    volume = open_volume(path)
    with pytest.raises(InputError, match=rf"brain\.zarr: the chunk {key} .*{DAMAGE[damage]}"):
        volume.read(*ALL)
    with pytest.raises(InputError, match=key):
        volume.find_absent(np.array([[2, 4, 5]]))
    assert not volume.find_absent(np.array([[0, 0, 0]])).any()
    volume.read(slice(0, 2), slice(0, 4), slice(0, 5))  # without this chunk


def test_a_folder_of_chunks_that_is_a_link_to_nowhere_is_named(write):
    path = write(**KEYS["3 /"][0])
    for file in (path / "c" / "1").rglob("*"):
        if file.is_file():
            file.unlink()
    (path / "c" / "1").rename(path / "elsewhere")
    (path / "c" / "1").symlink_to(path / "nowhere")
    with pytest.raises(InputError, match="the chunk c/1 is a link that leads nowhere"):
        open_volume(path).read(*ALL)
    (path / "c" / "1").unlink()
    (path / "c" / "1").write_text("")
    with pytest.raises(InputError, match=r"c/1/0/0 should lie in a folder, which is a file"):
        open_volume(path).read(*ALL)


def test_links_to_files_are_followed(write, data, tmp_path):
    path = write()
    (path / "c" / "1").rename(tmp_path / "elsewhere")
    (path / "c" / "1").symlink_to(tmp_path / "elsewhere")
    np.testing.assert_array_equal(open_volume(path).read(*ALL), data)


def test_a_chunk_that_may_not_be_read_is_named(write, monkeypatch):
    path = write()
    volume = open_volume(path)

    def refuse(self, **_):
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr("pathlib.Path.stat", refuse)
    with pytest.raises(InputError, match=r"the chunk c/0/0/0 cannot be read \(Permission denied\)"):
        volume.read(*ALL)


@pytest.mark.parametrize("codec", ["none", "blosc", "lz4", "zstd"])
def test_a_chunk_of_another_size_is_refused(write, codec):
    """A file that states more bytes than the chunk has would cost that much memory."""
    from numcodecs import LZ4, Blosc, Zstd

    options = {"none": None, "blosc": Blosc(), "lz4": LZ4(), "zstd": Zstd()}
    path = write(2, compressors=options[codec])
    large = np.zeros(2**20, "u1")
    compressor = options[codec]
    (path / "0.0.0").write_bytes(compressor.encode(large) if compressor else large.tobytes())
    with pytest.raises(InputError, match=r"the chunk 0.0.0 (holds more than|is cut short)"):
        open_volume(path).read(*ALL)


SHARDS = {"shards": (4, 8, 10), "compressors": zarr.codecs.BloscCodec()}


@pytest.mark.parametrize("location", ["start", "end"])
def test_every_damaged_byte_of_a_shards_index_is_noticed(write, data, location):
    codec = zarr.codecs.ShardingCodec(
        chunk_shape=(2, 4, 5), codecs=[zarr.codecs.BytesCodec()], index_location=location
    )
    path = write(chunks=(4, 8, 10), serializer=codec, compressors=None)
    volume = open_volume(path)
    np.testing.assert_array_equal(volume.read(*ALL), data)
    shard = path / "c" / "0" / "0" / "0"
    raw = shard.read_bytes()
    length = 16 * 8 + 4
    start = 0 if location == "start" else len(raw) - length
    for place in range(start, start + length):
        mutant = bytearray(raw)
        mutant[place] ^= 1 << place % 8
        shard.write_bytes(mutant)
        with pytest.raises(InputError, match="the chunk c/0/0/0 is damaged"):
            volume.find_absent(np.zeros((1, 3), int))
    with pytest.raises(InputError, match="is damaged"):
        volume.read(*ALL)


def test_every_truncation_of_a_shard_is_noticed(write, data):
    path = write(**SHARDS)
    volume, shard = open_volume(path), path / "c" / "0" / "0" / "0"
    raw = shard.read_bytes()
    for length in range(0, len(raw), 7):
        shard.write_bytes(raw[:length])
        with pytest.raises(InputError, match="the chunk c/0/0/0"):
            volume.read(*ALL)
    shard.write_bytes(raw)
    np.testing.assert_array_equal(volume.read(*ALL), data)


def test_blosc_inside_a_shard_that_reads_beyond_its_chunk_is_refused(write):
    """The size in Blosc's header has no checksum, and Blosc would read what follows in memory."""
    path = write(**SHARDS)
    shard = path / "c" / "0" / "0" / "0"
    raw = bytearray(shard.read_bytes())
    raw[12:16] = (2**30).to_bytes(4, "little")
    shard.write_bytes(raw)
    with pytest.raises(InputError, match="the chunk c/0/0/0 is cut short"):
        open_volume(path).read(*ALL)
