"""Forms of zarr that are not read, and what to do about each."""

import re
from pathlib import Path

from ...errors import InputError
from .node import MARKERS


def refuse_relatives(path: Path, name: str) -> None:
    """Refuse a zarr in a ZIP file, at an address, a metadata file in place of its folder, and N5.

    Parameters
    ----------
    path : Path
        Of anything.
    name : str
        For messages.

    Raises
    ------
    InputError
    """
    if re.match(r"[a-zA-Z][a-zA-Z0-9+]+:[/\\]", str(path)) and not path.exists():
        raise InputError(
            f"{name} is at an address; expected a file or folder on this computer, or the address "
            "of a zarr as a text that begins with https://, s3:// or gs://. Download others first."
        )
    if path.is_dir():
        if path.suffix.lower() == ".n5" or (path / "attributes.json").is_file():
            raise InputError(
                f"{name} is an N5; expected an OME-Zarr. Convert it, for example with Fiji."
            )
        return
    if path.suffix.lower() in (".zip", ".ozx") and path.is_file():
        raise InputError(f"{name} is a ZIP file; expected a folder. Unpack it, and give the zarr.")
    if path.name in MARKERS:
        folder = path.absolute().parent.name
        raise InputError(
            f"{name} is a metadata file of a zarr; expected its folder. Give {ascii(folder)[1:-1]}."
        )
