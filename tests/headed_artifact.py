"""Artifacts whose network is a linear map from cubes to features, and a head over them."""

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from cfzoo.runtime.artifact import (
    CARD_KEY,
    FEATURES,
    HEAD_NAMES,
    INPUT,
    OUTPUT,
    PLACES,
    TEST_KEY,
    Card,
    Head,
    encode_test,
    seal,
)

SHAPE = (4, 6, 8)


def make_head(n_features: int = 5, seed: int = 0) -> Head:
    rng = np.random.default_rng(seed)
    return Head(
        rng.normal(0, 1, (n_features, 1)).astype(np.float32),
        np.array([-0.3], np.float32),
        rng.normal(0, 1, n_features).astype(np.float32),
        rng.uniform(0.5, 2, n_features).astype(np.float32),
    )


def projection(n_features: int = 5, seed: int = 0) -> np.ndarray:
    """(voxels, F) float32: weights by which features of intensities up to 4000 are about 1."""
    rng = np.random.default_rng(seed + 100)
    return (rng.normal(0, 1, (np.prod(SHAPE), n_features)) * 5e-5).astype(np.float32)


def features_at(signal: np.ndarray, points: np.ndarray) -> np.ndarray:
    """(N, F) float32: features of points, z y x, in a volume, computed without the runtime."""
    padded = np.pad(signal, [(20, 20)] * 3, mode="edge")
    z, y, x = (points - [2, 3, 4]).astype(int).T + 20
    cubes = [padded[a : a + 4, b : b + 6, c : c + 8] for a, b, c in zip(z, y, x, strict=True)]
    return np.stack(cubes).reshape(len(points), -1) @ projection()


def make_model(n_features: int = 5, seed: int = 0, **fields) -> onnx.ModelProto:
    """The model without its seal; ``fields`` are those of the card."""
    defaults = {
        "name": "headed",
        "version": "1.0.0",
        "cube_shape": SHAPE,
        "voxel_size": (5, 2, 2),
        "channels": ("signal",),
        "normalisation": "none",
        "temperature": 1.5,
        "offset": 0.2,
        "standardisation": "volume",
    }
    card = Card(**{**defaults, **fields})
    head, weights = make_head(n_features, seed), projection(n_features, seed)
    constants = {
        "shape": np.array([-1, len(weights)]),
        "projection": weights,
        **dict(zip(HEAD_NAMES, head.arrays, strict=True)),
        PLACES: np.array([0, 1], np.float32),
        "temperature": np.array(card.temperature, np.float32),
        "offset": np.array([0, card.offset], np.float32),
    }
    steps = [
        ("Reshape", [INPUT, "shape"], "flat"),
        ("MatMul", ["flat", "projection"], FEATURES),
        ("Sub", [FEATURES, "head.centre"], "centred"),
        ("Div", ["centred", "head.spread"], "standard"),
        ("MatMul", ["standard", "head.weight"], "weighed"),
        ("Add", ["weighed", "head.bias"], "margin"),
        ("Mul", ["margin", PLACES], "logits"),
        ("Div", ["logits", "temperature"], "divided"),
        ("Add", ["divided", "offset"], "raised"),
        ("Softmax", ["raised"], OUTPUT),
    ]
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        [helper.make_node(operator, inputs, [output]) for operator, inputs, output in steps],
        "cfzoo",
        [value(INPUT, TensorProto.FLOAT, ["batch", 1, *SHAPE])],
        [
            value(OUTPUT, TensorProto.FLOAT, ["batch", 2]),
            value(FEATURES, TensorProto.FLOAT, ["batch", n_features]),
        ],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in constants.items()],
    )
    graph.node[-1].attribute.append(helper.make_attribute("axis", 1))
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    test = (np.arange(np.prod(SHAPE), dtype=np.uint16) * 20).reshape(1, 1, *SHAPE)
    features = test.reshape(1, -1).astype(np.float32) @ weights
    output = head.answer(features, card.temperature, card.offset)
    helper.set_model_props(model, {CARD_KEY: card.to_json(), TEST_KEY: encode_test(test, output)})
    return model


def seal_model(model: onnx.ModelProto) -> bytes:
    return seal(model.SerializeToString(deterministic=True))


def write_artifact(folder: Path, n_features: int = 5, seed: int = 0, **fields) -> Path:
    name = fields.get("name", "headed")
    path = folder / f"{name}-1.0.0.onnx"
    path.write_bytes(seal_model(make_model(n_features, seed, **fields)))
    return path
