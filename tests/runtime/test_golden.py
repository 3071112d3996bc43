"""Golden numbers of the released artifacts: on the sample, which is drawn from a seed."""

import numpy as np
import pytest

from cfzoo.runtime.artifact import bundled
from cfzoo.runtime.classify import classify
from cfzoo.runtime.sample import VOXEL_SIZE, make_sample

# name: (SHA-256 of the artifact, its probabilities for the first candidates of the sample)
GOLDEN = {
    "attention3d": (
        "6f1546576b7728a7e69310d8272bbbfd7c8753dcfffe950ab4b3007e90ce6e81",
        [0.2507, 0.9719, 0.9072, 0.969, 0.9676, 0.9782, 0.0126, 0.9613],
    ),
    "pipnet3d": (
        "4aac2b1472f6bcb1245f24e0b12ddd59c5868ad2e0bee396cc0cc989a7e4f2aa",
        [0.2705, 0.9564, 0.9206, 0.9563, 0.9463, 0.9561, 0.0226, 0.9566],
    ),
    "wavemix3d": (
        "236d4a70f6d5b46830ad392ed27b16ad0c2d40984e30072409f5df8941dcc583",
        [0.281, 0.9656, 0.8912, 0.9625, 0.967, 0.9725, 0.014, 0.9519],
    ),
}


def test_every_bundled_artifact_has_golden_numbers():
    assert bundled().keys() == GOLDEN.keys()


@pytest.mark.parametrize("name", GOLDEN)
def test_probabilities_on_the_sample(name):
    from cfzoo.runtime.artifact import read_artifact

    digest, expected = GOLDEN[name]
    assert read_artifact(name).card.digest == digest
    sample = make_sample()
    results = classify(sample.zyx, sample.signal, model=name, voxel_size=VOXEL_SIZE)
    np.testing.assert_allclose(results.probability[: len(expected)], expected, atol=1e-3)
    # Drawn brains are not what it was trained on; far better than chance all the same.
    assert np.mean(results.types == sample.types) > 0.75
