"""A node of a zarr, an array or a group, as the metadata in its own folder describe it.

Consolidated metadata, copies of all nodes' metadata in the root, are never read: a writer that
changes an array later leaves them as they were.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from ...errors import InputError
from ...remote import RemoteFolder
from .array_metadata import parse_format_2, parse_format_3
from .json_file import read_json
from .layout import Layout

MARKERS = ("zarr.json", ".zgroup", ".zarray", ".zattrs", ".zmetadata")


@dataclass(frozen=True)
class Node:
    """One node in one format.

    Attributes
    ----------
    attributes : dict
    layout : Layout or None
        None for a group.
    axis_names : list or None
        Of an array, as they stand in the metadata.
    """

    attributes: dict[str, Any]
    layout: Layout | None
    axis_names: list[Any] | None


def read_nodes(folder: Path | RemoteFolder, name: str) -> list[Node]:
    """Read the metadata of a folder: of format 3, of format 2, or of both.

    Raises
    ------
    InputError
        There are none or they cannot be used, or the two formats disagree.
    """
    if isinstance(folder, RemoteFolder):
        folder.fetch(MARKERS)
        present = {marker for marker in MARKERS if (folder / marker).exists()}
    else:
        present = {marker for marker in MARKERS if os.path.lexists(folder / marker)}
    nodes: list[Node] = []
    if "zarr.json" in present:
        nodes.append(_read_format_3(read_json(folder / "zarr.json", name), name))
    if {".zarray", ".zgroup"} <= present:
        raise InputError(
            f"{name}: the folder {folder.name} is an array and a group (.zarray and .zgroup). "
            "Remove the one that is no part of it."
        )
    if {".zarray", ".zgroup"} & present:
        nodes.append(_read_format_2(folder, present, name))
    if not nodes and isinstance(folder, RemoteFolder):
        raise InputError(
            f"{name} cannot be opened: nothing is at {folder.objects.address.url}"
            f"{'/' if folder.key else ''}{folder.key}/ that makes it a zarr (zarr.json, .zarray or "
            ".zgroup: 404, not found). Check the address; TIFFs at addresses are not read."
        )
    if not nodes:
        raise InputError(
            f"{name} cannot be opened: the folder {folder.name} has no zarr metadata (zarr.json, "
            ".zarray or .zgroup). Give the folder of a zarr, copied with its hidden files."
        )
    layouts = [node.layout for node in nodes]
    if len(nodes) == 2 and not _agree(*layouts):
        raise InputError(
            f"{name}: the folder {folder.name} has metadata of zarr formats 2 and 3 that describe "
            "different arrays. Remove the older ones."
        )
    return nodes


def _agree(first: Layout | None, second: Layout | None) -> bool:
    if first is None or second is None:
        return first is second
    return first.describes_same_voxels(second)


def _read_format_3(fields: dict[str, Any], name: str) -> Node:
    kind, attributes = fields.get("node_type"), _parse_attributes(fields.get("attributes"), name)
    if kind == "group":
        return Node(attributes, None, None)
    if kind != "array":
        raise InputError(
            f"{name} has a zarr.json of the node_type {kind!r:.40}; expected 'array' or 'group'. "
            "Write the zarr again."
        )
    names = _parse_names(fields.get("dimension_names"), name)
    return Node(attributes, parse_format_3(fields, name), names)


def _read_format_2(folder: Path | RemoteFolder, present: set[str], name: str) -> Node:
    stored = read_json(folder / ".zattrs", name) if ".zattrs" in present else {}
    attributes = _parse_attributes(stored, name)
    if ".zgroup" in present:
        read_json(folder / ".zgroup", name)
        return Node(attributes, None, None)
    layout = parse_format_2(read_json(folder / ".zarray", name), name)
    return Node(attributes, layout, _parse_names(attributes.get("_ARRAY_DIMENSIONS"), name))


def _parse_attributes(value: Any, name: str) -> dict[str, Any]:
    if value is not None and not isinstance(value, dict):
        raise InputError(
            f"{name} has the attributes {value!r:.60}; expected an object. Write the zarr again."
        )
    return cast(dict[str, Any], value or {})


def _parse_names(value: Any, name: str) -> list[Any] | None:
    """Return the names of an array's axes; None where no axis has one."""
    names = cast(list[Any], value) if isinstance(value, list) else None
    if value is not None and names is None:
        raise InputError(
            f"{name} has the names {value!r:.60} of its axes; expected a list. Write it again."
        )
    return None if names is None or all(n is None for n in names) else names
