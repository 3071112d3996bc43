"""Metadata files of a zarr, read before zarr sees them: bounded, without ambiguity."""

import json
from pathlib import Path
from typing import Any, cast

from ...errors import InputError
from ...remote import RemoteFolder

MAX_BYTES = 2**22  # a zarr.json with the consolidated metadata of 2,000 arrays has less


def read_json(path: Path | RemoteFolder, name: str) -> dict[str, Any]:
    """Return the object in a metadata file.

    Parameters
    ----------
    path : Path or RemoteFolder
    name : str
        Name of the zarr, for messages.

    Raises
    ------
    InputError
        The file is a link to nowhere, cannot be read, is too large, or is not one JSON object
        whose keys are all different: zarr and other programs would each choose another value.
    """
    label = f"{name}: its metadata file {path.name}"
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise InputError(
            f"{label} is a link that leads nowhere. Fetch what it leads to (datalad get, git annex "
            "get), or copy the zarr again with the files behind its links."
        ) from None
    except OSError as error:
        raise InputError(
            f"{label} cannot be read ({error.strerror}). Copy the zarr again from its source."
        ) from None
    if len(raw) > MAX_BYTES:
        raise InputError(
            f"{label} has more than {MAX_BYTES} bytes. Write the metadata of the array alone."
        )
    try:
        content = json.loads(raw, object_pairs_hook=_refuse_repeats)
    except RecursionError:
        raise InputError(f"{label} is nested too deeply. Write the zarr again.") from None
    except ValueError as error:  # also of text that is not UTF-8
        raise InputError(
            f"{label} is not JSON ({error!s:.120}). Copy the zarr again from its source."
        ) from None
    if not isinstance(content, dict):
        raise InputError(
            f"{label} holds a {type(content).__name__}; expected an object. Write the zarr again."
        )
    return cast(dict[str, Any], content)


def _refuse_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        keys = [key for key, _ in pairs]
        repeated = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"the key {repeated!r:.40} occurs twice")
    return fields
