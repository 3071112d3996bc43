"""Classify the same points with the installed cellfinder and with `main`, and compare.

    python parity.py FOLDER DEPTH

FOLDER holds signal.npy, background.npy, points.npy (n, 3) of z y x, and for each of CASES that is
to be compared NAME.weights.h5 of a ResNet of DEPTH layers and NAME.onnx, the artifact that `cfzoo
import` made from it. Prints one line of JSON.
"""

import inspect
import json
import sys
import warnings
from importlib.metadata import version
from pathlib import Path

import numpy as np

# Name, channels, whether the network is 2D.
CASES = (("1", 1, False), ("2", 2, False), ("1-flat", 1, True), ("2-flat", 2, True))


def main(folder: Path, depth: str) -> None:
    from cellfinder.core.classify import classify

    from cfzoo.runtime import cellfinder as room

    volumes = [np.load(folder / f"{n}.npy") for n in ("signal", "background")]
    zyx = np.load(folder / "points.npy")
    report = {"cellfinder": version("cellfinder"), "python": sys.version.split()[0]}
    report["same signature"] = same_signature(classify.main, room.main)
    if (folder / "1.onnx").exists():
        report["positional"] = positional_calls(classify, room, zyx[:20], volumes[0], folder)
    for name, channels, flat in CASES:
        files = folder / f"{name}.weights.h5", folder / f"{name}.onnx", depth
        if not files[0].exists():
            continue
        arrays = [*volumes[:channels], None][:2]
        options = {"dimensions": 2} if flat else {}
        report[name] = compare(classify, room, zyx, arrays, (5, 2, 2), files, options)
        if flat:  # arrays (y, x), of which all points are in the only plane
            plane = [array if array is None else array[15] for array in arrays]
            points = zyx * [0, 1, 1]
            report[f"{name} (y, x)"] = compare(
                classify, room, points, plane, (2, 2), files, options
            )
    print(json.dumps(report))


def compare(module, room, zyx, arrays, voxel_size, files, options) -> dict:
    """Compare cellfinder's cells with those of `main`, by position and by name, and patched."""
    weights, artifact, depth = files
    cells = cells_at(zyx)
    # A positional call up to pin_memory, which all releases take.
    first = [cells, *arrays, 0, voxel_size, (5, 1, 1)[-len(voxel_size) :], 32, 50, 50, 20]
    reference, answers = record_answers(module, [*first, None, weights, depth, 0, False], options)
    batches: list[int] = []
    call = [*first, artifact, None, depth, 0, False]
    classified = room.main(*call, callback=batches.append, metadata=True, **options)
    few = [cells[:60], *first[1:]]  # enough for calls that end in the same function
    names = list(inspect.signature(module.main).parameters)
    named = dict(zip(names, [*few, artifact, None, depth], strict=False))
    with room.enabled():
        patched = module.main(*few, artifact, None, depth, 0, False, **options)
        keyword = module.main(**named, max_workers=0, **options)
    same = label(reference) == label(classified)
    places = {(c.x, c.y, c.z) for c in cells[:60]}
    expected = [row for row in label(reference) if row[:3] in places]
    probability = np.array([cell.metadata["probability"] for cell in classified])
    return {
        "points": len(reference),
        "cells": sum(c.type == 2 for c in reference),
        "same labels": same and label(patched) == label(keyword) == expected,
        "largest difference": float(np.abs(probability - answers).max()),
        "batches": batches == list(range(-(-len(reference) // 32))),
    }


def label(cells) -> list[tuple]:
    return [(c.x, c.y, c.z, c.type) for c in cells]


def cells_at(zyx) -> list:
    from brainglobe_utils.cells.cells import Cell

    return [Cell((int(x), int(y), int(z)), Cell.UNKNOWN) for z, y, x in zyx]


def same_signature(theirs, ours) -> bool:
    expected, actual = (inspect.signature(f).parameters for f in (theirs, ours))
    return list(actual)[: len(expected)] == list(expected) and all(
        (actual[name].kind, actual[name].default) == (parameter.kind, parameter.default)
        for name, parameter in expected.items()
    )


def record_answers(module, arguments, options) -> tuple[list, np.ndarray]:
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
        cells = module.main(*arguments, **options)
    finally:
        module.get_model = original
    return cells, np.concatenate(outputs)[:, 1]


def positional_calls(module, room, zyx, signal, folder) -> str:
    """Call with every argument by position, where dimensions and callback may be exchanged."""
    names = list(inspect.signature(module.main).parameters)
    first = [
        cells_at(zyx),
        signal,
        None,
        0,
        (5, 2, 2),
        (5, 1, 1),
        32,
        50,
        50,
        20,
        folder / "1.onnx",
        None,
    ]
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
