"""Folders of TIFF planes: order, gaps, planes that differ, planes that lead nowhere."""

import os

import numpy as np
import pytest
import tifffile

from cfzoo.runtime.errors import InputError
from cfzoo.runtime.volume import open_volume

ALL = (slice(None),) * 3


def write(folder, names, **options):
    folder.mkdir(exist_ok=True)
    planes = {}
    for i, name in enumerate(names):
        planes[name] = np.full((4, 6), i, "u2")
        tifffile.imwrite(folder / name, planes[name], **options)
    return planes


def test_orders_planes_by_number(tmp_path):
    names = [f"z{i}.tif" for i in range(12)]
    write(tmp_path / "signal", names)
    with open_volume(tmp_path / "signal") as volume:
        assert volume.shape == (12, 4, 6)
        assert volume.read(*ALL)[:, 0, 0].tolist() == list(range(12))


@pytest.mark.parametrize(
    "pattern", ["section_{a:03}_{b:02}.tif", "z_{n:05.1f}.tif", "z{n:.0f}_t{t}.tif"]
)
def test_reads_planes_whose_names_have_two_numbers(tmp_path, pattern):
    """BrainSaw: shared/cases/02; physical sections with five optical planes each."""
    numbers = [(a, b) for a in range(1, 5) for b in range(1, 6)]
    names = [
        pattern.format(a=a, b=b, n=i * 2.5 if ".1f" in pattern else i, t=1000 + i * i)
        for i, (a, b) in enumerate(numbers)
    ]
    folder = tmp_path / "2"
    write(folder, names)
    (folder / "stitchingParams.ini").write_text("x")
    with open_volume(folder) as volume:
        assert volume.read(*ALL)[:, 0, 0].tolist() == list(range(20))


def test_ignores_files_that_are_not_planes(tmp_path):
    folder = tmp_path / "signal"
    write(folder, ["z1.TIF", "z2.tiff", "z3.tif"])
    (folder / ".z4.tif").write_bytes(b"x")
    (folder / "._z3.tif").write_bytes(b"x")
    (folder / "Thumbs.db").write_bytes(b"x")
    (folder / "notes.txt").write_text("x")
    (folder / "z5").mkdir()
    assert open_volume(folder).shape == (3, 4, 6)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["z1.tif", "z2.tif", "z4.tif"], r"1 plane\(s\).*between numbers 2 and 4: 3; .*steps of 1"),
        (["z0.tif", "z20.tif", "z40.tif", "z100.tif"], "60, 80; expected steps of 20"),
        (["z0.tif", "z1.tif", "z100.tif"], r"98 plane\(s\).*2, 3, 4, 5, 6, \.\.\."),
        (["z1.tif", "z01.tif", "z2.tif"], "same number"),
        (["z1.tif", "z1.tiff"], "same number"),
        (["z1_c0.tif", "z1_c1.tif", "z2_c0.tif", "z2_c1.tif"], "One channel per folder"),
        (["z1.tif", "z2.tif", "mask.tif"], "mask.tif and z1.tif differ in more than a number"),
        (["signal.tif", "background.tif"], "differ in more than a number"),
    ],
)
def test_refuses_names_that_are_not_a_series(tmp_path, names, message):
    write(tmp_path / "signal", names)
    with pytest.raises(InputError, match=message):
        open_volume(tmp_path / "signal")


@pytest.mark.parametrize(
    ("plane", "message"),
    [
        (np.zeros((4, 7), "u2"), r"z3.tif is \(4, 7\) uint16.*z0.tif is \(4, 6\)"),
        (np.zeros((4, 6), "u1"), r"z3.tif is \(4, 6\) uint8"),
        (np.zeros((2, 4, 6), "u2"), "z3.tif holds more than one plane"),
        (np.zeros((4, 6, 3), "u1"), "z3.tif, page 0, has 3 samples per pixel"),
    ],
)
def test_refuses_planes_that_differ(tmp_path, plane, message):
    write(tmp_path / "signal", [f"z{i}.tif" for i in range(5)])
    tifffile.imwrite(tmp_path / "signal" / "z3.tif", plane)
    with pytest.raises(InputError, match=message):
        open_volume(tmp_path / "signal")


