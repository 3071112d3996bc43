import math

import pytest
import torch

from cfzoo.zoo.models import PipNet3d
from cfzoo.zoo.objectives import PrototypeObjective, alignment, occurrence, phase


def test_alignment_by_hand():
    """Two prototypes at two positions: minus the mean log of the scalar products."""
    first = torch.tensor([[0.9, 0.2], [0.1, 0.8]]).reshape(1, 2, 1, 1, 2)
    second = torch.tensor([[0.6, 0.5], [0.4, 0.5]]).reshape(1, 2, 1, 1, 2)
    products = 0.9 * 0.6 + 0.1 * 0.4, 0.2 * 0.5 + 0.8 * 0.5
    expected = -sum(math.log(p) for p in products) / 2
    assert float(alignment(first, second)) == pytest.approx(expected, rel=1e-5)


def test_occurrence_by_hand():
    present = torch.tensor([[0.3, 0.0], [0.5, 0.01]])
    expected = -(math.log(math.tanh(0.8)) + math.log(math.tanh(0.01))) / 2
    assert float(occurrence(present)) == pytest.approx(expected, rel=1e-4)


def test_logits_by_hand():
    net = PipNet3d(prototypes=3)
    with torch.no_grad():
        net.weights.copy_(torch.tensor([[1.0, -2.0, 0.5], [0.0, 3.0, 1.0]]))
    logits = net.logits(torch.tensor([[0.5, 0.25, 1.0]]))
    scores = 0.5 * 1 + 1.0 * 0.5, 0.25 * 3 + 1.0  # a negative weight counts as 0
    expected = [math.log(1 + s * s) for s in scores]
    assert logits[0].tolist() == pytest.approx(expected, rel=1e-6)


def test_phases_end_with_labels():
    assert phase(0.0) == (0, 5, 0)
    align, _, label = phase(0.1)
    assert 0 < align < 1 and label == 0
    learn = [phase(p / 100)[2] for p in range(100)]
    assert learn == sorted(learn) and learn[0] == 0 and learn[-1] > 0
    assert all(weight >= 0 for p in range(100) for weight in phase(p / 100))


def test_labels_train_sheet_before_backbone():
    torch.manual_seed(0)
    views = [1000 + 100 * torch.rand(4, 1, 8, 16, 16) for _ in range(2)]
    labels = torch.tensor([0, 1, 0, 1])
    sheet_only = next(p / 100 for p in range(100) if phase(p / 100)[2] and not phase(p / 100)[1])
    net = PipNet3d()
    values = PrototypeObjective()(net, views, labels, sheet_only)
    values["loss"].backward()
    assert net.weights.grad.abs().max() > 0
    assert net.features[0][0].weight.grad.abs().max() == 0
    assert {"align", "tanh", "label", "accuracy"} <= values.keys()


def test_prototypes_share_each_position_and_count_near_candidate():
    net = PipNet3d().eval()
    x = 1000 + 100 * torch.rand(2, 1, 8, 16, 16)
    with torch.inference_mode():
        maps = net.prototypes(x)
        assert maps.shape == (2, 64, *net.grid_shape)
        torch.testing.assert_close(maps.sum(1), torch.ones(2, *net.grid_shape))
        far = torch.zeros_like(maps)
        far[..., 0, 0, 0] = 1.0
        assert net.presence(far).abs().max() == 0
        near = torch.zeros_like(maps)
        near[:, 5, net.grid_shape[0] // 2, net.grid_shape[1] // 2, net.grid_shape[2] // 2] = 0.7
        assert net.presence(near)[0, 5] == pytest.approx(0.7)
    assert 0 < net.window.mean() < 0.5


def test_sheet_becomes_sparse_and_stays_non_negative():
    net = PipNet3d(prototypes=3)
    with torch.no_grad():
        net.weights.fill_(0.0015)
    objective = PrototypeObjective()
    objective.after_step(net, 0.0)
    assert (net.weights == 0.0015).all()
    for _ in range(3):
        objective.after_step(net, 0.9)
    assert (net.sheet == 0).all() and (net.weights == 0).all()


def test_small_presences_do_not_count_in_evaluation(zero_contrast):
    net = PipNet3d(prototypes=3).eval()
    net.contrast = zero_contrast
    net.presence = lambda maps: torch.tensor([[0.05, 0.09, 0.0]])
    with torch.inference_mode():
        assert (net(torch.rand(1, 1, 8, 16, 16)) == 0).all()
