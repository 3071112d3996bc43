"""A brain on a disk whose candidates make ten parts, and models of all kinds for it."""

import numpy as np
import pytest
import tifffile

from cfzoo.runtime.parts import Request

SHAPE = (60, 50, 60)


@pytest.fixture(scope="session")
def brain(tmp_path_factory, make_artifact, script):
    """Folder of signal.tif, background.tif, points.csv and the models linear, pair and headed."""
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
    script("tests/headed_artifact.py").write_artifact(folder)
    return folder


@pytest.fixture
def request_of(brain):
    """Call it with names of models, and fields of a `Request`."""

    def build(*models, **fields):
        paths = tuple(f"{model}-1.0.0.onnx" for model in models)
        fields = {"voxel_size": (5.0, 2.0, 2.0), "folder": str(brain)} | fields
        return Request("signal.tif", "points.csv", models=paths, **fields)

    return build
