"""Released models: their files written out as they are, without torch."""

import os
from pathlib import Path

from ..runtime.artifact import bundled, find_bundled, read_artifact
from ..runtime.errors import InputError
from ..runtime.files import check_output
from .package import write_files


def export_released(name: str, output: str | os.PathLike = ".", overwrite: bool = False) -> Path:
    """Write a released model to ``output``/NAME-VERSION.onnx, the bytes that come with cfzoo.

    Parameters
    ----------
    name : str
        Name of a bundled artifact, or NAME@VERSION.
    output : folder
    overwrite : bool
        Whether an existing artifact may be replaced.

    Returns
    -------
    Path
        The artifact's file.

    Raises
    ------
    InputError
        No model of this name is released, or the file exists already.
    ArtifactError
        The file that came with cfzoo is damaged.
    """
    path = find_bundled(name)
    if path is None:
        raise InputError(
            f"cfzoo has no released model {name!r}; it has "
            f"{', '.join(path.stem for path in bundled().values()) or 'none'}. Give "
            "--weights FILE.safetensors, or use `cfzoo import` for weights of cellfinder."
        )
    check_output(Path(output), [path.name], overwrite)
    (written,) = write_files(output, {path.name: read_artifact(path).model})
    return written
