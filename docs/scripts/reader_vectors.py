"""Write docs/readers/vectors.json: small artifacts, good and bad, for implementers of the format.

    python docs/scripts/reader_vectors.py

Each has a name, the file (base64), and what must refuse it, or null: "digest", the last 64 bytes
and the entry that holds them; "contents", a card or a test vector that is missing or contradicts
the graph; "answer", a network that does not reproduce its test vector; "guard", what the digest
does not stop and cfzoo refuses before any library sees it. Good ones have cubes (base64 of
little-endian float32, n c z y x) and the probabilities of a cell for them.
"""

import base64
import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from cfzoo.runtime.artifact import CARD_KEY, INPUT, OUTPUT, TEST_KEY, Card, encode_test, seal
from cfzoo.runtime.artifact.artifact import SEAL
from cfzoo.runtime.files import atomic_write

TARGET = Path(__file__).resolve().parent.parent / "readers" / "vectors.json"
CARD = Card(
    name="linear",
    version="1.0.0",
    cube_shape=(2, 3, 4),
    voxel_size=(5, 2, 2),
    channels=("signal",),
    normalisation="none",
)
TWO = dataclasses.replace(CARD, name="linear2", channels=("signal", "background"))
STATED = dataclasses.replace(CARD, metrics={"parity": {"tolerance": 5e-3}})
GREEDY = dataclasses.replace(CARD, metrics={"parity": {"tolerance": 0.5}})
N_CUBES = 5


def draw(card: Card, seed: int) -> np.ndarray:
    """Draw cubes (N_CUBES, C, z, y, x) of whole numbers."""
    shape = (N_CUBES, len(card.channels), *card.cube_shape)
    return np.random.RandomState(seed).randint(0, 4000, shape).astype(np.uint16)


def answer(card: Card, cubes: np.ndarray) -> np.ndarray:
    """Return the probabilities (n, 2) of the network of `build`, computed in float64."""
    logits = cubes.reshape(len(cubes), -1).astype(float) @ weights(card).astype(float)
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    return exponentials / exponentials.sum(axis=1, keepdims=True)


def weights(card: Card) -> np.ndarray:
    """Draw the weights (voxels, 2) float32 of the only layer."""
    size = len(card.channels) * int(np.prod(card.cube_shape))
    return (np.random.RandomState(size).normal(0, 1, (size, 2)) * 2e-4).astype(np.float32)


