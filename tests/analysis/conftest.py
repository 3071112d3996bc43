"""A report like those of `cfzoo compare`, of invented probabilities."""

import base64
import copy
import io
from itertools import combinations

import numpy as np
import pytest
from matplotlib.image import imsave

DATASETS = {"cfos-695": (1131, 369), "cfos-753": (1349, 109), "cfos-969": (1845, 768)}
DATASETS["cfos-1008"] = (2758, 1205)
MODELS = {"attention3d": 2.0, "wavemix3d": 1.8, "pipnet3d": 1.7, "contrast": 1.3}  # separation
CHANGES = {
    "gain": ("times", (0.25, 0.5, 2, 4)),
    "offset": ("counts", (100, 500, 2000)),
    "noise": ("times the deviation around a candidate", (0.3, 1, 2)),
    "blur": ("um, sigma in the plane", (1, 2, 4)),
    "shift": ("um in the plane", (2, 4, 6)),
}


def _picture(rng: np.random.Generator) -> str:
    y, x = np.mgrid[-12:13, -12:13]
    plane = 2 * np.exp(-(y**2 + x**2) / rng.uniform(5, 40)) + rng.normal(0, 0.3, y.shape)
    stream = io.BytesIO()
    imsave(stream, plane, cmap="gray", format="png")
    return base64.b64encode(stream.getvalue()).decode()


def _auc(labels: np.ndarray, score: np.ndarray) -> float:
    above = score[labels][:, None] > score[~labels][None]
    return float(above.mean())


def _measures(labels: np.ndarray, p: np.ndarray, threshold: float) -> dict:
    decision = p >= threshold
    tp, fp = int((decision & labels).sum()), int((decision & ~labels).sum())
    recall, specificity = tp / labels.sum(), 1 - fp / (~labels).sum()
    precision = tp / max(tp + fp, 1)
    order = np.argsort(-p, kind="stable")
    hits = np.cumsum(labels[order])
    ranks = np.arange(1, len(p) + 1)
    falls = (ranks - hits) / (~labels).sum()
    measures = {
        "auc": _auc(labels, p),
        "average_precision": (hits / ranks)[labels[order]].mean(),
        "log_loss": -np.log(np.where(labels, p, 1 - p)).mean(),
        "brier": ((p - labels) ** 2).mean(),
        "ece": abs(p.mean() - labels.mean()),
        "precision": precision,
        "recall": recall,
        "specificity": specificity,
        "f1": 2 * precision * recall / max(precision + recall, 1e-9),
        "accuracy": (decision == labels).mean(),
        "balanced_accuracy": (recall + specificity) / 2,
        "fpr_at_95": falls[np.searchsorted(hits, 0.95 * labels.sum())],
        "fpr_at_99": falls[np.searchsorted(hits, 0.99 * labels.sum())],
    }
    return {key: float(value) for key, value in measures.items()}


def _figure(value: float, half: float) -> dict:
    return {"value": value, "low": value - half, "high": value + half}


