"""Released models: their files written out as they are, without torch."""

import os
from pathlib import Path

from ..runtime.artifact import BUNDLED, bundled, read_artifact
from ..runtime.errors import InputError
from ..runtime.files import check_output
from .package import write_files


def export_released(name: str, output: str | os.PathLike = ".", overwrite: bool = False) -> Path:
    """Write a released model to ``output``/NAME-VERSION.onnx, the bytes that come with cfzoo.

    Parameters
    ----------
    name : str
        Name of a bundled artifact, alone or with its version.
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
    path = find_released(name)
    if path is None:
        raise InputError(
            f"cfzoo has no released model {name!r}; it has {', '.join(bundled()) or 'none'}. Give "
            "--weights FILE.safetensors, or use `cfzoo import` for weights of cellfinder."
        )
    check_output(Path(output), [path.name], overwrite)
    (written,) = write_files(output, {path.name: read_artifact(path).model})
    return written


def find_released(name: str) -> Path | None:
    """Return the file of a released model, NAME or NAME-VERSION; None if there is none."""
    versions = {path.stem: path for path in BUNDLED.glob("*.onnx")}
    return bundled().get(name) or versions.get(name)
