"""The folder behind an array of zarr, or behind an array of dask that reads one array of zarr."""

import sys
from pathlib import Path
from typing import Any


def find_local_array(array: Any) -> Path | None:
    """Return the folder of a zarr array on a disk, for which its files can be checked.

    Parameters
    ----------
    array : any
        Of zarr, or of dask as ``dask.array.from_zarr`` returns it; anything else has no folder
        that is known.

    Returns
    -------
    Path or None
    """
    zarr = sys.modules.get("zarr")  # whoever gives an array of zarr has imported it
    if zarr is None:
        return None
    if not isinstance(array, zarr.Array):
        array = _find_in_graph(array, zarr)
    root = _find_root(getattr(array, "store", None), zarr)
    return None if root is None else root / array.path


def _find_root(store: Any, zarr: Any) -> Path | None:
    """Return the folder of a store, if it is one on a disk."""
    if isinstance(store, zarr.storage.LocalStore):
        return Path(store.root)
    system = getattr(store, "fs", None)  # dask opens paths by fsspec
    system = getattr(system, "sync_fs", system)
    return Path(store.path) if "file" in getattr(system, "protocol", ()) else None


def _find_in_graph(array: Any, zarr: Any) -> Any:
    """Return the zarr array of which a dask array is the whole, unchanged; None if it is not."""
    layers: Any = getattr(getattr(array, "dask", None), "layers", None)
    name = getattr(array, "name", None)
    key = f"original-{name}"  # dask's name of the array that it was given
    if layers is None or set(layers) != {name, key}:
        return None
    original = layers[key].get(key)
    is_whole = isinstance(original, zarr.Array) and original.shape == array.shape
    return original if is_whole else None
