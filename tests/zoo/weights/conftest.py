"""cellfinder's ResNet-18 in every format that keras writes, and checks of what is read."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from cfzoo.runtime.errors import InputError
from cfzoo.zoo.weights import load_keras_weights

FORMATS = ("legacy", "whole", "weights", "keras")


@pytest.fixture(scope="session")
def saved(cellfinder_resnet, save_keras, tmp_path_factory):
    """Paths of ResNet-18 by format."""
    folder = tmp_path_factory.mktemp("keras")
    model = cellfinder_resnet(18, 2)
    yield {fmt: save_keras(model, fmt, folder / fmt) for fmt in FORMATS}
    shutil.rmtree(folder)  # half a gigabyte, of which pytest would keep three runs


@pytest.fixture
def copy(saved, tmp_path):
    """Return a function that copies the file of a format, so that a test may damage it."""

    def copy_format(fmt: str) -> Path:
        return Path(shutil.copy(saved[fmt], tmp_path))

    yield copy_format
    shutil.rmtree(tmp_path)


@pytest.fixture(scope="session")
def expected(cellfinder_resnet):
    """Tensors of keras' layers by name, in torch's layout."""
    keys = {1: ["weight"], 2: ["weight", "bias"]}
    norm = ["weight", "bias", "running_mean", "running_var"]
    tensors = {}
    for layer in cellfinder_resnet(18, 2).layers:
        arrays = layer.get_weights()
        for key, array in zip(keys.get(len(arrays), norm), arrays, strict=False):
            axes = {5: "yxzio->oizyx", 2: "io->oi", 1: "i->i"}[array.ndim]
            tensors[f"{layer.name}_{key}"] = np.einsum(axes, array)
    return tensors


@pytest.fixture
def assert_equal(expected):
    """Return a function that compares weights with keras' own."""

    def compare(weights):
        tensors = {k.replace(".", "_"): v for k, v in weights.state.items()}
        assert weights.depth == 18
        assert weights.channels == 2
        counters = {k for k in tensors if k.endswith("num_batches_tracked")}
        assert tensors.keys() - counters == expected.keys()
        for key, array in expected.items():
            assert tensors[key].dtype == torch.float32
            np.testing.assert_array_equal(tensors[key], array, err_msg=key)

    return compare


@pytest.fixture
def assert_refuses():
    """Return a function that checks that a file is refused with a one-line message."""

    def check(path, match, depth=None):
        with pytest.raises(InputError, match=match) as error:
            load_keras_weights(path, depth)
        message = str(error.value)
        assert "\n" not in message
        assert len(message) < 600
        return message

    return check
