"""Two-channel training data from labelled volumes of one channel.

Hardly any labelled volume with a background is open. The signal and its labels stay real; the
background, and the bright objects in both channels, are made.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from zlib import crc32

import numpy as np

from ....runtime.errors import InputError
from ....runtime.points import CELL, NO_CELL, read_points
from ....runtime.volume import open_volume
from ..labelled_cubes import LabelledVolume
from .background import background_of, to_uint16
from .folder import describe_volume, open_folder, write_list, write_volume
from .shared_debris import with_shared_debris
from .volume import open_stream

_STREAM = 3  # the first of the streams of pairs, apart from those of synthetic volumes


def write_pairs(
    folder: Path,
    sources: Sequence[LabelledVolume],
    seed: int = 0,
    overwrite: bool = False,
    say: Callable[[str], object] = lambda text: None,
) -> list[LabelledVolume]:
    """Write signal, background and labels for labelled volumes, and the data file that lists them.

    Each volume gets a folder of its name with ``signal.tif``, ``background.tif`` (`background_of`)
    and ``labelled.xml``, with debris in both channels (`with_shared_debris`). ``data.yaml`` lists
    all. A volume has the same bytes whatever the others are.

    Parameters
    ----------
    folder : Path
        Receives all files at the end, or none.
    sources : sequence of LabelledVolume
        A background of theirs is not used.
    seed : int
        From 0 on.
    overwrite : bool
        Replace the files of an earlier call.
    say : callable
        Called with the name of each volume before it is made.

    Returns
    -------
    list of LabelledVolume
        Sources for `load`, as `read_data` returns them from ``data.yaml``.

    Raises
    ------
    InputError
        There are no volumes, or cube folders among them; a volume or its points cannot be read;
        or the folder holds such files or cannot be written to.
    EnvironmentProblem
        The disk is full or fails.
    """
    others = [source.name for source in sources if not isinstance(source, LabelledVolume)]
    if others or not sources:
        raise InputError(
            f"Got {', '.join(others) or 'no data'}; expected volumes with labelled points, since a "
            "background is made for a whole volume."
        )
    names = [source.name for source in sources]
    with open_folder(folder, names, overwrite) as part:
        volumes: list[LabelledVolume] = []
        for source in sources:
            say(source.name)
            volumes.append(_write_pair(part / source.name, source, seed))
        write_list(part, volumes)
    return [
        replace(describe_volume(folder / v.name, v.voxel_size, 2), split=v.split, drawn=v.drawn)
        for v in volumes
    ]


def _write_pair(folder: Path, source: LabelledVolume, seed: int) -> LabelledVolume:
    with open_volume(source.signal) as volume:
        if volume.dtype.kind not in "iu":
            raise InputError(
                f"{source.name} holds {volume.dtype}; expected whole numbers, since the pair is "
                "written as uint16. Scale the volume to 0 to 65535."
            )
        signal = to_uint16(volume.read(*(slice(0, n) for n in volume.shape)))
    points = read_points(source.points, source.points_from)
    rows = np.isin(points.types, (CELL, NO_CELL))
    inside = (points.zyx >= 0).all(axis=1) & (points.zyx < signal.shape).all(axis=1)
    zyx, types = points.zyx[rows & inside], points.types[rows & inside]
    # By the name, so that a volume is the same among others.
    rng = open_stream(seed, _STREAM + crc32(source.name.encode()))
    background = background_of(signal, source.voxel_size, rng)
    pair = with_shared_debris(signal, background, zyx, types == CELL, source.voxel_size, rng)
    images = [pair.signal, pair.background]
    written = write_volume(folder, images, pair.zyx, pair.labels, source.voxel_size)
    return replace(written, split=source.split, drawn=source.drawn)
