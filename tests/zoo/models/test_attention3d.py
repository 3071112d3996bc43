import numpy as np
import pytest
import torch

from cfzoo.zoo.models import Attention3d
from cfzoo.zoo.models.attention3d import AttentionGate


@pytest.mark.parametrize(
    ("cube_shape", "shapes"),
    [((8, 16, 16), [(8, 8, 8), (4, 4, 4)]), ((9, 21, 20), [(9, 11, 10), (5, 6, 5)])],
)
def test_attention_maps_have_two_scales(cube_shape, shapes):
    net = Attention3d(1, cube_shape).eval()
    with torch.inference_mode():
        maps = net.attention(1000 + torch.rand(3, 1, *cube_shape))
    assert [m.shape for m in maps] == [(3, *shape) for shape in shapes]
    for alpha in maps:
        assert (alpha >= 0).all()
        torch.testing.assert_close(alpha.sum((1, 2, 3)), torch.ones(3))


def test_untrained_gate_attends_to_candidate():
    net = Attention3d().eval()
    with torch.inference_mode():
        fine, middle = net.attention(1000 + torch.rand(1, 1, 8, 16, 16))
    for alpha, step in ((fine, (6, 6, 6)), (middle, (12, 12, 12))):
        for axis, size in enumerate(alpha.shape[1:]):
            profile = alpha[0].sum([a for a in range(3) if a != axis]).numpy()
            mean = (profile * np.arange(size)).sum() - (size - 1) / 2
            assert abs(mean * step[axis]) < 6  # um


def test_gate_by_hand():
    """q = psi ReLU(theta x + up(phi g)) + place on two voxels, from its formula."""
    gate = AttentionGate(1, 1, (1, 1, 2), (1, 1, 1), (5.0, 5.0, 5.0))
    with torch.no_grad():
        for layer, value in ((gate.theta, 2.0), (gate.phi, 3.0), (gate.psi, 0.5)):
            layer.weight.fill_(value)
        gate.phi.bias.fill_(1.0)
        gate.place.copy_(torch.tensor([0.1, -0.2]).reshape(1, 1, 1, 1, 2))
        x = torch.tensor([1.0, -4.0]).reshape(1, 1, 1, 1, 2)
        pooled, alpha = gate(x, torch.full((1, 1, 1, 1, 1), 0.5))
    q = 0.5 * np.maximum(2 * np.array([1.0, -4.0]) + 3 * 0.5 + 1, 0) + [0.1, -0.2]
    expected = np.exp(q) / np.exp(q).sum()
    np.testing.assert_allclose(alpha.flatten(), expected, rtol=1e-5)
    np.testing.assert_allclose(pooled.item(), expected @ [1.0, -4.0], rtol=1e-5)
