"""The artifact of a lab: its parent with another head, card and test vector, sealed again."""

import dataclasses
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..artifact import (
    CARD_KEY,
    SCHEMA,
    TEST_KEY,
    Artifact,
    Card,
    Head,
    encode_test,
    replace_head,
    seal,
    verify,
)
from ..cubes import usual_range
from ..feature_statistics import FeatureStatistics
from ..session import Session
from .estimate import CONFIDENCE, Estimate, Range
from .labels import Labels
from .learner import DEVIATIONS, Lesson
from .prior import Prior


def head_of(lesson: Prior, statistics: FeatureStatistics, card: Card) -> Head:
    """Express a learned head as that of a graph, whose temperature and offset stay.

    The graph divides the margin by the temperature and adds the offset; so the head's margin is
    such that the logit after them is the learned one.
    """
    weight = (lesson.weight * card.temperature).astype(np.float32)
    bias = np.array([(lesson.bias - card.offset) * card.temperature], np.float32)
    return Head(weight[:, None], bias, statistics.centre, statistics.spread)


def make_artifact(parent: Artifact, head: Head, card: Card, source: str) -> tuple[Artifact, bytes]:
    """Give a parent's graph another head and card, and seal it.

    Returns
    -------
    artifact : Artifact
        Verified, and its test vector reproduced by the backend.
    content : bytes
        Of its file.
    """
    session = Session(parent, device="cpu", batch_size=1)
    features = session.compute_features(parent.test_cube)
    output = head.answer(features, card.temperature, card.offset)
    test = encode_test(parent.test_cube.astype(np.uint16), output)
    metadata = {CARD_KEY: card.to_json(), TEST_KEY: test}
    content = seal(replace_head(parent.model, head, metadata))
    artifact = verify(content, source)
    Session(artifact, device="cpu", batch_size=1, is_own=True).check(artifact)
    return artifact, content


def write_card(
    parent: Artifact,
    name: str,
    version: str,
    lesson: Lesson,
    estimate: Estimate,
    labels: Sequence[tuple[str, int, Labels]],
    appearance: Sequence[Mapping[str, np.ndarray]],
    features: Mapping[str, Any],
    description: str = "",
) -> Card:
    """Write the card of an adapted artifact.

    Parameters
    ----------
    labels : sequence of (str, int, Labels)
        Name, number of candidates and labels of each volume.
    appearance : sequence of mapping
        Measures of the candidates of each volume.
    features : mapping
        See `add_volumes`.
    description : str
        See `adapt`.
    """
    ranges = usual_range(_pool(appearance))
    volumes = [
        {
            "volume": source,
            "candidates": candidates,
            **each.counts(),
            "labels": Path(each.source).name,
        }
        for source, candidates, each in labels
    ]
    content = b"".join(
        each.rows.astype("<i8").tobytes() + each.cells.tobytes() for _, _, each in labels
    )
    adaptation: dict[str, Any] = {
        "labels": {"cells": estimate.cells, "no_cells": estimate.no_cells},
        "volumes": volumes,
        "labels_sha256": hashlib.sha256(content).hexdigest(),
        "shares": {
            f"{deviation:g}": round(float(share), 4)
            for deviation, share in zip(DEVIATIONS, lesson.shares, strict=True)
        },
    }
    training = {k: v for k, v in parent.card.training.items() if k != "appearance"}
    if ranges:
        training["appearance"] = {key: list(ends) for key, ends in ranges.items()}
    return dataclasses.replace(
        parent.card,
        name=name,
        version=version,
        description=description
        or f"{parent.card.name} with its head adapted to {estimate.cells} cells and "
        f"{estimate.no_cells} no cells.",
        schema=SCHEMA,
        standardisation="volume",
        threshold=round(estimate.threshold, 4),
        training={**training, "adaptation": adaptation},
        features=features,
        metrics={"adaptation": describe_estimate(estimate)},
        parent=f"{parent.card.file_name} {parent.card.digest}",
        digest="",
    )


def describe_estimate(estimate: Estimate) -> dict[str, Any]:
    """Return an estimate as JSON values of four digits: value, and the ends of its interval."""
    described: dict[str, Any] = {
        "measured": "in cross-validation inside the labels, each standing for the candidates with "
        f"logits near its own; with intervals of {CONFIDENCE:.0%}",
        "threshold": round(estimate.threshold, 4),
    }
    for name in ("auc", "f1", "calibration_error", "log_loss"):
        described[name] = _ends(getattr(estimate, name))
    if estimate.gain is None:
        described["gain_of_ten_labels"] = estimate.reason
    else:
        described["gain_of_ten_labels"] = _ends(estimate.gain)
    return described


def _ends(interval: Range) -> list[float]:
    return [round(value, 4) for value in (interval.value, interval.low, interval.high)]


def _pool(appearance: Sequence[Mapping[str, np.ndarray]]) -> dict[str, np.ndarray]:
    names = appearance[0] if appearance else ()
    return {name: np.concatenate([each[name] for each in appearance]) for name in names}
