"""A hundred malformed metadata files: each refused in one line, before zarr reads them."""

import json
import sys

import pytest

from cfzoo.runtime.errors import CfzooError, InputError
from cfzoo.runtime.volume import open_volume

LENGTHS = [None, 3, "3", [], [-1, 4, 5], [0, 4, 5], [2, 4], [2, 4, 5, 6], [2.0, 4, 5], [True, 4, 5]]
LENGTHS += [["2", 4, 5], [[2], 4, 5], [2**70, 4, 5], [2**40, 2**40, 2**40], [1] * 40, {"0": 1}]
DTYPES = [None, 2, "", "u2x", "<u3", "|O", "|b1", "<c8", "<U5", "<M8[s]", "|V4", [["a", "<u2"]]]
DTYPES_3 = [None, 2, "", "bool", "complex64", "string", "r16", "uint12", "float8", "bytes"]
DTYPES_3 += [{"name": "numpy.datetime64", "configuration": {"unit": "s", "scale_factor": 1}}, []]
WORDS = [None, 1, "", "-", "//", [], {}]


def sharding(content):
    return content["codecs"][0]["configuration"]


CASES_2 = {
    **{f"shape {v}": {"shape": v} for v in LENGTHS},
    **{f"chunks {v}": {"chunks": v} for v in LENGTHS},
    **{f"dtype {v}": {"dtype": v} for v in DTYPES},
    **{f"separator {v}": {"dimension_separator": v} for v in WORDS},
    **{f"order {v}": {"order": v} for v in WORDS},
    **{f"format {v}": {"zarr_format": v} for v in (None, 1, 3, "2", True)},
    **{f"filters {v}": {"filters": v} for v in (3, "delta", {"id": "delta"}, [None], [[]])},
    **{f"compressor {v}": {"compressor": v} for v in (3, "zlib", [], {}, {"id": None})},
    "large chunk": {"chunks": [2**14, 2**14, 2**14]},
    "repeated shape": '"shape": [1, 1, 1], ',
}
CASES_3 = {
    **{f"shape {v}": {"shape": v} for v in LENGTHS},
    **{f"data_type {v}": {"data_type": v} for v in DTYPES_3},
    **{f"grid {v}": {"chunk_grid": v} for v in (None, 3, "regular", {}, {"name": "rectilinear"})},
    **{f"key {v}": {"chunk_key_encoding": v} for v in (None, 3, {}, {"name": "fanout"})},
    **{f"codecs {v}": {"codecs": v} for v in (None, 3, [], {}, [3], ["none_such"], [{}])},
    **{f"format {v}": {"zarr_format": v} for v in (None, 2, "3", True)},
    "key separator": {
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "-"}}
    },
    "transformers": {"storage_transformers": [{"name": "offload"}]},
    "unknown field": {"surprise": {"must_understand": True}},
    "codec with another field": {"codecs": [{"name": "bytes", "must_understand": False}]},
    "repeated shape": '"shape": [1, 1, 1], ',
    "chunk of a shard": lambda c: sharding(c).update(chunk_shape=[3, 4, 5]),
    "no chunk in a shard": lambda c: sharding(c).update(chunk_shape=[0, 4, 5]),
    "axes of a shard": lambda c: sharding(c).update(chunk_shape=[2, 4]),
    "chunks in a shard": lambda c: (
        sharding(c).update(chunk_shape=[1, 1, 1]),
        c["chunk_grid"]["configuration"].update(chunk_shape=[2**10] * 3),
    ),
    "place of the index": lambda c: sharding(c).update(index_location="middle"),
    "codec of the index": lambda c: sharding(c).update(index_codecs=[{"name": "gzip"}]),
    "no codec of the index": lambda c: sharding(c).update(index_codecs=[]),
    "shards in shards": lambda c: sharding(c).update(codecs=[{"name": "sharding_indexed"}]),
    "compressed shards": lambda c: c["codecs"].append({"name": "gzip"}),
    "large chunk": lambda c: (
        sharding(c).update(chunk_shape=[2**14] * 3),
        c["chunk_grid"]["configuration"].update(chunk_shape=[2**14] * 3),
    ),
}
CASES = [*((2, case) for case in CASES_2), *((3, case) for case in CASES_3)]


def test_the_table_is_long():
    assert len(CASES) >= 100


@pytest.mark.parametrize(("version", "case"), CASES, ids=lambda value: str(value)[:40])
def test_malformed_metadata_are_refused_before_zarr_reads_them(
    write, edit, monkeypatch, version, case
):
    path = write(version, **({"shards": (4, 8, 10)} if version == 3 else {}))
    file = path / (".zarray" if version == 2 else "zarr.json")
    change = (CASES_2, CASES_3)[version - 2][case]
    if isinstance(change, str):
        file.write_text(file.read_text().replace("{", "{" + change, 1))
    else:
        edit(file, change if isinstance(change, dict) else lambda c: change(c) and None)
    if case not in ("unknown field", "codecs []"):  # which zarr refuses itself
        monkeypatch.setitem(sys.modules, "zarr", None)
    with pytest.raises(InputError) as caught:
        open_volume(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("version", [2, 3])
def test_each_field_may_be_missing(write, version):
    """The volume is then refused, or as it was: never of another shape or type."""
    path = write(version)
    file = path / (".zarray" if version == 2 else "zarr.json")
    content = json.loads(file.read_text())
    for key in content:
        file.write_text(json.dumps({k: v for k, v in content.items() if k != key}))
        try:
            volume = open_volume(path)
            assert (volume.shape, str(volume.dtype)) == ((6, 12, 10), "uint16")
        except CfzooError as error:
            assert "\n" not in str(error)
