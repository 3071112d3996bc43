"""Zarrs at addresses: their chunks are objects, fetched side by side and checked as files are."""

from .remote_zarr import RemoteZarr

__all__ = ["RemoteZarr"]
