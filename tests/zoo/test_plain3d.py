import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch.utils.flop_counter import FlopCounterMode

from cfzoo.runtime.card import Card
from cfzoo.zoo.models.plain3d import Plain3d
from cfzoo.zoo.registry import build

CARDS = Path(__file__).parents[2] / "model_cards"


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("cube_shape", [(8, 16, 16), (9, 21, 20), (1, 5, 5)])
def test_logits_for_any_batch(channels, cube_shape):
    net = Plain3d(channels, cube_shape).eval()
    for n in (1, 7):
        assert net(torch.randn(n, channels, *cube_shape)).shape == (n, 2)


def test_small_enough_for_a_cpu():
    net = Plain3d().eval()
    with FlopCounterMode(display=False) as counter:
        net(torch.randn(1, 1, 8, 16, 16))
    assert counter.get_total_flops() <= 0.03e9
    assert sum(p.numel() for p in net.parameters()) <= 0.3e6


def test_has_no_depthwise_convolution():
    convolutions = [m for m in Plain3d().modules() if isinstance(m, torch.nn.Conv3d)]
    assert len(convolutions) == 4
    assert all(m.groups == 1 for m in convolutions)


def test_bundled_weights_fit_their_card():
    path = CARDS / "plain3d-1.0.0.json"
    text = path.read_text(encoding="utf-8")
    card = Card.from_json(text)
    assert (card.name, card.version, card.normalisation) == ("plain3d", "1.0.0", "none")
    assert not card.extra
    assert "/work" not in text and "/root" not in text
    weights = path.with_suffix(".safetensors")
    assert weights.stat().st_size < 1_000_000
    net = build(card).eval()
    net.load_state_dict(load_file(weights))
    with torch.inference_mode():
        assert torch.isfinite(net(torch.randn(3, 1, *card.cube_shape))).all()
    metrics = json.loads(text)["metrics"]
    for block, row in metrics["network"].items():
        assert row["auc"] > metrics["contrast"][block]["auc"], block
    assert "description" not in card.training["recipe"]


def test_a_factor_cancels_and_extremes_stay_finite():
    torch.manual_seed(0)
    net = Plain3d().eval()
    x = 1000 + 200 * torch.rand(4, 1, 8, 16, 16)
    with torch.inference_mode():
        for factor in (0.25, 4):
            torch.testing.assert_close(net(factor * x), net(x), atol=1e-4, rtol=1e-4)
        for level in (0.0, 65535.0):
            assert torch.isfinite(net(torch.full((1, 1, 8, 16, 16), level))).all()
        edge = torch.zeros(1, 1, 8, 16, 16)
        edge[..., 8:] = 65535
        assert torch.isfinite(net(edge)).all()


def test_contrast_at_the_centre_counts_in_evaluation_alone():
    torch.manual_seed(0)
    net = Plain3d(dropout=0.0)
    x = 1000 + torch.rand(4, 1, 8, 16, 16)
    x[2:, :, 4, 7:9, 7:9] += 2000
    with torch.inference_mode():
        net.train()
        trained = net(x)
        net.eval()
        net.features.train()  # the same statistics as above
        added = net(x) - trained
    margin = added[:, 1] - added[:, 0]
    assert (margin[2:] > margin[:2] + 2).all()
    torch.testing.assert_close(added.sum(1), torch.zeros(4), atol=1e-4, rtol=0)
