"""Names of chunk files that do not agree with the metadata, and the causes of absent chunks."""

import itertools
import shutil

import numpy as np
import pytest
import zarr

from cfzoo.runtime.errors import InputError
from cfzoo.runtime.volume import open_volume

ORIGIN = np.zeros((1, 3), int)
NAMINGS = {"v2": (".", "/"), "default": ("/", ".")}
PAIRS = [(name, separator) for name, pair in NAMINGS.items() for separator in pair]


@pytest.mark.parametrize("is_mixed", [False, True])
@pytest.mark.parametrize(("stored", "stated"), list(itertools.permutations(PAIRS, 2)))
def test_chunks_of_another_naming_are_refused_with_what_to_write(
    write, edit, stored, stated, is_mixed
):
    """zarr-python#1533: resize() lost the separator; two programs wrote half of the chunks each."""
    path = write(chunk_key_encoding={"name": stored[0], "separator": stored[1]})
    open_volume(path)
    setting = {"name": stated[0], "configuration": {"separator": stated[1]}}
    edit(path / "zarr.json", {"chunk_key_encoding": setting})
    if is_mixed:
        zarr.open_array(path)[:2] = 7
    with pytest.raises(InputError, match="so that they would be read as empty") as caught:
        open_volume(path)
    message = str(caught.value)
    assert ("some of its chunks" in message) == is_mixed
    if not is_mixed:
        assert f'"name": "{stored[0]}", "configuration": {{"separator": "{stored[1]}"}}' in message


@pytest.mark.parametrize("separator", ["/", "."])
def test_a_lost_separator_of_format_2_is_named(write, edit, separator, data):
    path = write(2, chunk_key_encoding={"name": "v2", "separator": separator})
    other = "/."[separator == "/"]
    edit(path / ".zarray", {"dimension_separator": other})
    advice = f'Write "dimension_separator": "{separator}" into the file .zarray'
    with pytest.raises(InputError, match=advice):
        open_volume(path)
    edit(path / ".zarray", {"dimension_separator": separator})  # the advice is right
    np.testing.assert_array_equal(open_volume(path).read(*(slice(None),) * 3), data)


def test_empty_folders_and_other_files_are_no_chunks(write, data):
    path = write(2)
    (path / "0").mkdir()
    (path / "0.0").write_text("two axes")
    (path / "._0.0.0").write_text("of macOS")
    (path / "0.0.0.bak").write_text("")
    np.testing.assert_array_equal(open_volume(path).read(*(slice(None),) * 3), data)


@pytest.mark.parametrize("axis", range(3))
@pytest.mark.parametrize(("version", "separator"), [(2, "."), (2, "/"), (3, "/"), (3, ".")])
def test_metadata_older_than_the_data_are_refused(write, edit, version, separator, axis):
    """A zarr that grew after its metadata were copied: planes would be missing."""
    kind = "v2" if version == 2 else "default"
    path = write(version, chunk_key_encoding={"name": kind, "separator": separator})

    def shrink(content):
        content["shape"][axis] = (2, 4, 5)[axis]

    edit(path / (".zarray" if version == 2 else "zarr.json"), shrink)
    with pytest.raises(InputError, match=r"lies beyond the shape .* older than the data"):
        open_volume(path)


def reason(path, points=ORIGIN):
    volume = open_volume(path)
    assert volume.find_absent(points).all()
    return volume.reason_for_absence


@pytest.mark.parametrize("version", [2, 3])
def test_the_cause_of_absent_chunks_is_named(write, version):
    key = {"name": "v2", "separator": "/"}
    path = write(version, chunk_key_encoding=key)
    (path / "0/0/0").unlink()
    assert "1 of its 18 chunk files are missing. Copy" in reason(path)
    shutil.rmtree(path / "0")
    assert (
        "6 of its 18 chunk files are missing; 1 of 3 layers have none, the first is planes 0 to 1"
        in reason(path)
    )
    shutil.rmtree(path / "1")
    assert "2 of 3 layers have none" in reason(path)
    shutil.rmtree(path / "2")
    assert "only the metadata were copied. Copy the folder brain.zarr" in reason(path)
    (path / "0.dvc").write_text("")
    assert "dvc pull" in reason(path)


def test_parts_of_a_shard_that_were_never_written_are_named(write, data):
    values = data.copy()
    values[:2] = 0
    path = write(shards=(4, 8, 10), values=values)
    assert "these parts of them were never written" in reason(path)
    assert not open_volume(path).find_absent(np.array([[2, 0, 0]])).any()
