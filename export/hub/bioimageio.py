"""Artifacts as models of the BioImage.IO zoo (https://bioimage.io, format 0.5).

The artifact is packaged unchanged, so that its checksum and digest stay the same; all its outputs
are described. Every package has passed `bioimageio.core.test_model` before it is written.
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

from ...runtime.artifact import BUNDLED, FEATURES, INPUT, OPSET, OUTPUT, TEST_TOLERANCE, Artifact
from ...runtime.errors import ArtifactError, EnvironmentProblem, InputError
from ...runtime.session import Session, load_onnxruntime
from ..package import check_place, write_package
from .citations import citation_with_doi, data_source
from .cover import draw_cover
from .evaluations import evaluation_rows
from .page import render_page

FORMAT = "0.5.12"
YAML, PAGE, COVER = "bioimageio.yaml", "README.md", "cover.png"
# An artifact has no date, and its package always has the same bytes.
TIMESTAMP = "1980-01-01T00:00:00+00:00"
MAP_TOLERANCE = 1e-3  # as a share of a map's largest value
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
    """Write an artifact's BioImage.IO folder, or a zip if ``output`` ends with ``.zip``.

    Parameters
    ----------
    authors : sequence of str
        Names; by default cfzoo's developers for the bundled artifacts.

    Returns
    -------
    Path

    Raises
    ------
    InputError
        There are no authors or no licence, or the files exist already.
    ArtifactError
        The package fails BioImage.IO's own test.
    EnvironmentProblem
        That test is not installed.
    """
    _load_library()
    authors = authors or (DEVELOPERS if _is_bundled(artifact) else ())
    if not authors:
        raise InputError(
            f"No author is given for {artifact.source}, and BioImage.IO requires one: give "
            "--author NAME."
        )
    if artifact.card.licence == "unknown":
        raise InputError(
            f"The card of {artifact.source} does not state a licence, which BioImage.IO requires. "
            "Make the artifact again with one (cfzoo import --licence)."
        )
    tensors = _compute_test_tensors(artifact)
    arrays = {f"test_{name}.npy": array for name, array in tensors.items()}
    names = [YAML, PAGE, COVER, artifact.card.file_name, *arrays]
    check_place(output, names, overwrite)
    files = {
        artifact.card.file_name: artifact.model,
        PAGE: _render_page(artifact).encode(),
        COVER: draw_cover(artifact),
        **{name: _npy_bytes(array) for name, array in arrays.items()},
    }
    files[YAML] = _yaml_bytes(describe(artifact, tensors, authors, files))
    check_package(files)
    return write_package(output, files, overwrite)


def describe(
    artifact: Artifact,
    tensors: Mapping[str, np.ndarray],
    authors: Sequence[str],
    files: Mapping[str, bytes],
) -> dict[str, Any]:
    """Return the fields of ``bioimageio.yaml``.

    Parameters
    ----------
    tensors : mapping
        Name of input or output -> test tensor, (1, ...) float32.
    files : mapping
        Name -> content of the files that the fields refer to.
    """
    card = artifact.card
    sources = {name: _describe_file(name, content) for name, content in files.items()}
    inputs, outputs = _describe_tensors(artifact, sources)
    citations = [citation_with_doi(text) for text in card.citations]
    fields = {
        "format_version": FORMAT,
        "type": "model",
        "name": f"{card.name} (cell candidate classifier)",
        "version": card.version,
        "description": _shorten(card.description, 512),
        "authors": [{"name": name} for name in authors],
        "cite": [citation for citation in citations if citation],
        "license": card.licence,
        "tags": [*TAGS, *(f"{name}-channel" for name in card.channels)],
        "covers": [sources[COVER]],
        "documentation": sources[PAGE],
        "timestamp": TIMESTAMP,
        "inputs": inputs,
        "outputs": outputs,
        "weights": {"onnx": {**sources[card.file_name], "opset_version": OPSET}},
        "config": {
            "bioimageio": _describe_config(artifact, tensors),
            "cfzoo": {"digest": card.digest, "card": json.loads(card.to_json())},
        },
    }
    if source := data_source(card):
        text, doi = source
        fields["training_data"] = {
            "type": "dataset",
            "format_version": "0.3.4",
            "name": f"Training data of {card.name}",
            "description": _shorten(f"{text}. {card.training.get('split', '')}", 512),
            "source": f"https://doi.org/{doi}",
            "cite": [{"text": text, "doi": doi}],
        }
    return fields


def _describe_file(name: str, content: bytes) -> dict[str, str]:
    return {"source": name, "sha256": hashlib.sha256(content).hexdigest()}


def _describe_tensors(
    artifact: Artifact, sources: Mapping[str, dict[str, str]]
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return the inputs and the outputs, with their axes and test tensors."""
    card = artifact.card

    def tensor(name: str, about: str, *axes: dict[str, Any]) -> dict[str, Any]:
        return {
            "id": name,
            "description": about,
            "axes": [{"type": "batch"}, *axes],
            "test_tensor": sources[f"test_{name}.npy"],
            "data": {"type": "float32"},
        }

    space = [
        {"type": "space", "id": axis, "size": n, "unit": "micrometer", "scale": size}
        for axis, n, size in zip("zyx", card.cube_shape, card.voxel_size, strict=True)
    ]
    channels = {"type": "channel", "channel_names": list(card.channels)}
    classes = {"type": "channel", "channel_names": ["no_cell", "cell"]}
    unit = "deviations from the volume's mean" if card.normalisation == "dataset" else "intensities"
    cubes = tensor(INPUT, f"{unit}, a candidate in the middle", channels, *space)
    answer = tensor(OUTPUT, "probabilities that the candidate is no cell, and a cell", classes)
    maps = [
        tensor(name, "of the logit of a cell less that of no cell, per voxel", *space)
        for name in artifact.maps
    ]
    names = [f"feature_{number}" for number in range(artifact.n_features)]
    more = [tensor(FEATURES, "for the head", classes | {"channel_names": names})] if names else []
    return [cubes], [answer, *more, *maps]


