"""Fixtures that several folders share: networks, artifacts, labelled brains, a browser."""

import os
import shutil
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest


def _raw_cubes(number: int, channels: int, seed: int = 0) -> np.ndarray:
    """Cubes as a microscope might give them, (n, c, z, y, x) float32 of whole numbers 0 to 4000.

    Background, noise and a blob differ between cubes, so that a network's answers do, too.
    """
    rng = np.random.default_rng(seed)
    shape = (number, channels, 20, 50, 50)
    z, y, x = np.ogrid[-9.5:10:1, -24.5:25:1, -24.5:25:1]
    one = (number, channels, 1, 1, 1)
    width = rng.uniform(2, 12, one)
    blob = np.exp(-((z * 2.5) ** 2 + y**2 + x**2) / (2 * width**2))
    cubes = rng.uniform(50, 1000, one) + rng.uniform(0, 2000, one) * blob
    cubes += rng.uniform(10, 300, one) * rng.standard_normal(shape, np.float32)
    return np.rint(np.clip(cubes, 0, 4000)).astype(np.float32)


@pytest.fixture(scope="session")
def raw_cubes():
    """Call it with (number, channels, seed=0) for cubes (n, c, z, y, x)."""
    return _raw_cubes


def _spread(model, cubes: np.ndarray, seed: int = 0) -> None:
    import keras
    import torch

    inputs = torch.from_numpy(cubes).permute(0, 3, 4, 2, 1)
    features = keras.Model(model.inputs, model.get_layer("final_average_pool").output)
    with torch.no_grad():
        pooled = features(inputs, training=False).cpu().numpy()
    # Where the features differ most: any other direction would enlarge rounding errors.
    _, sizes, directions = np.linalg.svd(pooled - pooled.mean(axis=0), full_matrices=False)
    rng = np.random.default_rng(seed)
    mixture = np.array([[-1, 1], [0, 0], [0, 0]]) + 0.3 * rng.standard_normal((3, 2))
    kernel = (sizes[:3, None] * directions[:3]).T @ mixture
    kernel /= (pooled @ kernel).std(axis=0)
    bias = -(pooled @ kernel).mean(axis=0)
    model.get_layer("fully_connected").set_weights([kernel, bias])


@pytest.fixture(scope="session")
def spread_logits():
    """Call it with (model, cubes, seed=0) to give both logits mean 0 and spread 1 over them.

    ``cellfinder_resnet`` did so for ``raw_cubes``; on other data a random network tends to give
    one answer to all. It changes the model, so ask for one of a seed of your own.
    """
    return _spread


@pytest.fixture(scope="session")
def cellfinder_resnet():
    """Call it with (depth, channels, seed=0) for cellfinder's own keras model, random throughout.

    The batch normalisations get statistics near those of their real inputs, and the last layer
    is scaled so that the probabilities spread: with keras' initial values (mean 0, variance 1,
    logits in the thousands) a mixed-up layer would go unseen.
    """

    @lru_cache(maxsize=2)  # ResNet-152 takes half a gigabyte
    def make(depth: int, channels: int, seed: int = 0):
        import torch
        from cellfinder.core.classify.resnet import build_model  # sets keras' backend, too

        rng = np.random.default_rng(seed)
        model = build_model((50, 50, 20, channels), network_depth=f"{depth}-layer")
        norms = [layer for layer in model.layers if type(layer).__name__ == "BatchNormalization"]
        for layer in model.layers:
            if type(layer).__name__ == "Conv3D":
                shape = layer.kernel.shape
                std = np.sqrt(2 / np.prod(shape[:-1]))
                layer.set_weights([std * rng.standard_normal(shape, np.float32)])
        for layer in norms:
            layer.momentum = 0.0  # one pass in training mode then leaves its own statistics
            mean, var = layer.get_weights()[2:]
            gamma, beta = rng.uniform(0.5, 1.5, mean.shape), rng.normal(0, 0.3, mean.shape)
            layer.set_weights([gamma, beta, mean, var])
        cubes = torch.from_numpy(_raw_cubes(12, channels, seed)).permute(0, 3, 4, 2, 1)
        with torch.no_grad():
            model(cubes, training=True)
        for layer in norms:
            gamma, beta, mean, var = layer.get_weights()
            mean += rng.normal(0, 0.2, mean.shape) * np.sqrt(var)
            var *= rng.uniform(0.7, 1.4, var.shape)
            layer.set_weights([gamma, beta, mean, var])
            layer.momentum = 0.99

        _spread(model, cubes.permute(0, 4, 3, 1, 2).numpy(), seed)
        return model

    return make


@pytest.fixture(scope="session")
def save_keras():
    """Call it with (model, format, path without suffix); it returns the path with it.

    Formats: ``legacy`` (``.h5``, weights only), ``whole`` (``.h5``, the model), ``weights``
    (``.weights.h5``) and ``keras`` (``.keras``).
    """

    def save(model, fmt: str, path: Path) -> Path:
        if fmt == "legacy":  # what Model.save_weights("x.h5") wrote before keras 3
            import h5py
            from keras.src.legacy.saving.legacy_h5_format import save_weights_to_hdf5_group

            path = path.with_name(f"{path.name}.h5")
            with h5py.File(path, "w") as file:
                save_weights_to_hdf5_group(file, model)
        elif fmt == "weights":
            path = path.with_name(f"{path.name}.weights.h5")
            model.save_weights(path)
        else:
            path = path.with_name(f"{path.name}{ {'whole': '.h5', 'keras': '.keras'}[fmt] }")
            model.save(path)
        return path

    return save


