"""Stamp of a volume: what tells it from any other and from an earlier state of itself."""

import hashlib
import json
import os
import stat
from pathlib import Path

from ..errors import InputError
from .volume import Volume


def stamp_volume(volume: Volume) -> str:
    """Compute the stamp of a volume on a disk or at an address, without reading its voxels.

    It consists of the shape and type of the volume, and of the name, size and time of change of
    each of its files. A copy has the same stamp if it keeps the times, as ``cp -p`` and ``rsync
    -a`` do. At an address it consists of the content of the metadata and, where the service lists
    its objects, of the name, size and ETag of each, wherever they lie.

    Parameters
    ----------
    volume : Volume

    Returns
    -------
    str
        SHA-256, hexadecimal.

    Raises
    ------
    InputError
        The volume is an array in memory, or a file is gone.
    """
    digest = hashlib.sha256()
    form = (volume.shape, str(volume.dtype), volume.chunks)
    digest.update(json.dumps(form).encode())
    states = volume.source.list_states()
    if states:
        digest.update(json.dumps(states).encode())
        return digest.hexdigest()
    files = volume.source.list_files()
    if not files:
        raise InputError(
            f"{volume.name} is in no file, so that its state cannot be told from another; expected "
            "a volume on a disk. Save it first."
        )
    root = Path(os.path.commonpath([path.parent for path, _ in files]))
    for path, part in files:
        name = path.relative_to(root).as_posix()
        digest.update(json.dumps([name, part, *_state(path, volume.name)]).encode())
    return digest.hexdigest()


def _state(path: Path, name: str) -> list[int]:
    """Return the size and time of change (ns) of a file; the size of a folder says nothing."""
    try:
        status = path.stat()
    except OSError as error:
        raise InputError(
            f"{name}: {path.name} cannot be examined ({error.strerror}). Is another program "
            "writing to it? Try again when that has finished."
        ) from None
    return [0 if stat.S_ISDIR(status.st_mode) else status.st_size, status.st_mtime_ns]
