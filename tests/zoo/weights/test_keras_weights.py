"""Every format that keras writes, and files that are wrong in every way we could think of."""

import json
import shutil
import sys
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from cfzoo.runtime.errors import EnvironmentProblem, InputError
from cfzoo.zoo.weights import keras_weights, load_keras_weights

FORMATS = ("legacy", "whole", "weights", "keras")


@pytest.fixture(scope="module")
def saved(cellfinder_resnet, save_keras, tmp_path_factory):
    """ResNet-18 in every format."""
    folder = tmp_path_factory.mktemp("keras")
    model = cellfinder_resnet(18, 2)
    yield {fmt: save_keras(model, fmt, folder / fmt) for fmt in FORMATS}
    shutil.rmtree(folder)  # half a gigabyte; pytest would keep three runs of it


@pytest.fixture
def copy(saved, tmp_path):
    """Call it with a format for a copy that may be damaged."""

    def make(fmt: str) -> Path:
        return Path(shutil.copy(saved[fmt], tmp_path))

    yield make
    shutil.rmtree(tmp_path)


@pytest.fixture(scope="module")
def expected(cellfinder_resnet):
    """Every tensor as it lies in keras' memory, by keras' layer, in torch's layout."""
    keys = {1: ["weight"], 2: ["weight", "bias"]}
    norm = ["weight", "bias", "running_mean", "running_var"]
    tensors = {}
    for layer in cellfinder_resnet(18, 2).layers:
        arrays = layer.get_weights()
        for key, array in zip(keys.get(len(arrays), norm), arrays, strict=False):
            turned = {5: "yxzio->oizyx", 2: "io->oi", 1: "i->i"}[array.ndim]
            tensors[f"{layer.name}_{key}"] = np.einsum(turned, array)
    return tensors


def check(weights, expected):
    got = {k.replace(".", "_"): v for k, v in weights.state.items()}
    assert weights.depth == 18
    assert weights.channels == 2
    norms = {k for k in got if k.endswith("num_batches_tracked")}
    assert got.keys() - norms == expected.keys()
    for key, array in expected.items():
        assert got[key].dtype == torch.float32
        np.testing.assert_array_equal(got[key], array, err_msg=key)


@pytest.mark.parametrize("fmt", FORMATS)
def test_reads_every_format(fmt, saved, expected):
    check(load_keras_weights(saved[fmt], 18), expected)


@pytest.mark.slow
@pytest.mark.parametrize("fmt", FORMATS[1:])
def test_passes_over_the_state_of_the_optimizer(
    fmt, cellfinder_resnet, save_keras, expected, tmp_path
):
    model = cellfinder_resnet(18, 2)
    model.optimizer.build(model.trainable_variables)
    path = save_keras(model, fmt, tmp_path / "w")
    assert path.stat().st_size > 3e8  # three times the weights: the state is there
    check(load_keras_weights(path), expected)
    path.unlink()


@pytest.mark.parametrize("fmt", FORMATS[1:])
def test_tells_one_channel(fmt, cellfinder_resnet, save_keras, tmp_path):
    path = save_keras(cellfinder_resnet(18, 1), fmt, tmp_path / "w")
    weights = load_keras_weights(str(path))
    path.unlink()
    assert weights.channels == 1
    assert weights.state["conv1.weight"].shape == (64, 1, 3, 7, 7)


def test_goes_by_order_where_keras_wrote_no_names(copy, expected):
    """Before keras 3.9 or so, and in files whose layers were renamed."""
    path = copy("weights")
    with h5py.File(path, "r+") as file:
        for group in file["layers"].values():
            del group["vars"].attrs["name"]
    check(load_keras_weights(path), expected)


def test_goes_by_order_where_the_names_are_foreign(copy, expected):
    path = copy("legacy")
    with h5py.File(path, "r+") as file:
        names = list(file.attrs["layer_names"])
        file.attrs["layer_names"] = [f"layer_{i}" for i in range(len(names))]
        for i, name in enumerate(names):
            file.move(name, f"layer_{i}")
    check(load_keras_weights(path), expected)


def test_goes_by_name_where_the_order_is_another(copy, expected):
    path = copy("legacy")
    with h5py.File(path, "r+") as file:
        file.attrs["layer_names"] = sorted(file.attrs["layer_names"])
    check(load_keras_weights(path), expected)


def test_reads_what_keras_2_wrote(copy, expected):
    """Its weights are called ``kernel:0``, and long lists of names are split."""
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
    check(load_keras_weights(path), expected)


def refused(path, match, depth=None):
    with pytest.raises(InputError, match=match) as info:
        load_keras_weights(path, depth)
    message = str(info.value)
    assert "\n" not in message
    assert len(message) < 600
    return message


