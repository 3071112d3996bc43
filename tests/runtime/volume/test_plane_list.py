"""A text file that lists planes, as cellfinder takes it."""

import numpy as np
import pytest
import tifffile

from cfzoo.runtime.errors import InputError
from cfzoo.runtime.volume import open_volume

ALL = (slice(None),) * 3
NAMES = ["a/z1.tif", "a/z2.tif", "b/x10.tif", "b/x2500.tif"]


@pytest.fixture
def planes(tmp_path):
    data = np.random.default_rng(0).integers(0, 2**16, (4, 5, 6), "u2")
    for name, plane in zip(NAMES, data, strict=True):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        tifffile.imwrite(tmp_path / name, plane)
    return data


def write(folder, text):
    (folder / "planes.txt").write_bytes(text.encode() if isinstance(text, str) else text)
    return folder / "planes.txt"


@pytest.mark.parametrize(
    "text",
    [
        "\n".join(NAMES),
        "\r\n".join(NAMES) + "\r\n\r\n",
        "\n\n".join([*NAMES, "  "]),
        "\ufeff" + "\n".join(f'"{name}"  ' for name in NAMES),
        "{folder}/" + "\n{folder}/".join(NAMES),
    ],
)
def test_reads_the_planes_in_the_order_of_the_list(tmp_path, planes, text):
    with open_volume(write(tmp_path, text.replace("{folder}", str(tmp_path)))) as volume:
        np.testing.assert_array_equal(volume.read(*ALL), planes)
        assert volume.name == "planes.txt"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "a/z1.tif\na/z3.tif",
            r"the plane z3.tif cannot be read. It does not exist",
        ),
        ("a/z2.tif\na/z1.tif", "lists a/z2.tif where the numbers of the names put a/z1.tif"),
        ("a/z1.tif\na/z1.tif", "lists a/z1.tif twice"),
        ("a/z1.tif\nhello", "lists 'hello'; expected the path of a TIFF plane"),
        ("a/z1.tif\na", "lists 'a'"),
        ("", "no list of planes"),
        (" \n ", "no list of planes"),
        (b"\xff\xfe\0a", "no list of planes"),
        (b"a/z1.tif\0", "no list of planes"),
    ],
)
def test_refuses_lists_that_do_not_lead_to_planes(tmp_path, planes, text, message):
    with pytest.raises(InputError, match=message) as failure:
        open_volume(write(tmp_path, text))
    assert "\n" not in str(failure.value)


def test_notices_a_plane_that_the_list_leaves_out(tmp_path):
    for z in range(9):
        tifffile.imwrite(tmp_path / f"z{z}.tif", np.full((5, 6), z, "u2"))
    for numbers in (range(9), range(2, 6), range(0, 9, 2)):  # all, a part, every second
        lines = "\n".join(f"z{z}.tif" for z in numbers)
        assert open_volume(write(tmp_path, lines)).read(*ALL)[:, 0, 0].tolist() == list(numbers)
    with pytest.raises(InputError, match=r"planes.txt leaves out z3.tif, which lies between"):
        open_volume(write(tmp_path, "z1.tif\nz2.tif\nz4.tif"))
    (tmp_path / "z3.tif").unlink()
    assert open_volume(write(tmp_path, "z1.tif\nz2.tif\nz4.tif")).shape[0] == 3


def test_names_a_plane_that_the_cloud_holds(tmp_path, planes):
    (tmp_path / "a" / ".z3.tif.icloud").write_bytes(b"x")
    with pytest.raises(InputError, match=r"z3\.tif cannot be read. iCloud has not downloaded"):
        open_volume(write(tmp_path, "a/z1.tif\na/z2.tif\na/z3.tif"))


def test_has_one_channel(tmp_path, planes):
    with pytest.raises(InputError, match="got channel 1"):
        open_volume(write(tmp_path, "\n".join(NAMES)), channel=1)
