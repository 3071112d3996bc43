"""Metadata of a zarr: which of several copies counts, and copies that cannot be used."""

import json
from pathlib import Path

import numpy as np
import pytest
import zarr

from cfzoo.runtime.errors import InputError
from cfzoo.runtime.volume import open_volume

ALL = (slice(None),) * 3


@pytest.fixture
def group(tmp_path, data):
    """Call it with a version for the folder of an OME-Zarr."""

    def write(version):
        group = zarr.create_group(tmp_path / "brain.zarr", zarr_format=version)
        array = group.create_array(
            "0", shape=data.shape, dtype="u2", chunks=(2, 4, 5), compressors=None
        )
        array[:] = data
        axes = [{"name": n, "type": "space", "unit": "micrometer"} for n in "zyx"]
        scale = [{"type": "scale", "scale": [5, 2, 2]}]
        image = {
            "multiscales": [
                {"axes": axes, "datasets": [{"path": "0", "coordinateTransformations": scale}]}
            ]
        }
        group.attrs.update(image if version == 2 else {"ome": image})
        return tmp_path / "brain.zarr"

    return write


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("version", [2, 3])
def test_consolidated_metadata_older_than_the_array_are_not_used(group, data, version):
    """They are copies in the root, which a later append() leaves as they were."""
    path = group(version)
    zarr.consolidate_metadata(path)
    zarr.open_array(path / "0").append(data[:4])
    assert zarr.open_group(path)["0"].shape == data.shape  # what a trusting reader sees
    volume = open_volume(path)
    assert volume.shape == (10, *data.shape[1:])
    np.testing.assert_array_equal(volume.read(*ALL), np.concatenate([data, data[:4]]))


@pytest.mark.parametrize("version", [2, 3])
def test_metadata_of_both_formats_may_say_the_same(group, data, version, edit):
    """As zarr's own `zarr migrate` leaves them; of two that differ, neither is chosen."""
    path = group(2)
    key = {"name": "v2", "configuration": {"separator": "."}}
    (path / "zarr.json").write_text(
        json.dumps(
            {
                "zarr_format": 3,
                "node_type": "group",
                "attributes": {"ome": json.loads((path / ".zattrs").read_text())},
            }
        )
    )
    zarr.create_array(
        path.parent / "other",
        shape=data.shape,
        dtype="u2",
        chunks=(2, 4, 5),
        chunk_key_encoding=key,
        compressors=None,
        zarr_format=3,
    )
    fields = json.loads((path.parent / "other" / "zarr.json").read_text())
    (path / "0" / "zarr.json").write_text(json.dumps(fields))
    np.testing.assert_array_equal(open_volume(path).read(*ALL), data)

    file = path / "0" / (".zarray" if version == 2 else "zarr.json")
    edit(file, {"shape": [5, 12, 10]})
    with pytest.raises(InputError, match="formats 2 and 3 that describe different arrays"):
        open_volume(path)
    edit(file, {"shape": list(data.shape)})
    open_volume(path)
    edit(path / ".zattrs", lambda content: content["multiscales"][0].pop("axes") and None)
    with pytest.raises(InputError, match="formats 2 and 3 that describe different images"):
        open_volume(path)


def test_an_array_and_a_group_in_one_folder_are_refused(group):
    path = group(2)
    (path / "0" / ".zgroup").write_text('{"zarr_format": 2}')
    with pytest.raises(InputError, match="is an array and a group"):
        open_volume(path)


@pytest.mark.parametrize("lost", [".zgroup", ".zattrs", "0/.zarray"])
def test_lost_hidden_files_are_named(group, lost):
    path = group(2)
    (path / lost).unlink()
    match = {".zgroup": "no zarr metadata.*hidden files", ".zattrs": "without an OME image"}
    with pytest.raises(InputError, match=match.get(lost, "folder 0 has no zarr metadata")):
        open_volume(path)


def test_metadata_that_are_links_to_nowhere_are_named(group):
    path = group(2)
    for file in ("0/.zarray", ".zattrs", ".zgroup"):
        (path / file).unlink()
        (path / file).symlink_to("../../.git/annex/objects/x")
        with pytest.raises(InputError, match=r"\.z\w+ is a link that leads nowhere.*datalad get"):
            open_volume(path)


def test_a_level_that_is_a_link_to_nowhere_is_named(group):
    path = group(3)
    (path / "0").rename(path / "1")
    (path / "0").symlink_to("elsewhere")
    with pytest.raises(InputError, match="its folder 0 is a link that leads nowhere"):
        open_volume(path)


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b'{"zarr_format": 3, "zarr_format": 2}', "the key 'zarr_format' occurs twice"),
        (b"[" * 200_000, "nested too deeply|not JSON"),
        (b'{"a": ' * 50_000 + b"1" + b"}" * 50_000, "nested too deeply"),
        (b" " * (2**22 + 1), "more than 4194304 bytes"),
        (b'{"a": ' + b"9" * 5000 + b"}", "is not JSON"),
        (b"\xff\xfe\x00", "is not JSON"),
        (b"", "is not JSON"),
        (b"[]", "holds a list; expected an object"),
        (b"null", "holds a NoneType"),
        (b'{"zarr_format": 3, "node_type": "house"}', "node_type 'house'"),
        (b'{"zarr_format": 3, "node_type": "group", "attributes": 3}', "attributes 3"),
    ],
)
def test_metadata_that_are_no_usable_json_are_refused(group, raw, message):
    path = group(3)
    (path / "zarr.json").write_bytes(raw)
    with pytest.raises(InputError, match=message) as caught:
        open_volume(path)
    assert "\n" not in str(caught.value)


def test_forms_of_zarr_that_are_not_read_say_what_to_do(group, tmp_path):
    path = group(2)
    (tmp_path / "brain.zarr.zip").write_bytes(b"PK")
    (tmp_path / "brain.ozx").write_bytes(b"PK")
    (tmp_path / "brain.n5").mkdir()
    (tmp_path / "n5").mkdir()
    (tmp_path / "n5" / "attributes.json").write_text('{"n5": "2.5.1"}')
    (tmp_path / "consolidated").mkdir()
    (tmp_path / "consolidated" / ".zmetadata").write_text("{}")
    for source, message in {
        tmp_path / "brain.zarr.zip": "is a ZIP file.*Unpack it",
        tmp_path / "brain.ozx": "is a ZIP file.*Unpack it",
        tmp_path / "brain.n5": "is an N5.*Convert it",
        tmp_path / "n5": "is an N5.*Convert it",
        tmp_path / "consolidated": "no zarr metadata .*hidden files",
        path / ".zattrs": "is a metadata file of a zarr.*Give brain.zarr",
        "ftp://example.org/brain.zarr": "is at an address.*Download",
        "az://bucket/brain.zarr": "is at an address.*Download",
        Path("s3://bucket/brain.zarr"): "is at an address.*Download",
    }.items():
        with pytest.raises(InputError, match=message):
            open_volume(source)