def test_refuses_another_depth(saved):
    message = refused(saved["legacy"], "ResNet-18; depth 50 was asked for", 50)
    assert "Use depth 18" in message
    refused(saved["legacy"], "depth is 19; expected one of", 19)


def replace(group, key, **options):
    del group[key]
    group.create_dataset(key, **options)


def external_link(file):
    del file["conv1"]
    file["conv1"] = h5py.ExternalLink("/etc/passwd", "/")


def soft_link(file):
    file.move("conv1", "elsewhere")
    file["conv1"] = h5py.SoftLink("/elsewhere")


def external_data(file):
    del file["conv1/conv1/kernel"]
    file["conv1/conv1"].create_dataset(
        "kernel", (7, 7, 3, 2, 64), "f4", external=[("/etc/passwd", 0, 75264)]
    )


def virtual_data(file):
    del file["conv1/conv1/kernel"]
    layout = h5py.VirtualLayout((7, 7, 3, 2, 64), "f4")
    layout[:] = h5py.VirtualSource("other.h5", "x", (7, 7, 3, 2, 64))
    file["conv1/conv1"].create_virtual_dataset("kernel", layout)


def edit(key, change):
    def apply(file):
        values = file[key][()]
        change(values)
        file[key][...] = values

    return apply


def attribute(key, name, value):
    def apply(file):
        file[key].attrs[name] = value

    return apply


def to_nan(values):
    values.flat[-1] = np.nan


def below_zero(values):
    values[-1] = -1e-3


BN = "conv1_bn/conv1_bn"
KERNEL = "conv1/conv1/kernel"


@pytest.mark.parametrize(
    ("damage", "match"),
    [
        (lambda f: f.pop("resunit3_block1_bn_b"), "lacks the layer resunit3_block1_bn_b"),
        (lambda f: f.pop("resunit3_block1_conv_b"), "holds 20 3D convolutions"),
        (lambda f: f.pop("conv1/conv1/kernel"), "lacks 'conv1/kernel'"),
        (lambda f: f.pop(f"{BN}/beta"), "lacks 'conv1_bn/beta'"),
        (attribute("conv1_bn", "weight_names", ["conv1_bn/beta"]), "has 1 arrays"),
        (attribute("/", "layer_names", ["conv1"]), "holds 1 3D convolutions"),
        (lambda f: f.attrs.pop("layer_names"), "holds 0 3D convolutions"),
        (attribute("/", "layer_names", 3), "cannot be read"),
        (attribute("conv1", "weight_names", [b"\xff"]), "cannot be read"),
        (
            lambda f: replace(f, KERNEL, shape=(7, 7, 3, 4, 64), dtype="f4"),
            "is for 4 channels",
        ),
        (
            lambda f: replace(f, "resunit2_block0_conv_a/resunit2_block0_conv_a/kernel",
                              shape=(3, 3, 3, 64, 65), dtype="f4"),
            r"holds \(3, 3, 3, 64, 65\) in layer resunit2_block0_conv_a",
        ),
        # What a network with one mean per channel would hold.
        (lambda f: replace(f, f"{BN}/gamma", shape=(64,), dtype="f4"), r"\(12,\) is expected"),
        (lambda f: replace(f, KERNEL, shape=(7, 7, 3, 2, 64), dtype="i4"), "int32"),
        (edit(KERNEL, to_nan), "NaN"),
        (edit(f"{BN}/moving_variance", below_zero), "negative variance in layer conv1_bn"),
        (external_link, "is a link"),
        (soft_link, "is a link"),
        (external_data, "lies in another file"),
        (virtual_data, "lies in another file"),
        # Declared huge, stored as nothing: refused by its shape, or read it would take 4 TB.
        (
            lambda f: replace(f, f"{BN}/beta", shape=(1 << 40,), dtype="f4", chunks=(1 << 20,)),
            "holds",
        ),
        (
            lambda f: replace(f, f"{BN}/beta", shape=(12,), maxshape=(None,), dtype="f4",
                              chunks=(1 << 28,), compression="gzip"),
            "oversized chunk",
        ),
        (lambda f: replace(f, "conv1", shape=(2,), dtype="f4"), "is a Dataset, not a Group"),
    ],
)  # fmt: skip
def test_refuses_damaged_hdf5(damage, match, copy):
    path = copy("legacy")
    with h5py.File(path, "r+") as file:
        damage(file)
    refused(path, match)


def test_refuses_a_layer_too_many(copy):
    path = copy("legacy")
    with h5py.File(path, "r+") as file:
        file.copy("conv1_bn", "dropout_bn")
        file.attrs["layer_names"] = [*file.attrs["layer_names"], "dropout_bn"]
    refused(path, "has a layer 'dropout_bn' that is not known")