def test_notices_planes_behind_a_single_page(tmp_path):
    write(tmp_path / "signal", ["z0.tif", "z1.tif"])
    for options in ({"imagej": True}, {}):
        tifffile.imwrite(
            tmp_path / "signal" / "z1.tif", np.zeros((5, 64, 64), "u2"), truncate=True, **options
        )
        with pytest.raises(InputError, match=r"z1\.tif holds more than one plane"):
            open_volume(tmp_path / "signal")


def test_names_a_truncated_plane(tmp_path):
    write(tmp_path / "signal", [f"z{i}.tif" for i in range(5)])
    path = tmp_path / "signal" / "z2.tif"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(InputError, match=r"z2.tif is cut short.*takes bytes"):
        open_volume(tmp_path / "signal")


def test_notices_a_plane_that_changes_or_vanishes_after_opening(tmp_path):
    write(tmp_path / "signal", [f"z{i}.tif" for i in range(5)])
    with open_volume(tmp_path / "signal") as volume:
        tifffile.imwrite(tmp_path / "signal" / "z2.tif", np.zeros((6, 4), "u2"))
        with pytest.raises(InputError, match=r"z2\.tif is"):
            volume.read(*ALL)
        (tmp_path / "signal" / "z2.tif").unlink()
        with pytest.raises(InputError, match=r"z2.tif cannot be read \(No such file"):
            volume.read(*ALL)
        assert volume.read(slice(3, 5), *ALL[1:]).shape == (2, 4, 6)


def test_reads_the_voxel_size_of_the_first_plane(tmp_path):
    options = {"imagej": True, "resolution": (0.5, 0.5)}
    write(tmp_path / "a", ["z0.tif", "z1.tif"], metadata={"spacing": 5, "unit": "um"}, **options)
    assert open_volume(tmp_path / "a").voxel_size == (5, 2, 2)
    write(tmp_path / "b", ["z0.tif", "z1.tif"], metadata={"unit": "um"}, **options)
    assert open_volume(tmp_path / "b").voxel_size is None
    sizes = {f"PhysicalSize{axis}": size for axis, size in zip("XYZ", (2, 2, 5), strict=True)}
    write(tmp_path / "c", ["z0.ome.tif", "z1.ome.tif"], ome=True, metadata=sizes)
    assert open_volume(tmp_path / "c").voxel_size == (5, 2, 2)


def test_has_one_channel(tmp_path):
    write(tmp_path / "signal", ["z0.tif", "z1.tif"])
    assert open_volume(tmp_path / "signal", channel=0).shape == (2, 4, 6)
    with pytest.raises(InputError, match="got channel 1"):
        open_volume(tmp_path / "signal", channel=1)


ANNEX = ".git/annex/objects/Wp/3Q/MD5E-s8--0f/MD5E-s8--0f.tif"


def link(path):
    path.symlink_to(f"../{ANNEX}")


def write_text(text):
    return lambda path: path.write_bytes(text)


LEADS_NOWHERE = {
    "link of git-annex": (link, r"not fetched: datalad get z2.tif \(or git annex get\)"),
    "pointer of git-annex": (write_text(b"/annex/objects/MD5E-s8--0f.tif\n"), "datalad get z2.tif"),
    "link of git-annex as text": (write_text(ANNEX.encode()), "datalad get z2.tif"),
    "pointer of Git LFS": (
        write_text(b"version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 8\n"),
        "git lfs pull",
    ),
    "link": (lambda path: path.symlink_to("elsewhere.tif"), "a link that leads nowhere"),
    "link in a circle": (lambda path: path.symlink_to(path), "a link that leads nowhere"),
    "empty": (write_text(b""), r"z2.tif is empty \(0 bytes\)"),
    "folder": (lambda path: path.mkdir(), "It is a folder"),
    "pipe": (lambda path: os.mkfifo(path), "not a regular file"),
    "zeros": (write_text(bytes(4000)), "begins with zeros: its copy was interrupted"),
    "web page": (write_text(b"<!DOCTYPE html><html>"), "It is a web page"),
    "gzip": (write_text(b"\x1f\x8b\x08\0\0"), "gunzip"),
    "text": (write_text(b"hello, world"), "z2.tif is not a TIFF file"),
    "link of Windows": (write_text(b"IntxLNK\1e\0l\0"), "a link of Windows"),
}


