"""The image in an OME-Zarr: its array at full resolution, its axes and its voxel size.

The format: https://ngff.openmicroscopy.org (0.1 to 0.5).
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np

from ...errors import InputError
from ...remote import RemoteFolder
from ..voxel_size import stated_voxel_size
from .layout import Layout
from .node import MARKERS, Node, read_nodes


class Image(NamedTuple):
    """An array with axes."""

    folder: Path | RemoteFolder  # of the array
    layout: Layout
    axes: tuple[str, ...]
    voxel_size: tuple[float, float, float] | None


def read_image(root: Path | RemoteFolder, name: str) -> Image:
    """Read the description of the image, or of the plain array, in a folder.

    Raises
    ------
    InputError
        There is none, its metadata cannot be used, or those of zarr formats 2 and 3 differ.
    """
    images = [_describe(node, root, name) for node in read_nodes(root, name)]
    if any(image[2:] != images[0][2:] or image.folder != images[0].folder for image in images):
        raise InputError(
            f"{name} has metadata of zarr formats 2 and 3 that describe different images. Remove "
            "the older ones."
        )
    return images[0]


def _describe(node: Node, root: Path | RemoteFolder, name: str) -> Image:
    if node.layout is not None:
        return Image(root, node.layout, _check_axes(node.axis_names, node.layout, name), None)
    ome = node.attributes.get("ome", node.attributes)
    if not (isinstance(ome, dict) and cast(dict[str, Any], ome).get("multiscales")):
        raise InputError(
            f"{name} is a zarr group without an OME image (multiscales); it holds "
            f"{_list_members(root)}. Give the image or array inside, as {name}/0."
        )
    try:
        return _read_multiscale(root, cast(Any, ome)["multiscales"][0], name)
    except (TypeError, KeyError, IndexError, AttributeError, ValueError, OverflowError) as error:
        raise InputError(
            f"{name}: its OME metadata (multiscales) cannot be used ({error!r:.200}). Write the "
            "zarr again, or give the array inside it."
        ) from error


def _read_multiscale(root: Path | RemoteFolder, multiscale: Any, name: str) -> Image:
    level = multiscale["datasets"][0]
    path = level["path"]
    parts = path.split("/")
    if {"", ".", ".."} & set(parts) or "\\" in path or "\0" in path:
        raise ValueError(f"a path {path!r:.60}")
    folder = root.joinpath(*parts)
    if folder.is_symlink() and not folder.exists():
        raise InputError(
            f"{name}: its folder {ascii(path)[1:-1]} is a link that leads nowhere. Fetch what it "
            "leads to (datalad get, git annex get), or copy the folder itself."
        )
    if isinstance(folder, Path) and not folder.is_dir():
        raise ValueError(f"no folder {path!r:.60}")
    layout = read_nodes(folder, name)[0].layout
    if layout is None:
        raise ValueError(f"{path!r:.60} is a group")
    number = len(layout.shape)
    entries: Any = multiscale.get("axes") or (list("tczyx") if number == 5 else [])
    entries = [{"name": entry} if isinstance(entry, str) else entry for entry in entries]
    axes = _check_axes([entry["name"] for entry in entries] or None, layout, name)
    scale = _multiply_scales([level, multiscale], number)
    units = [entry.get("unit") for entry in entries]
    voxel_size = stated_voxel_size(scale[-3:], units[-3:]) if scale and units else None
    return Image(folder, layout, axes, voxel_size)


def _list_members(root: Path | RemoteFolder) -> str:
    members = sorted(p.name for p in root.iterdir() if any((p / m).exists() for m in MARKERS))
    return ascii(", ".join(members[:5]))[1:-1] or "nothing"


def _check_axes(names: Sequence[Any] | None, layout: Layout, name: str) -> tuple[str, ...]:
    """Return the names of an array's axes in lower case; z y x if its three axes have none."""
    number = len(layout.shape)
    if names is None:
        if number == 3:
            return ("z", "y", "x")
        raise InputError(
            f"{name} is a zarr array of {number} axes without names; expected three, z y x. Give a "
            "3D array, or an OME-Zarr, which names its axes."
        )
    axes = tuple(str(n).lower() for n in names)
    if len(axes) != number or len(set(axes)) != number:
        raise InputError(f"{name} has {number} axes, but names {names!r:.80}. Write it again.")
    return axes


def _multiply_scales(entries: list[Any], number: int) -> list[float]:
    """Return the product of the scales of the level and of the whole image; empty if unstated."""
    scales = [
        transform["scale"]
        for entry in entries
        for transform in entry.get("coordinateTransformations") or ()
        if transform["type"] == "scale"
    ]
    if not scales or any(len(scale) != number for scale in scales):
        return []
    return np.prod(np.array(scales, float), axis=0).tolist()