@pytest.mark.parametrize("fmt", FORMATS)
@pytest.mark.parametrize("share", [0.0, 1e-7, 0.001, 0.5, 0.999])
def test_refuses_truncated_files(fmt, share, copy):
    path = copy(fmt)
    with path.open("r+b") as file:
        file.truncate(int(share * path.stat().st_size))
    refused(path, str(path))


def test_refuses_unnamed_layers_that_do_not_fit(copy):
    path = copy("weights")
    with h5py.File(path, "r+") as file:
        for group in file["layers"].values():
            del group["vars"].attrs["name"]
        del file["layers/batch_normalization_3"]
    refused(path, "has 42 layers of weights, not 43")
    with h5py.File(path, "r+") as file:
        file.copy("layers/batch_normalization_4", "layers/batch_normalization_3")
        file.copy("layers/batch_normalization_4", "layers/batch_normalization_99")
    refused(path, "has 44 layers of weights, not 43")


@pytest.mark.parametrize(
    ("kind", "changed", "match"),
    [
        ("InputLayer", {"batch_shape": [None, 60, 60, 20, 2]}, "InputLayer with"),
        ("BatchNormalization", {"axis": 4}, "BatchNormalization with"),
        ("BatchNormalization", {"epsilon": 1e-3}, "BatchNormalization with"),
        ("Dense", {"activation": "sigmoid"}, "Dense with sigmoid"),
        ("Dense", None, "cannot be read"),
    ],
)
def test_refuses_the_same_weights_in_another_network(kind, changed, match, copy):
    path = copy("whole")
    with h5py.File(path, "r+") as file:
        config = json.loads(file.attrs["model_config"])
        for layer in config["config"]["layers"]:
            if layer["class_name"] == kind:
                layer["config"] = changed and layer["config"] | changed
        file.attrs["model_config"] = json.dumps(config)
    refused(path, match)


def zipped(path, **members):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name.replace("_json", ".json").replace("_h5", ".weights.h5"), data)
    return path


def test_refuses_wrong_zips(tmp_path):
    path = tmp_path / "x.keras"
    refused(zipped(path, config_json="{}"), "zip without model.weights.h5")
    refused(zipped(path, model_h5=b"no weights"), "cannot be read")
    refused(zipped(path, model_h5=bytes(64 << 20)), "67108864 bytes, far too large")
    refused(zipped(path, model_h5=b"", config_json=bytes(64 << 20)), "far too large")
    refused(zipped(path, model_h5=b"", config_json=b"x" * (17 << 20)), "far too large")


def test_refuses_a_zip_with_a_flipped_byte(copy):
    path = copy("keras")
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // 2)
        byte = file.read(1)[0]
        file.seek(-1, 1)
        file.write(bytes([byte ^ 1]))
    refused(path, "Bad CRC-32")


def test_checks_the_description_inside_a_zip(copy, tmp_path):
    path = copy("keras")
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(tmp_path / "y.keras", "w") as new:
        config = old.read("config.json").replace(b'"softmax"', b'"sigmoid"')
        new.writestr("config.json", config)
        new.writestr("model.weights.h5", old.read("model.weights.h5"))
    refused(tmp_path / "y.keras", "Dense with sigmoid")


@pytest.mark.parametrize("content", [b"", b"hello", b"\x89HDF\r\n\x1a\n", b"PK\x03\x04" * 9])
def test_refuses_other_files(content, tmp_path):
    path = tmp_path / "w.h5"
    path.write_bytes(content)
    refused(path, str(path))


def test_refuses_what_is_no_file(tmp_path):
    refused(tmp_path / "absent.h5", "is no file")
    refused(tmp_path, "is no file")


def test_refuses_oversized_files(tmp_path):
    path = tmp_path / "w.h5"
    with path.open("wb") as file:
        file.write(b"\x89HDF\r\n\x1a\n")
        file.truncate((4 << 30) + 1)  # sparse: takes no room
    refused(path, "more than")


def test_other_hdf5_files_are_not_taken_for_weights(tmp_path):
    path = tmp_path / "w.h5"
    with h5py.File(path, "w") as file:
        file.create_group("layers/conv3d/vars")["0"] = np.zeros((3, 3, 3, 1, 1), "f4")
    refused(path, "holds 1 3D convolutions")


def test_says_how_to_install_h5py(saved, monkeypatch):
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(EnvironmentProblem, match=r"pip install 'cfzoo\[export\]'"):
        load_keras_weights(saved["legacy"])


def test_every_depth_has_its_own_number_of_convolutions():
    assert keras_weights._COUNTS == {21: 18, 37: 34, 53: 50, 104: 101, 149: 152}
