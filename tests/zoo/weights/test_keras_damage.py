"""Refusal of HDF5 files whose layers are damaged, or of another network."""

import json
import zipfile

import h5py
import numpy as np
import pytest


def replace_dataset(key, **options):
    def apply(file):
        del file[key]
        file.create_dataset(key, **options)

    return apply


def add_external_link(file):
    del file["conv1"]
    file["conv1"] = h5py.ExternalLink("/etc/passwd", "/")


def add_soft_link(file):
    file.move("conv1", "elsewhere")
    file["conv1"] = h5py.SoftLink("/elsewhere")


def add_external_data(file):
    del file["conv1/conv1/kernel"]
    file["conv1/conv1"].create_dataset(
        "kernel", (7, 7, 3, 2, 64), "f4", external=[("/etc/passwd", 0, 75264)]
    )


def add_virtual_data(file):
    del file["conv1/conv1/kernel"]
    layout = h5py.VirtualLayout((7, 7, 3, 2, 64), "f4")
    layout[:] = h5py.VirtualSource("other.h5", "x", (7, 7, 3, 2, 64))
    file["conv1/conv1"].create_virtual_dataset("kernel", layout)


def change_values(key, change):
    def apply(file):
        values = file[key][()]
        change(values)
        file[key][...] = values

    return apply


def set_attribute(key, name, value):
    def apply(file):
        file[key].attrs[name] = value

    return apply


def put_nan(values):
    values.flat[-1] = np.nan


def put_negative(values):
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
        (set_attribute("conv1_bn", "weight_names", ["conv1_bn/beta"]), "has 1 arrays"),
        (set_attribute("/", "layer_names", ["conv1"]), "holds 1 3D convolutions"),
        (lambda f: f.attrs.pop("layer_names"), "holds 0 3D convolutions"),
        (set_attribute("/", "layer_names", 3), "cannot be read"),
        (set_attribute("conv1", "weight_names", [b"\xff"]), "cannot be read"),
        (
            replace_dataset(KERNEL, shape=(7, 7, 3, 4, 64), dtype="f4"),
            "is for 4 channels",
        ),
        (
            replace_dataset(
                "resunit2_block0_conv_a/resunit2_block0_conv_a/kernel",
                shape=(3, 3, 3, 64, 65),
                dtype="f4",
            ),
            r"holds \(3, 3, 3, 64, 65\) in layer resunit2_block0_conv_a",
        ),
        # The shape in a network with one mean per channel.
        (replace_dataset(f"{BN}/gamma", shape=(64,), dtype="f4"), r"not \(12,\)"),
        (replace_dataset(KERNEL, shape=(7, 7, 3, 2, 64), dtype="i4"), "int32"),
        (change_values(KERNEL, put_nan), "NaN"),
        (
            change_values(f"{BN}/moving_variance", put_negative),
            "negative variance in layer conv1_bn",
        ),
        (add_external_link, "is a link"),
        (add_soft_link, "is a link"),
        (add_external_data, "lies in another file"),
        (add_virtual_data, "lies in another file"),
        # Declared as 4 TB but stored as nothing: the shape must be refused before reading.
        (
            replace_dataset(f"{BN}/beta", shape=(1 << 40,), dtype="f4", chunks=(1 << 20,)),
            "holds",
        ),
        (
            replace_dataset(
                f"{BN}/beta",
                shape=(12,),
                maxshape=(None,),
                dtype="f4",
                chunks=(1 << 28,),
                compression="gzip",
            ),
            "oversized chunk",
        ),
        (replace_dataset("conv1", shape=(2,), dtype="f4"), "is a Dataset, not a Group"),
    ],
)
def test_refuses_damaged_hdf5(damage, match, copy, assert_refuses):
    path = copy("legacy")
    with h5py.File(path, "r+") as file:
        damage(file)
    assert_refuses(path, match)


def test_refuses_additional_layer(copy, assert_refuses):
    path = copy("legacy")
    with h5py.File(path, "r+") as file:
        file.copy("conv1_bn", "dropout_bn")
        file.attrs["layer_names"] = [*file.attrs["layer_names"], "dropout_bn"]
    assert_refuses(path, "has an unknown layer 'dropout_bn'")


def test_refuses_wrong_number_of_unnamed_layers(copy, assert_refuses):
    path = copy("weights")
    with h5py.File(path, "r+") as file:
        for group in file["layers"].values():
            del group["vars"].attrs["name"]
        del file["layers/batch_normalization_3"]
    assert_refuses(path, "has 42 layers of weights, not 43")
    with h5py.File(path, "r+") as file:
        file.copy("layers/batch_normalization_4", "layers/batch_normalization_3")
        file.copy("layers/batch_normalization_4", "layers/batch_normalization_99")
    assert_refuses(path, "has 44 layers of weights, not 43")


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
def test_refuses_same_weights_in_another_network(kind, changed, match, copy, assert_refuses):
    path = copy("whole")
    with h5py.File(path, "r+") as file:
        config = json.loads(file.attrs["model_config"])
        for layer in config["config"]["layers"]:
            if layer["class_name"] == kind:
                layer["config"] = changed and layer["config"] | changed
        file.attrs["model_config"] = json.dumps(config)
    assert_refuses(path, match)


def test_checks_description_in_zip(copy, tmp_path, assert_refuses):
    path = copy("keras")
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(tmp_path / "y.keras", "w") as new:
        config = old.read("config.json").replace(b'"softmax"', b'"sigmoid"')
        new.writestr("config.json", config)
        new.writestr("model.weights.h5", old.read("model.weights.h5"))
    assert_refuses(tmp_path / "y.keras", "Dense with sigmoid")


def test_refuses_other_hdf5_files(tmp_path, assert_refuses):
    path = tmp_path / "w.h5"
    with h5py.File(path, "w") as file:
        file.create_group("layers/conv3d/vars")["0"] = np.zeros((3, 3, 3, 1, 1), "f4")
    assert_refuses(path, "holds 1 3D convolutions")