def _describe_config(artifact: Artifact, tensors: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Return what the zoo itself reads under ``config``: tolerances, evaluations, limits."""
    card = artifact.card
    config: dict[str, Any] = {
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
        config["evaluations"] = [
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
    return config


def _tolerance(name: str, array: np.ndarray) -> dict[str, Any]:
    absolute, relative = TEST_TOLERANCE, TEST_TOLERANCE
    if name != OUTPUT:
        # The zoo accepts at most a hundredth of the largest value, which may be negative.
        absolute = MAP_TOLERANCE * min(np.abs(array).max(), 9 * max(array.max(), 0))
        relative = MAP_TOLERANCE
    return {
        "output_ids": [name],
        "absolute_tolerance": float(f"{absolute:.3g}"),
        "relative_tolerance": relative,
    }


def check_package(files: Mapping[str, bytes]) -> None:
    """Check that a package passes the zoo's own test, offline.

    Raises
    ------
    ArtifactError
        It fails the test.
    """
    zoo = _load_library()
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
        reasons = "; ".join(f"{'.'.join(map(str, e.loc))}: {e.msg}" for e in errors)
        raise ArtifactError(
            f"BioImage.IO's own test says {summary.status!r}, expected 'passed' ({reasons:.500}). "
            "Nothing was written."
        )


def _load_library() -> Any:
    load_onnxruntime()  # first, because it turns telemetry off
    try:
        import bioimageio.core
    except ImportError as error:
        raise EnvironmentProblem(f"{error}: pip install 'cfzoo[publish]'.") from None
    return bioimageio.core


def _compute_test_tensors(artifact: Artifact) -> dict[str, np.ndarray]:
    session = Session(artifact, "cpu", batch_size=1, maps=artifact.maps)
    session.check(artifact)
    _, tensors = session.explain(artifact.test_cube)
    if artifact.n_features:
        tensors[FEATURES] = session.compute_features(artifact.test_cube)
    return {INPUT: artifact.test_cube, OUTPUT: artifact.test_output, **tensors}


def _yaml_bytes(fields: Mapping[str, Any]) -> bytes:
    # Copied through JSON, because YAML writes objects that occur twice as references.
    return yaml.safe_dump(json.loads(json.dumps(fields)), sort_keys=False, width=100).encode()


def _npy_bytes(array: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.save(stream, np.ascontiguousarray(array, "<f4"))
    return stream.getvalue()


def _render_page(artifact: Artifact) -> str:
    return render_page(artifact, name := artifact.card.file_name, _USE.format(file=name))


def _is_bundled(artifact: Artifact) -> bool:
    return any(path.read_bytes() == artifact.model for path in BUNDLED.glob("*.onnx"))


def _shorten(text: str, limit: int) -> str:
    """Return as many whole sentences as fit into ``limit`` characters."""
    if len(text) <= limit:
        return text
    end = text.rfind(". ", 0, limit)
    return text[: end + 1] if end > 0 else text[: limit - 3] + "..."
