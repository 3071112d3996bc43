"""How objectives finish a network after its training."""

import dataclasses

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from cfzoo.zoo.filter_objectives import TRUST, CorrectionObjective, FilterObjective
from cfzoo.zoo.intercept import fit_intercept
from cfzoo.zoo.recipe import recipe_for
from cfzoo.zoo.registry import build


def brains(width, seed=0):
    """Features of which the first tells cells, and the second which brain it is.

    The brain with high second features has more cells.
    """
    rng = np.random.default_rng(seed)
    drawn = []
    for share, level in ((0.1, 0.0), (0.8, 5.0)):
        labels = (rng.random(400) < share).astype(np.int64)
        features = rng.normal(size=(400, width))
        features[:, 0] += 2 * labels
        features[:, 1] += level
        drawn.append((features.astype(np.float32), labels))
    return drawn


def network(name, centre=0.0, spread=1.0):
    torch.manual_seed(0)
    net = build(recipe_for(name).card())
    torch.nn.init.normal_(net.head.weight)
    net.head.centre.fill_(centre)
    net.head.spread.fill_(spread)
    return net.eval()


def margin(net, features):
    with torch.inference_mode():
        return net.head(torch.from_numpy(features))[:, 1].numpy()


def test_the_fitted_head_weighs_what_tells_cells_inside_a_brain():
    net = network("filters3d")
    FilterObjective().finish(net, brains(9))
    weights = net.head.weight[:, 0].detach().numpy()
    assert weights[0] > 1.5 and np.abs(weights[1:]).max() < 0.4
    for features, labels in brains(9, seed=1):
        assert roc_auc_score(labels, margin(net, features)) > 0.88


def test_the_fit_does_not_depend_on_the_statistics_of_the_head():
    features = brains(9, seed=2)[0][0]
    margins = []
    for centre, spread in ((0.0, 1.0), (3.0, 0.2)):
        net = network("filters3d", centre, spread)
        FilterObjective().finish(net, brains(9))
        margins.append(margin(net, features))
    np.testing.assert_allclose(margins[0], margins[1], atol=1e-3)


def test_the_size_of_a_brain_and_its_share_of_cells_do_not_count():
    one, other = brains(9)
    nets = [network("filters3d") for _ in range(2)]
    FilterObjective().finish(nets[0], [one, other])
    twice = tuple(np.concatenate([part, part]) for part in other)
    FilterObjective().finish(nets[1], [one, twice])
    torch.testing.assert_close(nets[1].head.weight, nets[0].head.weight, atol=1e-3, rtol=1e-3)
    cells = np.flatnonzero(one[1] == 1)
    rows = np.concatenate([np.arange(400), cells, cells])
    FilterObjective().finish(nets[1], [(one[0][rows], one[1][rows]), other])
    torch.testing.assert_close(nets[1].head.weight, nets[0].head.weight, atol=1e-3, rtol=1e-3)


def test_a_brain_of_one_class_alone_is_left_out():
    net, same = network("filters3d"), network("filters3d")
    one, other = brains(9)
    FilterObjective().finish(net, [one, other])
    FilterObjective().finish(same, [one, other, (one[0], np.ones_like(one[1]))])
    torch.testing.assert_close(net.head.weight, same.head.weight)
    before = net.head.weight.clone()
    FilterObjective().finish(net, [(one[0], np.zeros_like(one[1]))])
    torch.testing.assert_close(net.head.weight, before)


def test_the_trunks_are_shrunk_and_the_filters_fitted_without_them():
    net, alone = network("pyramid3d"), network("filters3d")
    before = net.head.weight.clone()
    drawn = brains(len(before))
    CorrectionObjective().finish(net, drawn)
    FilterObjective().finish(alone, [(x[:, :9], y) for x, y in drawn])
    torch.testing.assert_close(net.head.weight[9:], TRUST * before[9:])
    torch.testing.assert_close(net.head.weight[:9], alone.head.weight)


@pytest.mark.parametrize("name", ["filters3d", "pyramid3d"])
def test_the_intercepts_of_the_brains_have_mean_0(name):
    net = network(name)
    objective = CorrectionObjective() if name == "pyramid3d" else FilterObjective()
    drawn = brains(net.head.weight.shape[0])
    drawn[1][0][:, 0] += 1  # all candidates of this brain look more like cells
    objective.finish(net, drawn)
    intercepts = [fit_intercept(labels, margin(net, x)) for x, labels in drawn]
    assert np.mean(intercepts) == pytest.approx(0, abs=1e-4)
    assert np.abs(intercepts).min() > 0.5  # each brain has its own


@pytest.mark.parametrize("channels", [("signal",), ("signal", "background")])
def test_filters_come_first_among_the_features(channels):
    card = dataclasses.replace(recipe_for("pyramid3d"), channels=channels).card()
    torch.manual_seed(0)
    net = build(card).eval()
    cubes = 100 + 1000 * torch.rand(3, len(channels), *card.cube_shape)
    with torch.inference_mode():
        torch.testing.assert_close(net.features(cubes)[:, : net.filters_width], net.filters(cubes))