def build(card: Card, shift: float = 0.0) -> onnx.ModelProto:
    """Make a linear network with its card, and a test vector that is off by ``shift``."""
    shape = (len(card.channels), *card.cube_shape)
    size = [-1, int(np.prod(shape))]
    graph = helper.make_graph(
        [
            helper.make_node("Reshape", [INPUT, "shape"], ["flat"]),
            helper.make_node("MatMul", ["flat", "weights"], ["logits"]),
            helper.make_node("Softmax", ["logits"], [OUTPUT], axis=1),
        ],
        "cfzoo",
        [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, ["batch", *shape])],
        [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, ["batch", 2])],
        [
            numpy_helper.from_array(np.array(size), "shape"),
            numpy_helper.from_array(weights(card), "weights"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    model.ClearField("producer_name")
    cube = draw(card, 1)[:1]
    output = np.add(answer(card, cube), [[-shift, shift]])
    entries = {CARD_KEY: card.to_json(), TEST_KEY: encode_test(cube, np.round(output, 7))}
    helper.set_model_props(model, entries)
    return model


def finish(model: onnx.ModelProto) -> bytes:
    """Serialise and seal."""
    return seal(model.SerializeToString(deterministic=True))


def change(function: Callable[[onnx.ModelProto], object]) -> bytes:
    """Change the first good model and seal it, as an attacker would."""
    model = build(CARD)
    function(model)
    return finish(model)


def replace(entry: int, old: str, new: str) -> bytes:
    """Replace text of the card (0) or the test vector (1), and seal again."""

    def edit(model: onnx.ModelProto) -> None:
        value = model.metadata_props[entry].value
        assert old in value, (old, value)
        model.metadata_props[entry].value = value.replace(old, new)

    return change(edit)


def spoil_weights(model: onnx.ModelProto) -> None:
    """Give the weights a NaN."""
    values = weights(CARD)
    values[0, 0] = np.nan
    model.graph.initializer[1].CopyFrom(numpy_helper.from_array(values, "weights"))


def point_outside(model: onnx.ModelProto) -> None:
    """Leave the weights in another file."""
    tensor = model.graph.initializer[1]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../../etc/passwd")


def add_node(operator: str, **attributes: object) -> bytes:
    """Add a node that nothing needs."""
    node = helper.make_node(operator, [INPUT], ["further"], **attributes)
    return change(lambda model: model.graph.node.append(node))


def bad_files() -> dict[str, tuple[str, bytes]]:
    """Return what must refuse each bad file, and its bytes, by name."""
    good = finish(build(CARD))
    flipped = bytearray(good)
    flipped[good.rindex(b"weights") + 40] ^= 1
    test = json.loads(build(CARD).metadata_props[1].value)
    return {
        "empty": ("digest", b""),
        "one byte short": ("digest", good[:-1]),
        "half of the file": ("digest", good[: len(good) // 2]),
        "one byte more": ("digest", good + b"\0"),
        "one bit of a weight": ("digest", bytes(flipped)),
        "digest in capitals": ("digest", good[:-64] + good[-64:].upper()),
        "digest of another file": ("digest", good[:-64] + finish(build(TWO))[-64:]),
        "without the entry of the digest": ("digest", good[: -64 - len(SEAL)]),
        "no card": ("contents", change(lambda model: model.metadata_props.pop(0))),
        "no test vector": ("contents", change(lambda model: model.metadata_props.pop(1))),
        "card cut short": ("contents", replace(0, "}", "")),
        "schema 2": ("contents", replace(0, f'"schema": "{CARD.schema}"', '"schema": "2.0"')),
        "test cube of another size": ("contents", replace(1, test["cube"], "AAA=")),
        "NaN in the test vector": ("contents", replace(1, '"output": [', '"output": [NaN, ')),
        "another answer": ("answer", finish(build(CARD, 1e-3))),
        "answer beyond the largest tolerance": ("answer", finish(build(GREEDY, 0.05))),
        "card twice": (
            "guard",
            change(lambda model: model.metadata_props.append(model.metadata_props[0])),
        ),
        "key of the card twice": ("guard", replace(0, '"name": ', '"name": "x", "name": ')),
        "weights in another file": ("guard", change(point_outside)),
        "NaN as a weight": ("guard", change(spoil_weights)),
        "operator of another domain": ("guard", add_node("Gelu", domain="com.microsoft")),
        "control flow": ("guard", add_node("If", then_branch=build(CARD).graph)),
        "pooling over 10^9 voxels": ("guard", add_node("MaxPool", kernel_shape=[10**9] * 3)),
        "a function": ("guard", change(lambda model: model.functions.add(name="f", domain="x"))),
        "a later opset": ("guard", change(lambda m: setattr(m.opset_import[0], "version", 99))),
        "a comment": ("guard", change(lambda model: setattr(model, "doc_string", "hello"))),
        "a second input": (
            "guard",
            change(lambda m: m.graph.input.append(helper.make_tensor_value_info("x", 1, [1]))),
        ),
    }


def make() -> str:
    """Return the text of the file."""
    vectors: list[dict[str, object]] = []
    goods = {"one channel": (CARD, 0.0), "two channels": (TWO, 0.0), "tolerance": (STATED, 1e-3)}
    for name, (card, shift) in goods.items():
        cubes = draw(card, 2).astype("<f4")
        vectors.append(
            {
                "name": name,
                "refused_by": None,
                "file": base64.b64encode(finish(build(card, shift))).decode(),
                "cubes": base64.b64encode(cubes.tobytes()).decode(),
                "probability": [round(float(p), 9) for p in answer(card, cubes)[:, 1]],
            }
        )
    for name, (refused_by, data) in bad_files().items():
        file = base64.b64encode(data).decode()
        vectors.append({"name": name, "refused_by": refused_by, "file": file})
    return json.dumps({"vectors": vectors}, indent=1) + "\n"


if __name__ == "__main__":
    with atomic_write(TARGET) as file:
        file.write(make())