def _model(name: str, separation: float, number: int) -> dict:
    rng = np.random.default_rng(number)
    labels = [np.arange(n) < cells for n, cells in DATASETS.values()]
    dataset_of = np.repeat(np.arange(len(labels)), [len(part) for part in labels])
    labels = np.concatenate(labels)
    logits = separation * (labels - 0.5) + rng.normal(0, 1, len(labels)) - 0.4
    p = 1 / (1 + np.exp(-1.6 * logits))
    threshold = [0.5, 0.41, 0.5, 0.3337][number]
    decisions = p[:, None] >= np.arange(1001) / 1000
    tp, fp = decisions[labels].sum(0), decisions[~labels].sum(0)
    decision = p >= threshold
    bins = np.minimum((p * 10).astype(int), 9)
    filled = [bins == b for b in range(10) if (bins == b).any()]
    measures = _measures(labels, p, threshold)
    trained = name != "contrast"
    epochs = list(range(1, 41))
    loss = [float(0.3 + 0.5 * np.exp(-e / 8) + rng.normal(0, 0.01)) for e in epochs]
    cost = {
        "parameters": [472304, 128990, 655120, 2][number],
        "mflop": [38.2, 9.71, 61.4, 0.0041][number],
        "file_mb": [1.92, 0.53, 2.66, 0.002][number],
        "points_per_s": _figure([812.0, 1630.5, 640.2, 21000.0][number], 14),
        "peak_mb": [231.5, 214.2, 240.0, 150.3][number],
        "training_seconds": [2710.0, 1824.0, 5402.7, None][number],
        "training_memory_mb": [1210.0, 980.4, 1544.0, None][number],
    }
    as_it_is = measures["auc"]
    levels = [f"{kind} {level:g}" for kind, (_, steps) in CHANGES.items() for level in steps]
    model = {
        "name": name,
        "about": "a 3D network" if trained else "local contrast, nothing learnt",
        "file": f"{name}-1.0.0.onnx" if trained else None,
        "digest": f"{number + 10:x}" * 64 if trained else None,
        "threshold": threshold,
        "runs": 3 if trained else 1,
        "measures": {key: _figure(value, 0.011) for key, value in measures.items()},
        "per_dataset": {
            dataset: _measures(labels[dataset_of == k], p[dataset_of == k], threshold)
            for k, dataset in enumerate(DATASETS)
        },
        "confusion": {
            "tp": int((decision & labels).sum()),
            "fp": int((decision & ~labels).sum()),
            "tn": int((~decision & ~labels).sum()),
            "fn": int((~decision & labels).sum()),
        },
        "counts": {"tp": tp.tolist(), "fp": fp.tolist()},
        "roc": {"x": (fp / fp[0])[::-1].tolist(), "y": (tp / tp[0])[::-1].tolist()},
        "pr": {
            "x": (tp / tp[0])[::-1].tolist(),
            "y": np.where(tp + fp, tp / np.maximum(tp + fp, 1), 1)[::-1].tolist(),
        },
        "reliability": {
            "probability": [float(p[rows].mean()) for rows in filled],
            "observed": [float(labels[rows].mean()) for rows in filled],
            "count": [int(rows.sum()) for rows in filled],
        },
        "robustness": {"as it is": as_it_is}
        | {key: as_it_is - float(rng.uniform(0, 0.02 * (number + 1))) for key in levels},
        "cost": cost,
        "curves": {
            "epoch": epochs,
            "loss": loss,
            "val_loss": [v + 0.05 for v in loss] if number != 1 else None,
        }
        if trained
        else None,
    }
    return model


@pytest.fixture(scope="session")
def _whole_report():
    rng = np.random.default_rng(9)
    models = [_model(*row, number) for number, row in enumerate(MODELS.items())]
    kinds = ("called cell, labelled no cell", "called no cell, labelled cell", "most uncertain")
    gallery = [
        {
            "model": model["name"],
            "kind": kind,
            "cubes": [
                {
                    "image": _picture(rng),
                    "label": "no cell" if kind == kinds[0] else "cell",
                    "probability": float(rng.uniform()),
                    "dataset": "cfos-695",
                    "xyz": [float(v) for v in rng.integers(0, 4000, 3) / 2],
                    "edge": i == 1,
                }
                for i in range(6)
            ],
        }
        for model in models[:2]
        for kind in kinds
    ]
    pairs = [
        {
            "a": a["name"],
            "b": b["name"],
            **{
                key: _figure(a["measures"][key]["value"] - b["measures"][key]["value"], 0.012)
                for key in ("auc", "average_precision", "log_loss")
            },
            "delong_p": float(rng.uniform(0, 0.01)),
            "mcnemar_p": float(rng.uniform()),
        }
        for a, b in combinations(models, 2)
    ]
    return {
        "schema": "1.0",
        "title": "Models on blocks that they were not trained on",
        "command": "cfzoo compare attention3d.onnx wavemix3d.onnx pipnet3d.onnx contrast "
        "--data cfos.yaml -o report",
        "notes": [
            "Each figure is of a c-Fos block that the model never saw; candidates near a face of "
            "the volume are included. All blocks together, mean over the runs.",
            "Intervals are 95 % from 1000 bootstrap samples of the candidates within each block. "
            "They do not cover another laboratory, microscope or antibody.",
        ],
        "datasets": [
            {"name": name, "candidates": n, "cells": cells, "edge": 12 + k}
            for k, (name, (n, cells)) in enumerate(DATASETS.items())
        ],
        "models": models,
        "robustness_units": {kind: unit for kind, (unit, _) in CHANGES.items()},
        "pairs": pairs,
        "gallery": gallery,
    }


@pytest.fixture
def report(_whole_report):
    """A complete report of four models on four data sets; each test gets a copy."""
    return copy.deepcopy(_whole_report)
