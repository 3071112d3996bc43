import os
import zipfile

import pytest

from cfzoo.export.package import write_package
from cfzoo.runtime.errors import InputError

FILES = {"b.txt": b"two", "a.bin": bytes(range(256))}


def test_other_files_of_a_folder_stay(tmp_path):
    (tmp_path / "mine").write_text("kept")
    assert write_package(tmp_path, FILES) == tmp_path
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == {**FILES, "mine": b"kept"}


@pytest.mark.parametrize("name", ["out", "out.zip"])
def test_replaces_files_only_with_overwrite(tmp_path, name):
    place = write_package(tmp_path / name, FILES)
    with pytest.raises(InputError, match="--overwrite"):
        write_package(place, {"a.bin": b"new"})
    write_package(place, {"a.bin": b"new"}, overwrite=True)
    if name == "out":
        assert (place / "a.bin").read_bytes() == b"new"
        assert (place / "b.txt").read_bytes() == b"two"
    else:
        assert zipfile.ZipFile(place).namelist() == ["a.bin"]


def test_zips_of_the_same_files_are_equal(tmp_path, monkeypatch):
    first = write_package(tmp_path / "deep" / "a.zip", FILES)
    monkeypatch.setattr("time.time", lambda: 2_000_000_000.0)
    umask = os.umask(0o077)
    try:
        second = write_package(tmp_path / "b.zip", dict(reversed(FILES.items())))
    finally:
        os.umask(umask)
    assert first.read_bytes() == second.read_bytes()
    with zipfile.ZipFile(first) as archive:
        assert archive.testzip() is None
        assert {n: archive.read(n) for n in archive.namelist()} == FILES
        assert {e.date_time for e in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}


def test_refuses_a_file_in_place_of_a_folder(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(InputError):
        write_package(tmp_path / "file", FILES)
    with pytest.raises(InputError):
        write_package(tmp_path / "file" / "x.zip", FILES)
