import numpy as np
import pytest

from cfzoo.export.graph import fuse, recalibrate
from cfzoo.export.release import export_ensemble
from cfzoo.runtime.artifact import (
    Ensemble,
    Member,
    apply_temperature,
    bundled,
    ensemble_json,
    read_artifact,
)
from cfzoo.runtime.errors import InputError
from cfzoo.runtime.session import Session

NAMES = ("attention3d", "wavemix3d", "pipnet3d")


@pytest.fixture(scope="module")
def cubes():
    rng = np.random.default_rng(3)
    level = rng.normal(0, 30, (64, 1, 1, 1, 1))
    return (rng.gamma(2, 200, (64, 1, 8, 16, 16)) + level).astype(np.float32)


def trio(order=(0, 1, 2)):
    facts = [(0.5, 1.3), (0.3, 1.0), (0.2, 0.7)]
    members = [Member(read_artifact(n), *fact) for n, fact in zip(NAMES, facts, strict=True)]
    return Ensemble(
        tuple(members[i] for i in order), 0.4, "trio", "1.0.0", "Three.", "BSD-3-Clause"
    )


def run(artifact, cubes):
    return Session(artifact, "cpu", batch_size=len(cubes)).run(cubes)


def test_fused_artifact_answers_as_the_ensemble(cubes):
    ensemble = trio()
    artifact = fuse(ensemble)
    expected, _ = ensemble.combine([run(m.artifact, cubes) for m in ensemble.members])
    np.testing.assert_allclose(run(artifact, cubes)[:, 1], expected, atol=1e-5)
    assert expected.std() > 0.05
    card = artifact.card
    assert (card.name, card.threshold, card.temperature) == ("trio", 0.4, 1.0)
    assert sorted(m["weight"] for m in card.training["members"]) == [0.2, 0.3, 0.5]
    assert all(m.artifact.card.digest in card.parent for m in ensemble.members)
    parameters = sum(m.artifact.parameters for m in ensemble.members)
    assert parameters <= artifact.parameters <= parameters + 20
    assert artifact.maps == ()


def test_order_of_members_does_not_matter():
    assert fuse(trio()).model == fuse(trio((2, 0, 1))).model


def test_fused_probabilities_stay_below_one_despite_rounding(cubes):
    """Members that are sure would otherwise give 1.0000001, which is not a probability."""
    weights = (0.068, 0.4397, 0.2692, 0.1848, 0.0383)
    assert np.float32(weights).sum(dtype=np.float32) > 1
    artifact = read_artifact("attention3d")
    members = tuple(Member(artifact, w, 0.05) for w in weights)
    fused = fuse(Ensemble(members, name="five", version="1.0.0"))
    answers = run(fused, cubes)
    assert answers.max() == 1 and answers.min() >= 0


def test_offset_of_a_member_stays_out_of_the_fused_card(cubes):
    from dataclasses import replace

    artifact = read_artifact("attention3d")
    shifted = recalibrate(artifact, 1.2, -1.5, replace(artifact.card, offset=-1.5, digest=""))
    fused = fuse(Ensemble((Member(shifted),), name="one", version="1.0.0"))
    assert fused.card.offset == 0 and fused.card.temperature == 1
    np.testing.assert_allclose(run(fused, cubes), run(shifted, cubes), atol=1e-6)


def test_fusing_the_same_file_twice_gives_the_same_bytes(tmp_path):
    (tmp_path / "e.json").write_text(ensemble_json(trio(), [bundled()[n].name for n in NAMES]))
    paths = [export_ensemble(tmp_path / "e.json", tmp_path / name) for name in "ab"]
    assert paths[0].read_bytes() == paths[1].read_bytes()
    assert paths[0].name == "trio-1.0.0.onnx"


def test_refuses_members_with_different_cubes(make_artifact):
    small = Member(read_artifact(make_artifact()), 0.5)
    pair = Ensemble((Member(read_artifact(NAMES[0]), 0.5), small), name="x", version="1.0.0")
    with pytest.raises(InputError, match="take different cubes: cube_shape"):
        fuse(pair)
    nameless = Ensemble((Member(read_artifact(NAMES[0])),))
    with pytest.raises(InputError, match="has no name"):
        fuse(nameless)


@pytest.mark.parametrize("name", [*NAMES, "linear"])
@pytest.mark.parametrize(("factor", "offset"), [(0.4, 0.0), (1.0, -2.0), (3.0, 1.5)])
def test_recalibration_and_its_inverse(name, factor, offset, cubes, make_artifact):
    from dataclasses import replace

    artifact = read_artifact(make_artifact(cube_shape=(8, 16, 16)) if name == "linear" else name)
    card = replace(artifact.card, version="1.1.0", digest="")
    new = recalibrate(artifact, factor, offset, card)
    expected = apply_temperature(run(artifact, cubes), factor, offset)
    np.testing.assert_allclose(run(new, cubes)[:, 1], expected, atol=2e-6)
    again = recalibrate(new, 1 / factor, -offset / (1 / factor), card)
    np.testing.assert_allclose(run(again, cubes), run(artifact, cubes), atol=1e-5)
