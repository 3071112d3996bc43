"""Artifacts as model repositories of the Hugging Face Hub, ready to push."""

import hashlib
import os
from pathlib import Path

from huggingface_hub import EvalResult, ModelCardData

from ...runtime.artifact import Artifact
from ..package import check_place, write_package
from .evaluations import MEASURES, TABLES, metric_tables
from .page import render_page

PAGE, SUMS = "README.md", "SHA256SUMS"
TAGS = [
    "cellfinder",
    "brainglobe",
    "cfzoo",
    "onnx",
    "biology",
    "microscopy",
    "image-classification",
]
_USE = """\
Needs `pip install 'cfzoo[cpu,hub]'`. OWNER/REPOSITORY is where you read this, REVISION a tag or
commit of it:

```bash
cfzoo classify --model 'hf://OWNER/REPOSITORY@REVISION/{file}#sha256={sha256}' VOLUME POINTS
```

It is fetched once and verified; `sha256sum -c {sums}` does so by hand. No code of this page is
run."""


def export_huggingface(
    artifact: Artifact, output: str | os.PathLike, overwrite: bool = False
) -> Path:
    """Write the folder to push, or a zip of it if ``output`` ends with ``.zip``.

    It holds README.md (a card with ``model-index``), NAME.onnx and SHA256SUMS. The artifact's name
    there has no version, because the repository's revisions have.

    Returns
    -------
    Path

    Raises
    ------
    InputError, EnvironmentProblem
        The files exist already, or cannot be written.
    """
    file = f"{artifact.card.name}.onnx"
    check_place(output, [PAGE, file, SUMS], overwrite)
    files = {file: artifact.model, PAGE: model_page(artifact, file).encode()}
    lines = [f"{hashlib.sha256(files[name]).hexdigest()}  {name}\n" for name in sorted(files)]
    files[SUMS] = "".join(lines).encode()
    return write_package(output, files, overwrite)


def model_page(artifact: Artifact, file: str) -> str:
    """Render README.md: YAML front matter, then the page."""
    card = artifact.card
    results = [
        EvalResult(
            task_type="image-classification",
            task_name="cell candidate classification",
            dataset_type=name,
            dataset_name=f"{name}, {TABLES[kind][1]}",
            metric_type=key,
            metric_name=MEASURES[key][0],
            metric_value=round(value, 4),
        )
        for kind, rows in metric_tables(card).items()
        for name, row in rows.items()
        for key, value in row.items()
    ]
    data = ModelCardData(
        license=card.licence.lower(),
        library_name="cfzoo",
        pipeline_tag="image-classification",
        tags=TAGS,
        model_name=f"{card.name} {card.version}",
        eval_results=results or None,
    )
    sha256 = hashlib.sha256(artifact.model).hexdigest()
    usage = _USE.format(file=file, sha256=sha256, sums=SUMS)
    return f"---\n{data.to_yaml()}\n---\n\n{render_page(artifact, file, usage)}"
