"""A page of labels that are probably wrong, with a picture of each candidate."""

import base64
from collections.abc import Sequence
from typing import Any

import numpy as np

from ...zoo.data import LabelledCubes
from ...zoo.evaluation import find_label_errors
from .gallery import draw_candidate, label_candidate
from .render import render_page

PICTURES = 60  # of a data set, at most


def list_suspects(
    datasets: Sequence[LabelledCubes], probability: np.ndarray
) -> list[dict[str, Any]]:
    """Return, per data set, its labels that are probably wrong, the most suspicious first.

    Parameters
    ----------
    datasets : sequence of LabelledCubes
    probability : (N,) float, 0 to 1
        Of a cell, for the candidates of all data sets in their order, by networks that were not
        trained on them.

    Returns
    -------
    list of dict
        ``name``, ``labels``, the number of labels, and ``suspects``: ``row`` in the data set,
        ``xyz`` in voxels, ``label`` and ``probability``.
    """
    labels = np.concatenate([cubes.labels for cubes in datasets])
    sizes = [len(cubes) for cubes in datasets]
    groups = np.repeat(np.arange(len(datasets)), sizes)
    starts = np.cumsum([0, *sizes])
    errors = find_label_errors(labels, probability, groups)
    return [
        {
            "name": cubes.name,
            "labels": len(cubes),
            "suspects": [
                {
                    "row": int(error - start),
                    "xyz": cubes.zyx[error - start, ::-1].tolist(),
                    "label": "cell" if labels[error] == 1 else "no cell",
                    "probability": float(probability[error]),
                }
                for error in errors[groups[errors] == number]
            ],
        }
        for number, (cubes, start) in enumerate(zip(datasets, starts[:-1], strict=True))
    ]


def render_suspects(
    model: str, source: str, datasets: Sequence[LabelledCubes], listed: Sequence[dict[str, Any]]
) -> str:
    """Return an HTML page without links to other files.

    Parameters
    ----------
    model : str
        Name of the model, for the title.
    source : str
        Where the probabilities come from.
    datasets : sequence of LabelledCubes
    listed : sequence of dict
        Result of `list_suspects` for them.
    """
    blocks = [
        {
            **row,
            "suspects": [
                {
                    **suspect,
                    "labels": label_candidate(cubes),
                    "image": base64.b64encode(draw_candidate(cubes, suspect["row"])).decode(),
                }
                for suspect in row["suspects"][:PICTURES]
            ],
            "count": len(row["suspects"]),
        }
        for cubes, row in zip(datasets, listed, strict=True)
    ]
    return render_page("suspects.html.j2", model=model, source=source, blocks=blocks)
