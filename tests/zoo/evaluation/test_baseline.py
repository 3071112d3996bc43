from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from cfzoo.runtime.points import read_points
from cfzoo.runtime.volume import open_volume
from cfzoo.zoo.evaluation import local_contrast

CFOS = Path(__file__).parents[4] / "shared" / "data" / "delivr_cfos"
VOXEL = (6.0, 1.62, 1.62)


def test_bright_box_scores_above_background_and_scale_cancels():
    rng = np.random.default_rng(0)
    block = rng.normal(1000, 10, (20, 60, 60)).astype(np.float32)
    block[9:12, 28:33, 28:33] += 500
    zyx = np.array([[10.0, 30, 30], [10, 10, 10], [-3, 80, 200]])
    score = local_contrast(block, zyx, VOXEL)
    assert score.shape == (3,)
    assert score[0] > 0.1 > abs(score[1:]).max()
    np.testing.assert_allclose(local_contrast(block * 4, zyx, VOXEL), score, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize(("block", "auc"), [(695, 0.97), (753, 0.96), (969, 0.79), (1008, 0.69)])
def test_auc_on_real_blocks(block, auc):
    with open_volume(CFOS / str(block) / "signal.tif") as volume:
        signal = volume.read(*(slice(0, n) for n in volume.shape))
    points = read_points(CFOS / str(block) / "labelled.xml")
    score = local_contrast(signal, points.zyx, VOXEL)
    assert roc_auc_score(points.types == 2, score) == pytest.approx(auc, abs=0.02)


def test_distant_nan_does_not_change_scores():
    rng = np.random.default_rng(0)
    block = rng.normal(1000, 50, (20, 80, 80)).astype(np.float32)
    zyx = np.array([[10.0, 20, 20], [12, 60, 30]])
    before = local_contrast(block, zyx, (5, 2, 2))
    block[0, 79, 79] = np.nan
    assert np.array_equal(local_contrast(block, zyx, (5, 2, 2)), before)
