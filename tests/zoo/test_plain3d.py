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
    assert (card.name, card.version, card.normalisation) == ("plain3d", "1.0.0", "cube")
    assert not card.extra
    assert "/work" not in text and "/root" not in text
    weights = path.with_suffix(".safetensors")
    assert weights.stat().st_size < 1_000_000
    net = build(card).eval()
    net.load_state_dict(load_file(weights))
    with torch.inference_mode():
        assert torch.isfinite(net(torch.randn(3, 1, *card.cube_shape))).all()
    assert json.loads(text)["metrics"]["network"]["mean"]["auc"] > 0.8
