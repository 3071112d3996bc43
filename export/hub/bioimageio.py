"""An artifact as a model of the BioImage.IO zoo (https://bioimage.io, format 0.5).

The artifact goes there as it is, so that its checksum and digest stay; all of its outputs are
described. What is written has passed `bioimageio.core.test_model`.
"""

import hashlib
import io
import json
import os
import re
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from loguru import logger

from ...runtime.artifact import BUNDLED, INPUT, OPSET, OUTPUT, TEST_TOLERANCE, Artifact
from ...runtime.errors import ArtifactError, EnvironmentProblem, InputError
from ...runtime.session import Session, load_onnxruntime
from ..package import check_place, write_package
from .citations import cited, data_source
from .cover import draw_cover
from .evaluations import evaluation_rows
from .page import render_page

FORMAT = "0.5.12"
YAML, PAGE, COVER = "bioimageio.yaml", "README.md", "cover.png"
TIMESTAMP = "1980-01-01T00:00:00+00:00"  # an artifact has no date, and the same gives the same
MAP_TOLERANCE = 1e-3  # of a map's largest value
DEVELOPERS = ("The cfzoo developers",)
TAGS = (
    *("cellfinder", "brainglobe", "cfzoo", "onnx", "light-sheet", "classification"),
    *("fluorescence-light-microscopy", "3d", "cells", "brain", "image-classification"),
)
_USE = """\
With cfzoo, `{file}` is an artifact: `cfzoo classify --model {file} VOLUME POINTS`. With
bioimageio.core or onnxruntime alone, cut cubes around the candidates as the card says; outputs
besides `probability` are maps of what speaks for a cell (positive) and against it."""


def export_bioimageio(
    artifact: Artifact,
    output: str | os.PathLike,
    authors: Sequence[str] = (),
    overwrite: bool = False,
) -> Path:
    """Write an artifact's BioImage.IO folder, or zip where ``output`` ends with ``.zip``.

    Parameters
    ----------
    authors : sequence of str
        cfzoo's developers for the bundled artifacts, if not given.

    Returns
    -------
    Path

    Raises
    ------
    InputError
        No authors or licence, or files are in the way.
    ArtifactError
        It does not pass BioImage.IO's own test.
    EnvironmentProblem
        That test is not installed.
    """
    _library()
    authors = authors or (DEVELOPERS if _is_bundled(artifact) else ())
    if not authors:
        raise InputError("BioImage.IO wants to know who made a model: give --author NAME.")
    if artifact.card.licence == "unknown":
        raise InputError(
            f"The card of {artifact.source} does not state a licence, which BioImage.IO wants. "
            "Make the artifact again with one (cfzoo import --licence)."
        )
    tensors = _test_tensors(artifact)
    arrays = {f"test_{name}.npy": array for name, array in tensors.items()}
    names = [YAML, PAGE, COVER, artifact.card.file_name, *arrays]
    check_place(output, names, overwrite)
    files = {
        artifact.card.file_name: artifact.model,
        PAGE: _page(artifact).encode(),
        COVER: draw_cover(artifact),
        **{name: _npy(array) for name, array in arrays.items()},
    }
    described = describe(artifact, tensors, authors, files)
    files[YAML] = _yaml(described)
    check_package(files)
    return write_package(output, files, overwrite)


def describe(
    artifact: Artifact,
    tensors: Mapping[str, np.ndarray],
    authors: Sequence[str],
    files: Mapping[str, bytes],
) -> dict[str, Any]:
    """The fields of ``bioimageio.yaml``.

    Parameters
    ----------
    tensors : mapping
        Name of input or output -> test tensor, (1, ...) float32.
    files : mapping
        Name -> content of the files that it refers to.
    """
    card = artifact.card

    def file(name: str) -> dict[str, str]:
        return {"source": name, "sha256": hashlib.sha256(files[name]).hexdigest()}

    def tensor(name: str, about: str, *axes: dict[str, Any]) -> dict[str, Any]:
        return {
            "id": name,
            "description": about,
            "axes": [{"type": "batch"}, *axes],
            "test_tensor": file(f"test_{name}.npy"),
            "data": {"type": "float32"},
        }

    space = [
        {"type": "space", "id": axis, "size": n, "unit": "micrometer", "scale": size}
        for axis, n, size in zip("zyx", card.cube_shape, card.voxel_size, strict=True)
    ]
    channels = {"type": "channel", "channel_names": list(card.channels)}
    classes = {"type": "channel", "channel_names": ["no_cell", "cell"]}
    unit = "deviations from the volume's mean" if card.normalisation == "dataset" else "intensities"
    raw = tensor(INPUT, f"{unit}, a candidate in the middle", channels, *space)
    answer = tensor(OUTPUT, "probabilities that the candidate is no cell, and a cell", classes)
    maps = [
        tensor(name, "of the logit of a cell less that of no cell, per voxel", *space)
        for name in artifact.maps
    ]
    found = {
        "format_version": FORMAT,
        "type": "model",
        "name": f"{card.name} (cell candidate classifier)",
        "version": card.version,
        "description": _sentences(card.description, 512),
        "authors": [{"name": name} for name in authors],
        "cite": [found for text in card.citations if (found := cited(text))],
        "license": card.licence,
        "tags": [*TAGS, *(f"{name}-channel" for name in card.channels)],
        "covers": [file(COVER)],
        "documentation": file(PAGE),
        "timestamp": TIMESTAMP,
        "inputs": [raw],
        "outputs": [answer, *maps],
        "weights": {"onnx": {**file(card.file_name), "opset_version": OPSET}},
        "config": {
            "bioimageio": _told(artifact, tensors),
            "cfzoo": {"digest": card.digest, "card": json.loads(card.to_json())},
        },
    }
    if source := data_source(card):
        found["training_data"] = {
            "type": "dataset",
            "format_version": "0.3.4",
            "name": f"Training data of {card.name}",
            "description": _sentences(f"{source[0]}. {card.training.get('split', '')}", 512),
            "source": f"https://doi.org/{source[1]}",
            "cite": [{"text": source[0], "doi": source[1]}],
        }
    return found


