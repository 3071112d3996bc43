"""Explain a model's answers to some points of a volume: maps, pictures and a gallery."""

import os
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined

from ..analysis.maps_picture import data_uri, draw_maps
from ..runtime.artifact import Card, bundled, find_model
from ..runtime.claim import claim_folder
from ..runtime.errors import EnvironmentProblem, InputError
from ..runtime.explain import (
    INDEX,
    MAX_EXPLANATIONS,
    Explanations,
    check_folder,
    choose_nearest,
    choose_surest,
    explain,
    list_explanations,
    write_explanations,
)
from ..runtime.files import atomic_write
from ..runtime.job import Job, prepare
from ..runtime.options import Options
from ..runtime.pipeline import run
from ..runtime.points import CELL, read_points
from ..runtime.results import Results
from ..runtime.volume import describe_other_voxel_sizes, open_volume
from ..zoo.figure import png_bytes, svg_bytes

PAGE = "index.html"
PAGE_DPI = 110  # pixels of the page for an inch of a picture
MAPS = {
    "grad_cam": "Grad-CAM",
    "hires_cam": "HiResCAM",
    "relevance": "Relevance (gradient times input)",
    "guided_backprop": "Guided backpropagation",
    "guided_grad_cam": "Guided Grad-CAM",
    "guided_hires_cam": "Guided HiResCAM",
    "attention_fine": "Attention gate, fine",
    "attention_coarse": "Attention gate, coarse",
    "prototypes": "Prototypes found",
}


@dataclass(frozen=True)
class PointChoice:
    """Points to explain: the union of three choices.

    Attributes
    ----------
    points : sequence of int
        Numbers of points, from 1 in the order of the file.
    uncertain : int
        Number of points nearest the threshold.
    confident : int
        Number of points of each class of which the model is surest.
    """

    points: Sequence[int] = ()
    uncertain: int = 0
    confident: int = 0

    def rows(self, results: Results, threshold: float) -> np.ndarray:
        """Return the rows of the points, each once, from 0: (n,) int64.

        Raises
        ------
        InputError
            A point is not classified, or no point or more than 1000 are chosen.
        """
        if missing := [p for p in self.points if not results.types[p - 1]]:
            raise InputError(
                f"Point {missing[0]} is not classified, so there is no answer to explain."
            )
        numbered = np.array(self.points, np.int64) - 1
        near = choose_nearest(results, threshold, self.uncertain)
        sure = choose_surest(results, self.confident) if self.confident else numbered[:0]
        rows = np.array(list(dict.fromkeys([*numbered, *near, *sure])), np.int64)
        if not 0 < len(rows) <= MAX_EXPLANATIONS:
            raise InputError(f"{len(rows)} points are chosen; expected 1 to {MAX_EXPLANATIONS}.")
        return rows


@dataclass(frozen=True)
class PictureStyle:
    """How the pictures of points look: with voxels interpolated, and as SVG beside the PNG."""

    interpolate: bool = False
    svg: bool = False


def explain_points(
    model: str | os.PathLike | None,
    volume: str | os.PathLike,
    points: str | os.PathLike,
    output: str | os.PathLike,
    choice: PointChoice,
    *,
    points_from: str | None = None,
    background: str | os.PathLike | None = None,
    channels: tuple[int | None, int | None] = (None, None),
    voxel_size: Sequence[float] | None = None,
    weights: str | os.PathLike | None = None,
    layer: str | None = None,
    torch: bool | None = None,
    style: PictureStyle | None = None,
    options: Options | None = None,
    overwrite: bool = False,
    progress: Callable[[int, int], object] | None = None,
) -> tuple[Path, tuple[str, ...]]:
    """Write a TIFF and a PNG for each point, explanations.json, and a gallery, index.html.

    Maps and parts of the logit keep the statistics of features in the graph, those of the training,
    also where the volume's own standardise the features for the probability.

    Parameters
    ----------
    model, volume, points, background, voxel_size, options
        As for `cfzoo.runtime.classify`; the model is not an ensemble.
    output : folder
    choice : PointChoice
    points_from : str, optional
        As for `cfzoo.runtime.read_points`.
    channels : two int, optional
        Channels of the volume's file and of the background's, if those hold several.
    weights : path, optional
        safetensors of the model; by default those beside it, or of its bundled name.
    layer : str, optional
        Layer of the Grad-CAM, instead of the zoo's choice; needs torch.
    torch : bool, optional
        Whether to make the maps that need torch. By default, if torch and the weights are
        available.
    style : PictureStyle, optional
    progress : callable, optional
        Called with the number of points classified since the last call, and the total.

    Returns
    -------
    page : Path
        The gallery.
    notes : tuple of str
        Volumes whose files state another voxel size; which maps are missing and why.

    Raises
    ------
    InputError, ArtifactError, EnvironmentProblem
        As for `cfzoo.runtime.classify`; or there is no such point, layer or weights.
    """
    inputs = [os.fspath(p) for p in (volume, points, background) if p]
    candidates = read_points(os.fspath(points), points_from)
    n = len(candidates.zyx)
    if not n:
        raise InputError(f"{os.fspath(points)} holds no points, so there is nothing to explain.")
    if wrong := [p for p in choice.points if not 1 <= p <= n]:
        raise InputError(f"There is no point {wrong[0]}; the file has points 1 to {n}.")
    with ExitStack() as stack:
        claim = stack.enter_context(claim_folder(Path(output), (INDEX, PAGE), overwrite, inputs))
        check_folder(claim.folder, overwrite, inputs, claim.leftovers)
        volumes = [
            stack.enter_context(open_volume(path, channel=number))
            for path, number in zip((volume, background), channels, strict=True)
            if path
        ]
        job = prepare(candidates, *volumes, model=model, voxel_size=voxel_size, options=options)
        artifact = job.artifact
        # The default model by its path: no file in the working folder can take its place.
        file = weights or (find_model(model) if model else bundled()[artifact.card.name])
        network, missing = _load_network(file, torch, bool(layer or weights))
        if network is None and not artifact.maps:
            raise InputError(
                f"{artifact.source} gives no maps, and other maps need torch and the model's "
                f"weights. {missing}"
            )
        total = job.n_to_classify
        results = run(job, progress and (lambda count: progress(count, total)))
        rows = choice.rows(results, job.threshold)
        explanations = explain(job, rows, artifact.maps)
        reasons: dict[str, Any] = {}
        if network is not None:
            explanations, reasons = _explain_with_torch(*network, explanations, job, results, layer)
        _write(claim.open_part(), explanations, reasons, job, results, style or PictureStyle())
        claim.publish(list_explanations(claim.folder))
        sizes = describe_other_voxel_sizes(job.volumes, job.voxel_size)
    return claim.folder / PAGE, tuple(filter(None, [*sizes, missing]))


