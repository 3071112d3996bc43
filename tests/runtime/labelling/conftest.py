"""A brain with known truth, a model whose prior is poor, and the page to label it on."""

import numpy as np
import pytest
import tifffile

from cfzoo.runtime.labelling import write_label_page
from cfzoo.runtime.points import read_points
from cfzoo.runtime.sample import VOXEL_SIZE, make_sample
from cfzoo.runtime.volume import open_volume


@pytest.fixture(scope="session")
def sample():
    return make_sample()


def blob_weights(n_features: int, seed: int, shape=(4, 6, 8)) -> np.ndarray:
    """(voxels, F) float32: blobs of growing width about the centre, with a little noise."""
    grids = np.meshgrid(*(np.arange(n) - n // 2 for n in shape), indexing="ij")
    distance = sum((grid * size) ** 2 for grid, size in zip(grids, (5, 2, 2), strict=True))
    widths = np.linspace(2, 14, n_features)
    blobs = np.exp(-distance.reshape(-1, 1) / (2 * widths**2))
    noise = np.random.default_rng(seed).normal(0, 0.02, blobs.shape)
    return ((blobs / blobs.sum(axis=0) + noise / len(blobs)) * 2e-3).astype(np.float32)


@pytest.fixture(scope="session")
def headed(script):
    """`tests/headed_artifact.py`, with features that tell cells from debris if well weighed."""
    module = script("tests/headed_artifact.py")
    module.projection = lambda n_features=5, seed=0: blob_weights(n_features, seed)
    return module


@pytest.fixture(scope="session")
def write_page(sample, headed, tmp_path_factory):
    """Call it for the page of the sample; it returns its path and what `write_label_page` did."""

    def write_page(
        n_features=12, names=("signal.tif",), rows=None, points="candidates.csv", **options
    ):
        folder = tmp_path_factory.mktemp("page")
        model = headed.write_artifact(folder, n_features)
        zyx = sample.zyx if rows is None else sample.zyx[rows]
        lines = [",".join(map(repr, row[::-1])) for row in zyx.tolist()]
        (folder / points).write_text("\n".join(["x,y,z", *lines]) + "\n")
        channels = (sample.signal, sample.background)
        for name, voxels in zip(names, channels, strict=False):
            tifffile.imwrite(folder / name, voxels)
        volumes = [open_volume(folder / name) for name in names]
        summary = write_label_page(
            folder / "labels.html",
            read_points(folder / points),
            volumes,
            model,
            voxel_size=VOXEL_SIZE,
            **options,
        )
        for volume in volumes:
            volume.close()
        return folder / "labels.html", summary

    return write_page
