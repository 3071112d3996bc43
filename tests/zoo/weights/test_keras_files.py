"""Refusal of damaged containers and of other files."""

import zipfile

import pytest

FORMATS = ("legacy", "whole", "weights", "keras")


@pytest.mark.parametrize("fmt", FORMATS)
@pytest.mark.parametrize("share", [0.0, 1e-7, 0.001, 0.5, 0.999])
def test_refuses_truncated_files(fmt, share, copy, assert_refuses):
    path = copy(fmt)
    with path.open("r+b") as file:
        file.truncate(int(share * path.stat().st_size))
    assert_refuses(path, str(path))


def write_zip(path, **members):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name.replace("_json", ".json").replace("_h5", ".weights.h5"), data)
    return path


def test_refuses_wrong_zips(tmp_path, assert_refuses):
    path = tmp_path / "x.keras"
    assert_refuses(write_zip(path, config_json="{}"), "zip without model.weights.h5")
    assert_refuses(write_zip(path, model_h5=b"no weights"), "cannot be read")
    assert_refuses(write_zip(path, model_h5=bytes(64 << 20)), "67108864 bytes, far too large")
    assert_refuses(write_zip(path, model_h5=b"", config_json=bytes(64 << 20)), "far too large")
    assert_refuses(write_zip(path, model_h5=b"", config_json=b"x" * (17 << 20)), "far too large")


def test_refuses_zip_with_flipped_byte(copy, assert_refuses):
    path = copy("keras")
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // 2)
        byte = file.read(1)[0]
        file.seek(-1, 1)
        file.write(bytes([byte ^ 1]))
    assert_refuses(path, "Bad CRC-32")


@pytest.mark.parametrize("content", [b"", b"hello", b"\x89HDF\r\n\x1a\n", b"PK\x03\x04" * 9])
def test_refuses_other_files(content, tmp_path, assert_refuses):
    path = tmp_path / "w.h5"
    path.write_bytes(content)
    assert_refuses(path, str(path))


def test_refuses_missing_file(tmp_path, assert_refuses):
    assert_refuses(tmp_path / "absent.h5", "is not a file")
    assert_refuses(tmp_path, "is not a file")


def test_refuses_oversized_files(tmp_path, assert_refuses):
    path = tmp_path / "w.h5"
    with path.open("wb") as file:
        file.write(b"\x89HDF\r\n\x1a\n")
        file.truncate((4 << 30) + 1)  # a sparse file
    assert_refuses(path, "more than")