def _load_network(
    file: str | os.PathLike, torch: bool | None, required: bool
) -> tuple[tuple[Any, Card] | None, str]:
    """Load network and card if torch and the weights are available; else None and why not."""
    if torch is False:
        if required:
            raise InputError("--layer and --weights need torch; leave --no-torch out.")
        return None, ""
    try:
        from ..zoo.explain import load_network

        return load_network(file), ""
    except ImportError as error:
        problem: Exception = EnvironmentProblem(f"{error}: pip install 'cfzoo[zoo]'.")
    except InputError as error:
        problem = error
    if torch or required:
        raise problem
    return None, f"Only the maps that the artifact itself gives: {problem}"


def _explain_with_torch(
    network: Any,
    weights_card: Card,
    explanations: Explanations,
    job: Job,
    results: Results,
    layer: str | None,
) -> tuple[Explanations, dict[str, Any]]:
    """Add the maps that need torch, and return the parts of the logits and notes as well."""
    from ..zoo.explain import check_same_model, find_reasons

    artifact = job.artifact
    if weights_card.architecture != artifact.card.architecture:
        raise InputError(
            f"The weights are of the architecture {weights_card.architecture!r}; expected "
            f"{artifact.card.architecture!r}, that of {artifact.source}. Give its own weights with "
            "--weights, or --no-torch."
        )
    # The artifact's card, not that of the weights: the artifact may have been recalibrated.
    card = replace(artifact.card, threshold=job.threshold)
    reasons = find_reasons(network, card, explanations.cubes, layer)
    # Those of the graph, which maps explain: the results may stand on the volume's statistics.
    probability = job.sessions[0].run(explanations.cubes)[:, 1]
    check_same_model(reasons, probability, artifact.source)
    maps = dict(reasons.maps)
    if not layer:  # the artifact's own maps, which equal torch's
        maps |= explanations.maps
    ordered = {name: maps[name] for name in MAPS if name in maps}
    return replace(explanations, maps=ordered), {"parts": reasons.parts, "notes": reasons.notes}


def _write(
    folder: Path,
    explanations: Explanations,
    reasons: dict[str, Any],
    job: Job,
    results: Results,
    style: PictureStyle,
) -> None:
    files = write_explanations(folder, explanations, job, results)
    card = job.artifact.card
    entries = []
    for row, (point, file) in enumerate(zip(explanations.index.tolist(), files, strict=True)):
        maps = {MAPS[name]: values[row] for name, values in explanations.maps.items()}
        cube, scale = explanations.cubes[row], explanations.scale
        figure = draw_maps(cube, card.channels, maps, scale, style.interpolate)
        pictures = {".png": png_bytes(figure)}
        if style.svg:
            pictures[".svg"] = svg_bytes(figure)
        shown = [".tif", ".svg"] if style.svg else [".tif"]  # the page holds the PNG
        for suffix, picture in pictures.items():
            with atomic_write(file.with_suffix(suffix), "wb") as stream:
                stream.write(picture)
        z, y, x = results.zyx[point]
        parts = {name: float(values[row]) for name, values in reasons.get("parts", {}).items()}
        entries.append(
            {
                "number": point + 1,
                "xyz": f"x {x:g} y {y:g} z {z:g}",
                "cell": bool(results.types[point] == CELL),
                "probability": float(results.probability[point]),
                "parts": parts,
                "note": reasons["notes"][row] if reasons else "",
                "files": [file.with_suffix(suffix).name for suffix in shown],
                # Smooth pictures have a megabyte at their full resolution, others a tenth of it.
                "image": data_uri(
                    png_bytes(figure, PAGE_DPI) if style.interpolate else pictures[".png"]
                ),
                "width": round(figure.get_figwidth() * PAGE_DPI),
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
        card=card, entries=entries, threshold=job.threshold, maps=list(explanations.maps)
    )
    with atomic_write(folder / PAGE) as stream:
        stream.write(page)
