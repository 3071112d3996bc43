"""Fixtures that several folders share: networks, artifacts, labelled brains, a browser."""

import atexit
import importlib.util
import logging
import os
import shutil
import tempfile
from functools import lru_cache
from pathlib import Path

if "PYTEST_XDIST_WORKER" in os.environ:  # processes share the cores: one thread each for torch
    os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pytest

if "CFZOO_CACHE" not in os.environ:  # else another process of this run has set it
    # Trials of models are remembered there, for all processes of the run and for it alone.
    os.environ["CFZOO_CACHE"] = tempfile.mkdtemp(prefix="cfzoo-tests-")
    atexit.register(shutil.rmtree, os.environ["CFZOO_CACHE"], ignore_errors=True)
if "CFZOO_CONFIG" not in os.environ:  # the keys that this user trusts are no part of the tests
    os.environ["CFZOO_CONFIG"] = tempfile.mkdtemp(prefix="cfzoo-tests-")
    atexit.register(shutil.rmtree, os.environ["CFZOO_CONFIG"], ignore_errors=True)
os.environ.pop("CFZOO_SIGNATURES", None)


def load_script(path: str):
    """A file outside of the package as a module; the path is from the repository's root."""
    file = Path(__file__).resolve().parent.parent / path
    spec = importlib.util.spec_from_file_location(f"script_{file.stem}", file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def script():
    """`load_script`, for tests."""
    return load_script


@pytest.fixture
def logged():
    """List that grows with the messages that cfzoo logs during a test.

    pytest's own ``caplog`` is switched off with its plugin, whose handler on the root logger would
    keep warnings from standard error. What other tests do with that stream does not matter here.
    """
    messages, logger = [], logging.getLogger("cfzoo")
    handler = logging.Handler()
    handler.emit = lambda record: messages.append(record.getMessage())
    level, disabled = logger.level, logger.disabled
    logger.setLevel(logging.INFO)
    logger.disabled = False
    logger.addHandler(handler)
    yield messages
    logger.removeHandler(handler)
    logger.setLevel(level)
    logger.disabled = disabled


@pytest.fixture(scope="session")
def raw_cubes():
    """Call it with (number, channels, seed=0) for cubes (n, c, z, y, x)."""
    return load_script("tests/random_resnet.py").raw_cubes


@pytest.fixture(scope="session")
def spread_logits():
    """Call it with (model, cubes, seed=0) to give both logits mean 0 and deviation 1 over cubes.

    ``cellfinder_resnet`` has done so for ``raw_cubes``; on other data, a random network tends to
    give the same answer for all cubes. It changes the model, so use one with its own seed.
    """
    return load_script("tests/random_resnet.py").spread_logits


@pytest.fixture(scope="session")
def cellfinder_resnet():
    """Call it with (depth, channels, seed=0, planes=20) for cellfinder's own random keras model.

    See `tests/random_resnet.py`.
    """
    # The cache is small because a ResNet-152 takes half a gigabyte.
    return lru_cache(maxsize=2)(load_script("tests/random_resnet.py").random_resnet)


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

        from cfzoo.runtime.artifact import (
            CARD_KEY,
            INPUT,
            OUTPUT,
            TEST_KEY,
            Card,
            encode_test,
            seal,
        )

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
def web_server():
    from pytest_httpserver import HTTPServer

    logging.getLogger("werkzeug").setLevel("CRITICAL")  # tests read standard error
    with HTTPServer(host="127.0.0.1", threaded=True) as server:
        yield server


@pytest.fixture
def web(web_server, tmp_path, monkeypatch):
    """A server of pytest-httpserver without content, and an empty cache at tmp_path/cache."""
    monkeypatch.setenv("CFZOO_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
    web_server.clear()
    web_server.no_handler_status_code = 404
    if not web_server.is_running():  # a test has stopped it
        web_server.start()
    return web_server


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


@pytest.fixture
def visit(browser, address):
    """Function that loads the page at ``address``, or another, with options of a browser context.

    A test fails on an error or warning on the console, an exception, or any request other than
    that for the page.
    """
    contexts, complaints, requests = [], [], []

    def load(url=address, **options):
        options = {"viewport": {"width": 1280, "height": 800}} | options
        context = browser.new_context(**options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(10_000)
        page.on("console", lambda m: m.type in ("error", "warning") and complaints.append(m.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: requests.append((request.url, url)))
        page.goto(url)
        return page

    yield load
    for context in contexts:
        context.close()
    assert complaints == []
    assert requests
    assert [
        request for request, url in requests if request != url and not request.startswith("data:")
    ] == []
