"""Explain a model's answers to some points of a volume: maps, pictures and a gallery."""

import os
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined

from ..analysis.maps_picture import data_uri, draw_maps
from ..runtime.artifact import Card, bundled, find_model
from ..runtime.errors import EnvironmentProblem, InputError
from ..runtime.explain import (
    INDEX,
    MOST,
    Explanations,
    check_folder,
    explain,
    nearest,
    surest,
    write_explanations,
)
from ..runtime.files import atomic_write, check_output
from ..runtime.job import Job, prepare
from ..runtime.options import Options
from ..runtime.pipeline import run
from ..runtime.points import CELL, read_points
from ..runtime.results import Results
from ..runtime.volume import open_volume

PAGE = "index.html"
MAPS = {
    "grad_cam": "Grad-CAM",
    "relevance": "Relevance (gradient times input)",
    "guided_backprop": "Guided backpropagation",
    "guided_grad_cam": "Guided Grad-CAM",
    "attention_fine": "Attention gate, fine",
    "attention_coarse": "Attention gate, coarse",
    "prototypes": "Prototypes found",
}
FREE = ("grad_cam", "relevance")  # what an artifact can give without torch


@dataclass(frozen=True)
class Choice:
    """Which points to explain; all of these together, each once.

    Attributes
    ----------
    points : sequence of int
        Numbers of points, from 1 in the order of the file.
    uncertain : int
        So many nearest to the threshold.
    confident : int
        Of each class so many of which the model is surest.
    """

    points: Sequence[int] = ()
    uncertain: int = 0
    confident: int = 0

    def rows(self, results: Results, threshold: float) -> np.ndarray:
        """Rows of the points, from 0: (n,) int64.

        Raises
        ------
        InputError
            A point is not classified, or none or more than 1000 are chosen.
        """
        if missing := [p for p in self.points if not results.types[p - 1]]:
            raise InputError(f"Point {missing[0]} is not classified, so there is no answer of it.")
        named = np.array(self.points, np.int64) - 1
        near = nearest(results, threshold, self.uncertain)
        sure = surest(results, self.confident) if self.confident else named[:0]
        rows = np.array(list(dict.fromkeys([*named, *near, *sure])), np.int64)
        if not 0 < len(rows) <= MOST:
            raise InputError(f"{len(rows)} points are chosen; expected 1 to {MOST}.")
        return rows


def explain_points(
    model: str | os.PathLike | None,
    volume: str | os.PathLike,
    points: str | os.PathLike,
    output: str | os.PathLike,
    choice: Choice,
    *,
    background: str | os.PathLike | None = None,
    channels: tuple[int | None, int | None] = (None, None),
    voxel_size: Sequence[float] | None = None,
    weights: str | os.PathLike | None = None,
    layer: str | None = None,
    torch: bool | None = None,
    options: Options | None = None,
    overwrite: bool = False,
) -> tuple[Path, str]:
    """Write a TIFF and a PNG a point, explanations.json and a gallery, index.html.

    Parameters
    ----------
    model, volume, points, background, voxel_size, options
        As for `cfzoo.runtime.classify`; no ensemble.
    output : folder
    choice : Choice
    channels : two int, optional
        Of the files of the volume and of the background, where they hold several.
    weights : path, optional
        safetensors of the model; those beside it, or of its bundled name, when None.
    layer : str, optional
        Of the Grad-CAM, in place of the zoo's choice; needs torch.
    torch : bool, optional
        Whether to make the maps that need torch. When None, if it and the weights are there.

    Returns
    -------
    Path
        The gallery.
    str
        What is missing and why; "" when nothing is.

    Raises
    ------
    InputError, ArtifactError, EnvironmentProblem
        As `cfzoo.runtime.classify`; no such point, layer or weights.
    """
    inputs = [os.fspath(p) for p in (volume, points, background) if p]
    folder = check_output(Path(output), (INDEX, PAGE), overwrite, inputs)
    check_folder(folder, overwrite, inputs)
    candidates = read_points(os.fspath(points))
    n = len(candidates.zyx)
    if not n:
        raise InputError(f"{os.fspath(points)} holds no points, so there is nothing to explain.")
    if wrong := [p for p in choice.points if not 1 <= p <= n]:
        raise InputError(f"There is no point {wrong[0]}; the file has points 1 to {n}.")
    with ExitStack() as opened:
        volumes = [
            opened.enter_context(open_volume(path, channel=number))
            for path, number in zip((volume, background), channels, strict=True)
            if path
        ]
        job = prepare(candidates, *volumes, model=model, voxel_size=voxel_size, options=options)
        artifact = job.artifact
        # The default by its path: no file here can take its place.
        beside = weights or (find_model(model) if model else bundled()[artifact.card.name])
        network, note = _network(beside, torch, bool(layer or weights))
        if network is None and not artifact.maps:
            raise InputError(
                f"{artifact.source} gives no maps, and without torch and its weights there are no "
                f"others. {note}"
            )
        results = run(job)
        rows = choice.rows(results, job.threshold)
        found = explain(job, rows, [name for name in FREE if name in artifact.maps])
    more: dict[str, Any] = {}
    if network is not None:
        found, more = _with_torch(network[0], network[1], found, job, results, layer)
    _write(folder, found, more, job, results)
    return folder / PAGE, note