def _told(artifact: Artifact, tensors: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """What the zoo itself reads under ``config``: tolerances, evaluations, limits."""
    card = artifact.card
    told: dict[str, Any] = {
        "reproducibility_tolerance": [
            _tolerance(name, array) for name, array in tensors.items() if name != INPUT
        ],
        "architecture_type": card.architecture[:32],
        "modality": "fluorescence microscopy",
        "target_structure": ["cells"],
        "task": "classification",
        "model_parameter_count": artifact.parameters,
        "out_of_scope_use": "Diagnosis; counts on brains for which nobody checked it on labels.",
        "bias_risks_limitations": {"limitations": card.description or "Not measured."},
    }
    if source := data_source(card):
        told["evaluations"] = [
            {
                "dataset_id": re.sub("[^a-z0-9]+", "-", f"{card.name}-{kind}"),
                "dataset_source": f"https://doi.org/{source[1]}",
                "results_summary": "The figures: {}. The weights published here: {}.".format(
                    *(part.get("split", "not said") for part in (card.metrics, card.training))
                ),
                **rows,
            }
            for kind, rows in evaluation_rows(card).items()
        ]
    return told


def _tolerance(name: str, array: np.ndarray) -> dict[str, Any]:
    absolute, relative = TEST_TOLERANCE, TEST_TOLERANCE
    if name != OUTPUT:
        # The zoo accepts no more than a hundredth of the largest value, which may be negative.
        absolute = MAP_TOLERANCE * min(np.abs(array).max(), 9 * max(array.max(), 0))
        relative = MAP_TOLERANCE
    return {
        "output_ids": [name],
        "absolute_tolerance": float(f"{absolute:.3g}"),
        "relative_tolerance": relative,
    }


def check_package(files: Mapping[str, bytes]) -> None:
    """See that a package passes the zoo's own test here, offline.

    Raises
    ------
    ArtifactError
        It does not.
    """
    zoo = _library()
    logger.disable("bioimageio")
    try:
        with tempfile.TemporaryDirectory() as folder:
            for name, content in files.items():
                (Path(folder) / name).write_bytes(content)
            summary = zoo.test_model(Path(folder) / YAML)
    finally:
        logger.enable("bioimageio")
    if summary.status != "passed":
        errors = [error for detail in summary.details for error in detail.errors]
        why = "; ".join(f"{'.'.join(map(str, e.loc))}: {e.msg}" for e in errors)
        raise ArtifactError(
            f"BioImage.IO's own test says {summary.status!r}, expected 'passed' ({why:.500}). "
            "Nothing was written."
        )


def _library() -> Any:
    load_onnxruntime()  # first, since it turns the telemetry off
    try:
        import bioimageio.core
    except ImportError as error:
        raise EnvironmentProblem(f"{error}: pip install 'cfzoo[publish]'.") from None
    return bioimageio.core


def _test_tensors(artifact: Artifact) -> dict[str, np.ndarray]:
    session = Session(artifact, "cpu", batch_size=1, maps=artifact.maps)
    session.check(artifact)
    _, maps = session.explain(artifact.test_cube)
    return {INPUT: artifact.test_cube, OUTPUT: artifact.test_output, **maps}


def _yaml(fields: Mapping[str, Any]) -> bytes:
    # A copy through JSON: what occurs twice would be written as a reference.
    return yaml.safe_dump(json.loads(json.dumps(fields)), sort_keys=False, width=100).encode()


def _npy(array: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.save(stream, np.ascontiguousarray(array, "<f4"))
    return stream.getvalue()


def _page(artifact: Artifact) -> str:
    name = artifact.card.file_name
    return render_page(artifact, name, _USE.format(file=name))


def _is_bundled(artifact: Artifact) -> bool:
    return any(path.read_bytes() == artifact.model for path in BUNDLED.glob("*.onnx"))


def _sentences(text: str, most: int) -> str:
    """As many whole sentences as ``most`` characters hold."""
    if len(text) <= most:
        return text
    end = text.rfind(". ", 0, most)
    return text[: end + 1] if end > 0 else text[: most - 3] + "..."
