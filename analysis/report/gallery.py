"""Pictures of the candidates on which a model errs most, and of those it is least sure of."""

import base64
import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image
from scipy.special import expit

from ...zoo.data import LabelledCubes
from ...zoo.figure import choose_bar
from ..predictions import Predictions

KINDS = ("called cell, labelled no cell", "called no cell, labelled cell", "most uncertain")
PICTURES = 6  # of a kind, at most
SLAB_UM = (12.0, 8.0, 8.0)  # thickness of the projections along z, y, x
PIXEL_UM = 0.75
GAP = 4  # pixels between the panels
PLANES = ("xy", "xz", "yz")


def candidate_gallery(
    predictions: Predictions,
    cubes: Mapping[str, LabelledCubes],
    thresholds: Mapping[str, float | None],
) -> list[dict[str, Any]]:
    """Draw candidates for each model and kind, with their labels, probabilities and places.

    Parameters
    ----------
    predictions : Predictions
        The first run of each model counts.
    cubes : mapping
        Data set -> its cubes, in the order of the predictions.
    thresholds : mapping
        Model -> threshold; models without one are left out.
    """
    groups = []
    for name, runs in predictions.margin.items():
        threshold = thresholds.get(name)
        if threshold is None:
            continue
        probability = expit(runs[0])
        for kind, rows in zip(
            KINDS, pick_candidates(predictions.labels, probability, threshold), strict=True
        ):
            pictures = [
                _make_entry(predictions, cubes, row, float(probability[row])) for row in rows
            ]
            if pictures:
                groups.append({"model": name, "kind": kind, "cubes": pictures})
    return groups


def pick_candidates(
    labels: np.ndarray, probability: np.ndarray, threshold: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pick the surest false cells, the surest missed cells, and those nearest the threshold.

    Parameters
    ----------
    labels : (N,) int, 1 cell, 0 no cell
    probability : (N,) float, 0 to 1
    threshold : float

    Returns
    -------
    three (n,) int64
        Rows of the candidates, n at most `PICTURES`.
    """
    cell, order = labels == 1, np.argsort(probability, kind="stable")
    false = [row for row in order[::-1] if not cell[row] and probability[row] >= threshold]
    missed = [row for row in order if cell[row] and probability[row] < threshold]
    near = np.argsort(np.abs(probability - threshold), kind="stable")
    first, second, third = (np.array(rows[:PICTURES], int) for rows in (false, missed, near))
    return first, second, third


def _make_entry(
    predictions: Predictions, cubes: Mapping[str, LabelledCubes], row: int, probability: float
) -> dict[str, Any]:
    name = predictions.names[predictions.dataset[row]]
    place = int(np.searchsorted(predictions.rows(name), row))
    z, y, x = predictions.zyx[row].tolist()
    return {
        "image": base64.b64encode(draw_candidate(cubes[name], place)).decode(),
        "labels": label_candidate(cubes[name]),
        "label": "cell" if predictions.labels[row] == 1 else "no cell",
        "probability": probability,
        "dataset": name,
        "xyz": [x, y, z],
        "edge": bool(predictions.edge[row]),
    }


def label_candidate(cubes: LabelledCubes) -> dict[str, Any]:
    """Return what a page writes over the pictures of `draw_candidate`, which have no text.

    Returns
    -------
    dict
        ``planes``, (name, left edge) of each panel; ``bar``, the length of the scale bar, and
        ``bar_um``, its length in um; ``rows``, the names of several channels. Edge and length are
        percentages of the picture's width.
    """
    sides = [n * um for n, um in zip(cubes.crops.shape[2:], cubes.voxel_size, strict=True)]
    widths = [max(1, round(sides[axis] / PIXEL_UM)) for axis in (2, 2, 1)]  # x, x and y
    starts = [sum(widths[:number]) + number * GAP for number in range(3)]
    total = starts[-1] + widths[-1]
    bar_um = choose_bar(sides[2])
    channels = cubes.crops.shape[1]
    return {
        "planes": [
            [plane, round(100 * start / total, 2)]
            for plane, start in zip(PLANES, starts, strict=True)
        ],
        "bar": round(100 * bar_um / PIXEL_UM / total, 2),
        "bar_um": bar_um,
        "rows": ["signal", "background"] if channels == 2 else [],
    }


def draw_candidate(cubes: LabelledCubes, row: int) -> bytes:
    """Draw one candidate as PNG: a row for each channel, with planes xy, xz and yz.

    The planes are maximum projections of ``SLAB_UM`` around the candidate. Each channel has its own
    grey values, from the darkest to nearly the brightest of its crop.
    """
    rows = []
    for crop in cubes.crops[row].astype(np.float32):
        low, high = np.percentile(crop, (0.5, 99.8))
        crop = np.clip((crop - low) / max(high - low, 1e-6), 0, 1)
        panels = [_project_slab(crop, axis, cubes.voxel_size) for axis in range(3)]
        tallest = max(panel.shape[0] for panel in panels)
        padded = [
            np.pad(p, [((tallest - len(p)) // 2, -(-(tallest - len(p)) // 2)), (0, GAP)])
            for p in panels
        ]
        rows.append(np.concatenate(padded, axis=1)[:, :-GAP])
        rows.append(np.zeros((GAP, rows[-1].shape[1])))
    pixels = (255 * np.concatenate(rows[:-1])).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "png", optimize=True)
    return file.getvalue()


def _project_slab(crop: np.ndarray, axis: int, voxel_size: Sequence[float]) -> np.ndarray:
    """Project the brightest voxels of a slab along one axis, to square pixels of ``PIXEL_UM``."""
    half = max(0, round(SLAB_UM[axis] / voxel_size[axis] / 2))
    middle = crop.shape[axis] // 2
    slab = np.moveaxis(crop, axis, 0)[max(0, middle - half) : middle + half + 1]
    sides = [size for number, size in enumerate(voxel_size) if number != axis]
    flat = slab.max(axis=0)
    height, width = (
        max(1, round(n * um / PIXEL_UM)) for n, um in zip(flat.shape, sides, strict=True)
    )
    image = Image.fromarray(flat.astype(np.float32)).resize(
        (width, height), Image.Resampling.BILINEAR
    )
    return np.asarray(image.resize((width, height), Image.Resampling.BILINEAR))