@pytest.mark.parametrize("kind", LEADS_NOWHERE)
@pytest.mark.parametrize("names", [["z2.tif"], ["z0.tif", "z1.tif", "z2.tif"]])
def test_names_a_plane_that_leads_nowhere(tmp_path, kind, names):
    """At the end of the folder, where no gap between the numbers would show."""
    folder, (spoil, message) = tmp_path / "signal", LEADS_NOWHERE[kind]
    write(folder, names)
    (folder / "z2.tif").unlink()
    spoil(folder / "z2.tif")
    for volume in (folder, folder / "z2.tif"):
        if kind in ("folder", "pipe") and volume != folder:
            continue
        with pytest.raises(InputError, match=message) as failure:
            open_volume(volume)
        assert "z2.tif" in str(failure.value) and "\n" not in str(failure.value)


def test_names_a_plane_that_must_not_be_read(tmp_path):
    write(tmp_path / "signal", ["z0.tif", "z1.tif"])
    path = tmp_path / "signal" / "z1.tif"
    path.chmod(0)
    if os.access(path, os.R_OK):
        pytest.skip("this user may read any file")
    with pytest.raises(InputError, match=r"z1.tif cannot be read \(Permission denied\)"):
        open_volume(tmp_path / "signal")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (".z2.tif.icloud", "iCloud has not downloaded it"),
        ("z2.tif.part", "download has not finished"),
        ("z2.tif.filepart", "download has not finished"),
        ("z2.TIFF.crdownload", "download has not finished"),
        ("z2.tif.dvc", "dvc pull"),
        ("z2.tif.lnk", "a shortcut of Windows"),
        (".z2.tif.Ab3xYz", "copy with rsync has not finished"),
        ("z2.png", "z2.png lies among the planes"),
        ("z2.tif.gz", "z2.tif.gz lies among the planes"),
        ("z2.jp2", "z2.jp2 lies among the planes"),
    ],
)
def test_names_a_file_that_stands_for_a_plane(tmp_path, name, message):
    write(tmp_path / "signal", ["z0.tif", "z1.tif"])
    (tmp_path / "signal" / name).write_bytes(b"x")
    with pytest.raises(InputError, match=message):
        open_volume(tmp_path / "signal")
    write(tmp_path / "signal", ["z2.tif", "z2.TIFF"][: 1 + name.startswith("z2.TIFF")])
    if name.startswith("z2.TIFF"):
        (tmp_path / "signal" / "z2.tif").unlink()
    assert open_volume(tmp_path / "signal").shape[0] == 3  # beside the plane it is no matter


def test_names_the_folders_that_hold_planes(tmp_path):
    for channel in "12":
        write(tmp_path / channel, ["z0.tif", "z1.tif"])
    with pytest.raises(InputError, match="no TIFF files, but its folders 1, 2 do: give one"):
        open_volume(tmp_path)


def test_says_what_a_folder_of_other_images_holds(tmp_path):
    (tmp_path / "z0.png").write_bytes(b"x")
    with pytest.raises(InputError, match=r"no TIFF files, but 1 such as z0\.png"):
        open_volume(tmp_path)


def test_messages_have_one_line_whatever_the_names(tmp_path):
    write(tmp_path / "signal", ["z0.tif", "z1.tif"])
    for name in ("a\nb.tif", os.fsdecode(b"z\xff2.tif")):
        (tmp_path / "signal" / name).write_bytes(b"x")
        with pytest.raises(InputError) as failure:
            open_volume(tmp_path / "signal")
        assert str(failure.value).isprintable()
        (tmp_path / "signal" / name).unlink()
