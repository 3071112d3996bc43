"""A brain on a disk whose candidates make ten parts, and models of all kinds for it."""

import dataclasses

import numpy as np
import pytest
import tifffile

from cfzoo.runtime.parts import Request
from cfzoo.runtime.shift import describe_training, measure_training

SHAPE = (60, 50, 60)


@pytest.fixture(scope="session")
def brain(tmp_path_factory, make_artifact, script):
    """Folder of two volumes, points.csv and the models linear, pair, headed and kinds."""
    folder = tmp_path_factory.mktemp("brain")
    rng = np.random.default_rng(0)
    for name in ("signal", "background"):
        tifffile.imwrite(folder / f"{name}.tif", rng.integers(0, 4000, SHAPE).astype(np.uint16))
    zyx = rng.integers(-5, np.array(SHAPE) + 5, (760, 3))  # a few lie outside
    lines = [f"{x},{y},{z},{row}" for row, (z, y, x) in enumerate(zyx)]
    (folder / "points.csv").write_text("\n".join(["x,y,z,animal", *lines]) + "\n")
    appearance = {"appearance": {"contrast": [5.0, 6.0]}}
    make_artifact(folder, training=appearance)
    channels = ("signal", "background")
    make_artifact(folder, name="pair", channels=channels, normalisation="dataset")
    headed = script("tests/headed_artifact.py")
    headed.write_artifact(folder)
    cubes = rng.integers(0, 4000, (300, headed.projection().shape[0])).astype(np.float32)
    features, is_cell = cubes @ headed.projection(), np.arange(300) % 2 == 0
    training = measure_training([("like", features, is_cell), ("unlike", features + 1, is_cell)])
    like, unlike = training.blocks
    blocks = dataclasses.replace(like, intercept=1.5), dataclasses.replace(unlike, intercept=-1.0)
    field = describe_training(dataclasses.replace(training, blocks=blocks))
    headed.write_artifact(folder, name="kinds", standardisation="training", features=field)
    return folder


@pytest.fixture
def request_of(brain):
    """Call it with names of models, and fields of a `Request`."""

    def build(*models, **fields):
        paths = tuple(f"{model}-1.0.0.onnx" for model in models)
        fields = {"voxel_size": (5.0, 2.0, 2.0), "folder": str(brain)} | fields
        return Request("signal.tif", "points.csv", models=paths, **fields)

    return build
