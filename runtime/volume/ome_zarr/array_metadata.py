"""The metadata of a zarr array, of format 2 or 3: read without zarr, before zarr opens the array.

The formats: https://zarr-specs.readthedocs.io.
"""

from typing import Any, cast

from ...errors import InputError
from .codecs import FORMAT_2, FORMAT_3, parse_codec
from .layout import MAX_AXES, MAX_LENGTH, Encoding, Layout, Sharding, check_layout

_DTYPES = ("u1", "u2", "u4", "u8", "i1", "i2", "i4", "i8", "f2", "f4", "f8")
_WORDS = {"u": "uint", "i": "int", "f": "float"}
_DTYPES_2 = {order + dtype: dtype for dtype in _DTYPES for order in "<>|"}
_DTYPES_3 = {f"{_WORDS[dtype[0]]}{8 * int(dtype[1])}": dtype for dtype in _DTYPES}


def parse_format_2(fields: dict[str, Any], name: str) -> Layout:
    """Return the layout that a ``.zarray`` states; an `InputError` if it cannot be used."""
    _check_value(fields.get("zarr_format"), [2], "zarr_format", name)
    filters: Any = fields.get("filters")
    filters = [] if filters is None else _check_type(filters, list, "filters", name)
    compressor = fields.get("compressor")
    codecs = [parse_codec(f, "id", FORMAT_2, name) for f in filters]
    if compressor is not None:
        codecs.append(parse_codec(compressor, "id", FORMAT_2, name))
    _check_value(fields.get("order", "C"), ["C", "F"], "order", name)
    separator = _check_value(
        fields.get("dimension_separator", "."), [".", "/"], "dimension_separator", name
    )
    chunks = _parse_lengths(fields.get("chunks"), "chunks", name)
    layout = Layout(
        format=2,
        shape=_parse_lengths(fields.get("shape"), "shape", name),
        dtype=_parse_dtype(fields.get("dtype"), _DTYPES_2, name),
        file_shape=chunks,
        chunk_shape=chunks,
        encoding=Encoding("", separator),
        codecs=tuple(codecs),
        sharding=None,
        is_undefined=fields.get("fill_value") is None,
    )
    return check_layout(layout, name)


def parse_format_3(fields: dict[str, Any], name: str) -> Layout:
    """Return the layout that the ``zarr.json`` of an array states; an `InputError` if unusable."""
    _check_value(fields.get("zarr_format"), [3], "zarr_format", name)
    transformers = fields.get("storage_transformers")
    if transformers:
        raise InputError(
            f"{name} has storage transformers ({transformers!r:.60}), which are not read. Write "
            "the zarr again without them."
        )
    grid, settings = _parse_extension(fields.get("chunk_grid"), "chunk_grid", name)
    _check_value(grid, ["regular"], "chunk_grid", name)
    file_shape = _parse_lengths(settings.get("chunk_shape"), "chunk_shape", name)
    kind, key_settings = _parse_extension(
        fields.get("chunk_key_encoding"), "chunk_key_encoding", name
    )
    _check_value(kind, ["default", "v2"], "chunk_key_encoding", name)
    separator = key_settings.get("separator", "/" if kind == "default" else ".")
    _check_value(separator, [".", "/"], "separator", name)
    entries = _check_type(fields.get("codecs"), list, "codecs", name)
    sharding, chunk_shape = None, file_shape
    if any(_is_sharding(entry) for entry in entries):
        sharding, chunk_shape, entries = _parse_sharding(entries, name)
    layout = Layout(
        format=3,
        shape=_parse_lengths(fields.get("shape"), "shape", name),
        dtype=_parse_dtype(fields.get("data_type"), _DTYPES_3, name),
        file_shape=file_shape,
        chunk_shape=chunk_shape,
        encoding=Encoding("c" if kind == "default" else "", separator),
        codecs=tuple(parse_codec(entry, "name", FORMAT_3, name) for entry in entries),
        sharding=sharding,
        is_undefined=False,
    )
    return check_layout(layout, name)


def _is_sharding(entry: Any) -> bool:
    return isinstance(entry, dict) and cast(Any, entry).get("name") == "sharding_indexed"


def _parse_sharding(entries: list[Any], name: str) -> tuple[Sharding, tuple[int, ...], list[Any]]:
    """Return the index, the shape of a chunk inside, and the codecs inside."""
    settings = _parse_extension(entries[0], "codecs", name)[1]
    inner = _check_type(settings.get("codecs"), list, "codecs of sharding_indexed", name)
    if len(entries) > 1 or any(_is_sharding(entry) for entry in inner):
        raise InputError(
            f"{name} combines sharding_indexed with other codecs around it or shards in shards, "
            "which are not read. Write the zarr again with one level of shards."
        )
    location = _check_value(
        settings.get("index_location", "end"), ["start", "end"], "index_location", name
    )
    default = [{"name": "bytes"}, {"name": "crc32c"}]
    index = settings.get("index_codecs", default)
    _check_type(index, list, "index_codecs", name)
    codecs = [parse_codec(entry, "name", FORMAT_3, name) for entry in index]
    endian = codecs[0].settings.get("endian", "little") if codecs else None
    names = [codec.name for codec in codecs]
    if names not in (["bytes"], ["bytes", "crc32c"]) or endian != "little":
        raise InputError(
            f"{name} has shards whose index is stored by {names!r:.60} ({endian!r:.10} endian); "
            "expected bytes (little endian) and crc32c. Write the zarr again."
        )
    shape = _parse_lengths(settings.get("chunk_shape"), "chunk_shape", name)
    return Sharding(location, len(codecs) == 2), shape, inner


def _parse_extension(entry: Any, field: str, name: str) -> tuple[Any, dict[str, Any]]:
    """Return name and settings of an extension point of zarr format 3."""
    if isinstance(entry, str):
        return entry, {}
    fields = cast(dict[str, Any], _check_type(entry, dict, field, name))
    settings: Any = fields.get("configuration") or {}
    return fields.get("name"), _check_type(settings, dict, field, name)


def _parse_lengths(value: Any, field: str, name: str) -> tuple[int, ...]:
    lengths = cast(list[Any], value) if isinstance(value, list) else []
    if not 0 < len(lengths) <= MAX_AXES or not all(
        type(n) is int and 0 < n <= MAX_LENGTH for n in lengths
    ):
        raise InputError(
            f"{name} has the {field} {value!r:.80}; expected 1 to {MAX_AXES} whole numbers from 1 "
            f"to {MAX_LENGTH}. Write the zarr again."
        )
    return tuple(lengths)


def _parse_dtype(value: Any, dtypes: dict[str, str], name: str) -> str:
    if not isinstance(value, str) or value not in dtypes:
        raise InputError(
            f"{name} holds values of the data type {value!r:.60}; expected integers or floats, the "
            "raw intensities. Convert it (a mask or text is no signal)."
        )
    return dtypes[value]


def _check_value(value: Any, allowed: list[Any], field: str, name: str) -> Any:
    if value not in allowed or isinstance(value, bool):
        raise InputError(
            f"{name} has the {field} {value!r:.60}; expected {' or '.join(map(repr, allowed))}. "
            "Write the zarr again."
        )
    return value


def _check_type(value: Any, kind: type, field: str, name: str) -> Any:
    if not isinstance(value, kind):
        raise InputError(
            f"{name} has the {field} {value!r:.60}; expected a {kind.__name__} in the metadata. "
            "Write the zarr again."
        )
    return value