def _network(model: str | os.PathLike, torch: bool | None, must: bool) -> tuple[Any, str]:
    """Network and card where torch and the weights are there, else None and why."""
    if torch is False:
        if must:
            raise InputError("--layer and --weights need torch; leave --no-torch out.")
        return None, ""
    try:
        from ..zoo.explain import load_network

        return load_network(model), ""
    except ImportError as error:
        problem: Exception = EnvironmentProblem(f"{error}: pip install 'cfzoo[zoo]'.")
    except InputError as error:
        problem = error
    if torch or must:
        raise problem
    return None, f"Only the maps that the artifact itself gives: {problem}"


def _with_torch(
    network: Any, own: Card, found: Explanations, job: Job, results: Results, layer: str | None
) -> tuple[Explanations, dict[str, Any]]:
    from ..zoo.explain import check_same_model, find_reasons

    artifact = job.artifact
    if own.architecture != artifact.card.architecture:
        raise InputError(
            f"The weights are of a {own.architecture!r}; {artifact.source} is a "
            f"{artifact.card.architecture!r}. Give its own with --weights, or --no-torch."
        )
    # The artifact's card, not that of the weights: it may be calibrated anew.
    card = replace(artifact.card, threshold=job.threshold)
    reasons = find_reasons(network, card, found.cubes, layer)
    check_same_model(reasons, results.probability[found.index], artifact.source)
    maps = dict(reasons.maps)
    if not layer:  # the artifact's own, which torch's equal
        maps |= found.maps
    ordered = {name: maps[name] for name in MAPS if name in maps}
    return replace(found, maps=ordered), {"parts": reasons.parts, "notes": reasons.notes}


def _write(
    folder: Path, found: Explanations, more: dict[str, Any], job: Job, results: Results
) -> None:
    (folder / PAGE).unlink(missing_ok=True)  # that of an earlier run, until all is new
    files = write_explanations(folder, found, job, results)
    card = job.artifact.card
    entries = []
    for row, (point, file) in enumerate(zip(found.index.tolist(), files, strict=True)):
        maps = {MAPS[name]: values[row] for name, values in found.maps.items()}
        drawn = draw_maps(found.cubes[row], card.channels, maps, found.scale)
        with atomic_write(file.with_suffix(".png"), "wb") as target:
            target.write(drawn)
        z, y, x = results.zyx[point]
        parts = {name: float(values[row]) for name, values in more.get("parts", {}).items()}
        entries.append(
            {
                "number": point + 1,
                "xyz": f"x {x:g} y {y:g} z {z:g}",
                "cell": bool(results.types[point] == CELL),
                "probability": float(results.probability[point]),
                "parts": parts,
                "note": more["notes"][row] if more else "",
                "file": file.name,
                "image": data_uri(drawn),
            }
        )
    environment = Environment(
        loader=PackageLoader("cfzoo.workflows", "."),
        undefined=StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    page = environment.get_template("explanations.html.j2").render(
        card=card, entries=entries, threshold=job.threshold, maps=list(found.maps)
    )
    with atomic_write(folder / PAGE) as target:
        target.write(page)
