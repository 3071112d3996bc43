"""``cfzoo page`` as one function: artifacts and the browser parts in one HTML file.

npm builds the browser parts (``web/``) into one file that holds onnxruntime as WebAssembly, so the
page needs no other file and no network, also when it is opened from a disk. It has marks for the
title and the models, which are filled in here.
"""

import base64
import gzip
import html
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ... import __version__
from ...runtime.artifact import OPERATORS, Artifact, Model, read_model
from ...runtime.errors import EnvironmentProblem, InputError
from ...runtime.files import atomic_write
from ...runtime.labelling import json_for_html
from .example import make_example

BUILT = Path(__file__).with_name("built") / "page.html"
MOST_BYTES = 200_000_000  # of all artifacts: browsers refuse strings of half a gigabyte
_MARK = re.compile(r"\{\{(title|about|facts|models)\}\}")


@dataclass(frozen=True)
class TryPage:
    """What a page holds.

    Attributes
    ----------
    models : tuple of str
        Names and versions of the artifacts.
    bytes : int
        Size of the file.
    """

    models: tuple[str, ...]
    bytes: int


def write_try_page(path: str | Path, models: Sequence[Model], *, example: bool = True) -> TryPage:
    """Write a page on which a person classifies candidates without installing anything.

    The artifacts are in the page as they are, every byte, and with the digests that are verified
    here: the page refuses any other in their place. It takes further artifacts as files.

    Parameters
    ----------
    path : str or Path
        HTML file to write.
    models : sequence of path, bundled name, Artifact or Ensemble
        At least one, each a single artifact.
    example : bool
        Whether the page holds a small synthetic crop to try.

    Returns
    -------
    TryPage

    Raises
    ------
    InputError, ArtifactError
        A model is an ensemble, cannot be read or is refused, or they are too large for a page.
    EnvironmentProblem
        The browser parts are not built.
    """
    artifacts = [_read_artifact(model) for model in models]
    if not artifacts:
        raise InputError("Got no model; expected at least one artifact for the page.")
    contents = [artifact.model for artifact in artifacts]
    if (size := sum(map(len, contents))) > MOST_BYTES:
        raise InputError(
            f"The models have {size / 1e6:.0f} MB; a page holds {MOST_BYTES / 1e6:.0f} MB. Give "
            "fewer or smaller ones."
        )
    template = _read_built()
    names = tuple(f"{a.card.name} {a.card.version}" for a in artifacts)
    texts = {f"model-{i}": gzip.compress(each, mtime=0) for i, each in enumerate(contents)}
    facts: dict[str, object] = {
        "models": [
            {"name": name, "digest": artifact.card.digest}
            for name, artifact in zip(names, artifacts, strict=True)
        ],
        "operators": sorted(OPERATORS),  # of the files that people drop into it
        "example": None,
    }
    if example:
        channels = max(len(artifact.card.channels) for artifact in artifacts)
        facts["example"], texts["example-voxels"] = make_example(channels)
    parts = {
        "title": html.escape(f"Try {names[0]}" if len(names) == 1 else "Try cfzoo's models"),
        "about": html.escape(f"Written by cfzoo {__version__}."),
        "facts": json_for_html(facts),
        "models": "\n".join(
            f'<script type="text/plain" id="{name}">{base64.b64encode(data).decode()}</script>'
            for name, data in texts.items()
        ),
    }
    content = _MARK.sub(lambda match: parts[match[1]], template).encode()
    with atomic_write(path, "wb") as file:
        file.write(content)
    return TryPage(names, len(content))


def _read_artifact(model: Model) -> Artifact:
    ensemble = read_model(model)
    if ensemble.only_artifact is None:
        raise InputError(
            f"{ensemble.source} is an ensemble; the page takes artifacts. Give its members."
        )
    return ensemble.only_artifact


def _read_built() -> str:
    try:
        return BUILT.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise EnvironmentProblem(
            "The browser parts of the page are not built. In a clone of cfzoo, run "
            "`npm --prefix web ci` and then `npm --prefix web run build`, which needs Node.js 18 "
            "or later, and install it again."
        ) from None