@pytest.fixture(scope="session")
def make_artifact(tmp_path_factory):
    """Call it with fields of a card for an artifact whose network is one linear layer on the cube.

    Its answer can be computed by hand: probability = softmax of (cube * weights).sum() per class
    (`linear_probability`); every voxel has its own weight, so that a swapped axis or channel, or
    a shift by a voxel, changes it. Returns the path of the sealed file.
    """

    def make(folder: Path | None = None, seed: int = 0, **fields) -> Path:
        import onnx
        from onnx import TensorProto, helper, numpy_helper

        from cfzoo.runtime.artifact import CARD_KEY, INPUT, OUTPUT, TEST_KEY, encode_test, seal
        from cfzoo.runtime.card import Card

        defaults = {
            "name": "linear",
            "version": "1.0.0",
            "cube_shape": (4, 6, 8),
            "voxel_size": (5, 2, 2),
            "channels": ("signal",),
            "normalisation": "none",
        }
        card = Card(**{**defaults, **fields})
        shape = (len(card.channels), *card.cube_shape)
        weights = linear_weights(shape, seed)
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
                numpy_helper.from_array(np.array([-1, weights[..., 0].size]), "shape"),
                numpy_helper.from_array(weights.reshape(-1, 2), "weights"),
            ],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
        test = np.arange(np.prod(shape), dtype=np.uint16).reshape(1, *shape)
        output = linear_probability(test.astype(np.float32), seed)
        output = np.stack([1 - output, output], 1)
        onnx.helper.set_model_props(
            model, {CARD_KEY: card.to_json(), TEST_KEY: encode_test(test, output)}
        )
        folder = folder or tmp_path_factory.mktemp("artifact")
        path = folder / card.file_name
        path.write_bytes(seal(model.SerializeToString(deterministic=True)))
        return path

    return make


def linear_weights(shape, seed: int = 0) -> np.ndarray:
    """(*shape, 2) float32, small enough that intensities of some thousands do not saturate."""
    rng = np.random.default_rng(seed)
    return (rng.normal(0, 1, (*shape, 2)) * 3e-5).astype(np.float32)


def linear_probability(cubes: np.ndarray, seed: int = 0) -> np.ndarray:
    """The probability of a cell that the artifacts of `make_artifact` give, (n,)."""
    weights = linear_weights(cubes.shape[1:], seed).astype(np.float64)
    logits = np.tensordot(cubes.astype(np.float64), weights, 4)
    return (1 / (1 + np.exp(logits[:, 0] - logits[:, 1]))).astype(np.float32)


@pytest.fixture(scope="session")
def linear():
    """`linear_probability`, for tests."""
    return linear_probability


@pytest.fixture(scope="session")
def labelled_brains(tmp_path_factory):
    """Folder of data.yaml with two small labelled brains, a and b, of two channels.

    16 x 50 x 50 voxels of 5 x 2 x 2 um, 40 candidates each; every other one is a cell, brighter
    than the noise around it by a little.
    """
    import tifffile

    folder = tmp_path_factory.mktemp("brains")
    shape, lines = (16, 50, 50), ["data:"]
    for seed, name in enumerate("ab"):
        rng = np.random.default_rng(seed)
        zyx = rng.integers(0, shape, (40, 3))
        signal = rng.integers(0, 3000, shape)
        for z, y, x in zyx[1::2]:
            signal[max(z - 1, 0) : z + 2, max(y - 2, 0) : y + 3, max(x - 2, 0) : x + 3] += 300
        tifffile.imwrite(folder / f"{name}.tif", signal.astype(np.uint16))
        background = rng.integers(0, 4000, shape).astype(np.uint16)
        tifffile.imwrite(folder / f"{name}-background.tif", background)
        rows = [f"{x},{y},{z},{1 + i % 2}" for i, (z, y, x) in enumerate(zyx)]
        (folder / f"{name}.csv").write_text("\n".join(["x,y,z,type", *rows]) + "\n")
        files = f"signal: {name}.tif, background: {name}-background.tif, points: {name}.csv"
        lines.append(f"  - {{name: {name}, {files}, voxel_size: [5, 2, 2]}}")
    (folder / "data.yaml").write_text("\n".join(lines) + "\n")
    return folder


@pytest.fixture(scope="session")
def browser():
    path = shutil.which("chromium")
    if path is None:
        reason = "chromium is not installed; on Debian: apt-get install chromium"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    if os.environ.get("CI"):
        from playwright.sync_api import sync_playwright
    else:
        sync_playwright = pytest.importorskip(
            "playwright.sync_api", reason="playwright is not installed; pip install playwright"
        ).sync_playwright
    root = hasattr(os, "geteuid") and os.geteuid() == 0
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=path, args=["--no-sandbox"] if root else [])
        yield browser
        browser.close()
