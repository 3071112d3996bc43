"""Weights of every format that keras writes."""

import sys

import h5py
import numpy as np
import pytest

from cfzoo.runtime.errors import EnvironmentProblem
from cfzoo.zoo.weights import load_keras_weights
from cfzoo.zoo.weights.keras_weights import DEPTH_OF_CONVOLUTIONS

FORMATS = ("legacy", "whole", "weights", "keras")


@pytest.mark.parametrize("fmt", FORMATS)
def test_reads_every_format(fmt, saved, assert_equal):
    assert_equal(load_keras_weights(saved[fmt], 18))


@pytest.mark.slow
@pytest.mark.parametrize("fmt", FORMATS[1:])
def test_ignores_optimizer_state(fmt, cellfinder_resnet, save_keras, tmp_path, assert_equal):
    model = cellfinder_resnet(18, 2)
    model.optimizer.build(model.trainable_variables)
    path = save_keras(model, fmt, tmp_path / "w")
    assert path.stat().st_size > 3e8  # three times the weights, so the state is included
    assert_equal(load_keras_weights(path))
    path.unlink()


@pytest.mark.parametrize("fmt", FORMATS[1:])
def test_recognises_single_channel(fmt, cellfinder_resnet, save_keras, tmp_path):
    path = save_keras(cellfinder_resnet(18, 1), fmt, tmp_path / "w")
    weights = load_keras_weights(str(path))
    path.unlink()
    assert weights.channels == 1
    assert weights.state["conv1.weight"].shape == (64, 1, 3, 7, 7)


def test_matches_by_order_without_names(copy, assert_equal):
    """Files of keras before about 3.9 have no names."""
    path = copy("weights")
    with h5py.File(path, "r+") as file:
        for group in file["layers"].values():
            del group["vars"].attrs["name"]
    assert_equal(load_keras_weights(path))


def test_matches_by_order_with_foreign_names(copy, assert_equal):
    path = copy("legacy")
    with h5py.File(path, "r+") as file:
        names = list(file.attrs["layer_names"])
        file.attrs["layer_names"] = [f"layer_{i}" for i in range(len(names))]
        for i, name in enumerate(names):
            file.move(name, f"layer_{i}")
    assert_equal(load_keras_weights(path))


def test_matches_by_name_in_any_order(copy, assert_equal):
    path = copy("legacy")
    with h5py.File(path, "r+") as file:
        file.attrs["layer_names"] = sorted(file.attrs["layer_names"])
    assert_equal(load_keras_weights(path))


def test_reads_keras_2(copy, assert_equal):
    """Its weights are named ``kernel:0``, and it splits long lists of names."""
    path = copy("legacy")
    with h5py.File(path, "r+") as file:
        names = list(file.attrs["layer_names"])
        for name in names:
            keys = list(file[name].attrs["weight_names"])
            file[name].attrs["weight_names"] = np.array([f"{key}:0".encode() for key in keys], "S")
            for key in keys:
                file[name].move(key, f"{key}:0")
        del file.attrs["layer_names"]
        encoded = np.array([name.encode() for name in names])
        file.attrs["layer_names0"], file.attrs["layer_names1"] = encoded[:10], encoded[10:]
    assert_equal(load_keras_weights(path))


def test_refuses_another_depth(saved, assert_refuses):
    message = assert_refuses(saved["legacy"], "ResNet-18, but depth 50 was requested", 50)
    assert "Use depth 18" in message
    assert_refuses(saved["legacy"], "depth is 19; expected one of", 19)


def test_says_how_to_install_h5py(saved, monkeypatch):
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(EnvironmentProblem, match=r"pip install 'cfzoo\[export\]'"):
        load_keras_weights(saved["legacy"])


def test_every_depth_has_its_own_number_of_convolutions():
    assert DEPTH_OF_CONVOLUTIONS == {21: 18, 37: 34, 53: 50, 104: 101, 149: 152}
