"""Classify the same points with the installed cellfinder and with `main`, and compare.

    python parity.py FOLDER DEPTH

FOLDER holds signal.npy, background.npy, points.npy (n, 3) of z y x, and for each number of channels
N.weights.h5 of a ResNet of DEPTH layers and N.onnx, the artifact that `cfzoo import` made from it.
Prints one line of JSON.
"""

import inspect
import json
import sys
import warnings
from importlib.metadata import version
from pathlib import Path

import numpy as np


def main(folder: Path, depth: str) -> None:
    from brainglobe_utils.cells.cells import Cell
    from cellfinder.core.classify import classify

    from cfzoo.runtime import cellfinder as room

    signal, background, zyx = (
        np.load(folder / f"{n}.npy") for n in ("signal", "background", "points")
    )
    cells = [Cell((int(x), int(y), int(z)), Cell.UNKNOWN) for z, y, x in zyx]
    report = {"cellfinder": version("cellfinder"), "python": sys.version.split()[0]}
    report["same signature"] = same_signature(classify.main, room.main)
    report["positional"] = positional_calls(classify, room, cells[:20], signal, folder)
    for channels in (1, 2):
        weights, artifact = folder / f"{channels}.weights.h5", folder / f"{channels}.onnx"
        if not weights.exists():
            continue
        # A positional call up to pin_memory, which all releases take.
        first = [cells, signal, background if channels == 2 else None, 0, (5, 2, 2), (5, 1, 1), 32]
        first += [50, 50, 20]
        theirs, answers = record_answers(classify, [*first, None, weights, depth, 0, False])
        batches: list[int] = []
        ours = room.main(
            *first, artifact, None, depth, 0, False, callback=batches.append, metadata=True
        )
        with room.enabled():
            patched = classify.main(*first, artifact, None, depth, 0, False)
        names = list(inspect.signature(classify.main).parameters)
        with room.enabled():
            keyword = classify.main(
                **dict(zip(names, [*first, artifact, None, depth], strict=False)), max_workers=0
            )
        same = [
            [(c.x, c.y, c.z, c.type) for c in some] for some in (theirs, ours, patched, keyword)
        ]
        probability = np.array([cell.metadata["probability"] for cell in ours])
        report[f"{channels} channel(s)"] = {
            "points": len(theirs),
            "cells": sum(c.type == Cell.CELL for c in theirs),
            "same labels": all(labels == same[0] for labels in same),
            "largest difference": float(np.abs(probability - answers).max()),
            "batches": batches == list(range(-(-len(theirs) // 32))),
        }
    print(json.dumps(report))


def same_signature(theirs, ours) -> bool:
    expected, actual = (inspect.signature(f).parameters for f in (theirs, ours))
    return list(actual)[: len(expected)] == list(expected) and all(
        (actual[name].kind, actual[name].default) == (parameter.kind, parameter.default)
        for name, parameter in expected.items()
    )


def record_answers(module, arguments) -> tuple[list, np.ndarray]:
    """Return cellfinder's cells and the probabilities that its network gave for them."""
    original, outputs = module.get_model, []

    def get_model(**options):
        model = original(**options)

        def answer(data):
            output = model(data)
            outputs.append(output.cpu().numpy())
            return output

        answer.inputs = model.inputs
        return answer

    module.get_model = get_model
    try:
        cells = module.main(*arguments)
    finally:
        module.get_model = original
    return cells, np.concatenate(outputs)[:, 1]


def positional_calls(module, room, cells, signal, folder) -> str:
    """Call with every argument by position, where dimensions and callback may be exchanged."""
    names = list(inspect.signature(module.main).parameters)
    first = [cells, signal, None, 0, (5, 2, 2), (5, 1, 1), 32, 50, 50, 20, folder / "1.onnx", None]
    batches: list[int] = []
    values = {"max_workers": 0, "pin_memory": False, "dimensions": 3, "callback": batches.append}
    values |= {"normalize_channels": False, "normalization_n_sampling_planes": 50}
    call = [*first, "50", *(values[name] for name in names[len(first) + 1 :])]
    try:
        answers = [len(room.main(*call))]
    except TypeError as error:
        try:
            with room.enabled():
                module.main(*call)
        except TypeError:
            return f"refused by both: {error}"
        return "refused by cfzoo alone"
    with room.enabled():
        answers.append(len(module.main(*call)))
    assert answers[0] == answers[1] > 0 and batches == [0, 0]
    return "taken by both"


if __name__ == "__main__":
    warnings.simplefilter("ignore", DeprecationWarning)
    main(Path(sys.argv[1]), sys.argv[2])
