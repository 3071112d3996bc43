"""Packages: files written together as a folder or zip; the same content gives the same bytes."""

import io
import os
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from ..runtime.claim import claim_folder
from ..runtime.errors import InputError
from ..runtime.files import atomic_write, check_output

EPOCH = (1980, 1, 1, 0, 0, 0)  # the first date that a zip can hold


def check_place(output: str | os.PathLike, names: Sequence[str], overwrite: bool) -> None:
    """Check that the files can be written, before the long work; raise an `InputError` if not."""
    path = Path(output)
    if path.suffix == ".zip":
        check_output(path.parent, [path.name], overwrite)
    else:
        check_output(path, names, overwrite)


def write_package(
    output: str | os.PathLike, files: Mapping[str, bytes], overwrite: bool = False
) -> Path:
    """Write files into a folder, or into one zip if ``output`` ends with ``.zip``.

    Other files in the folder stay.

    Parameters
    ----------
    output : path
    files : mapping
        Name -> content.
    overwrite : bool
        Whether existing files may be replaced.

    Raises
    ------
    InputError, EnvironmentProblem
        The files exist already, or cannot be written.
    """
    path = Path(output)
    check_place(path, list(files), overwrite)
    if path.suffix == ".zip":
        write_files(path.parent, {path.name: _zip(files)})
    else:
        with claim_folder(path, list(files), overwrite) as claim:
            write_files(claim.open_part(), files)
            claim.publish()
    return path


def write_files(folder: str | os.PathLike, files: Mapping[str, bytes]) -> list[Path]:
    """Write files into a folder, each atomically, replacing existing ones.

    Returns
    -------
    list of Path
        Paths in the order of ``files``.

    Raises
    ------
    InputError, EnvironmentProblem
        The folder or a file cannot be written.
    """
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{folder} cannot be written to: {error.strerror}.") from None
    for name, content in files.items():
        with atomic_write(Path(folder, name), "wb") as file:
            file.write(content)
    return [Path(folder, name) for name in files]


def _zip(files: Mapping[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:  # stored: weights do not compress
        for name, content in sorted(files.items()):
            entry = zipfile.ZipInfo(name, EPOCH)
            entry.create_system, entry.external_attr = 3, 0o644 << 16
            archive.writestr(entry, content)
    return stream.getvalue()
