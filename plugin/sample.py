"""The synthetic crop of ``cfzoo sample`` as layers, to try the plugin on."""

from typing import Any

from ..runtime.sample import VOXEL_SIZE, make_sample

LIMITS = (100, 1500)


def sample_layers() -> list[tuple[Any, dict[str, Any], str]]:
    """Return layer data tuples of signal, background and candidates, scaled to um."""
    sample = make_sample()
    place = {"scale": VOXEL_SIZE, "units": ("um",) * 3}
    image = {**place, "contrast_limits": LIMITS}
    ring = {"size": 8, "face_color": "transparent", "border_color": "lightgray"}
    return [
        (sample.background, {**image, "name": "background", "visible": False}, "image"),
        (sample.signal, {**image, "name": "signal"}, "image"),
        (sample.zyx, {**place, **ring, "name": "candidates"}, "points"),
    ]
