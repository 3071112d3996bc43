import pytest
import torch

from cfzoo.zoo.models import StandardisedHead


def test_statistics_are_those_of_the_batches():
    torch.manual_seed(0)
    head = StandardisedHead(3)
    batches = [torch.randn(64, 3) * torch.tensor([2.0, 0.1, 30.0]) + 5 for _ in range(20)]
    for batch in batches:
        head(batch)
    everything = torch.cat(batches)
    torch.testing.assert_close(head.centre, everything.mean(0), rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(head.spread, everything.std(0), rtol=0.02, atol=0)
    # Many batches later, the first ones are forgotten.
    for _ in range(400):
        head(torch.randn(64, 3) - 7)
    torch.testing.assert_close(head.centre, torch.full((3,), -7.0), rtol=0.02, atol=0)


def test_evaluation_changes_no_statistics():
    head = StandardisedHead(2).eval()
    head(torch.randn(8, 2) + 3)
    assert head.centre.tolist() == [0, 0] and head.spread.tolist() == [1, 1]


@pytest.mark.parametrize("rows", [1, 8])
def test_constant_features_stay_finite(rows):
    head = StandardisedHead(2)
    logits = head(torch.full((rows, 2), 4.0))
    assert torch.isfinite(logits).all() and (head.spread > 0).all()


def test_training_leaves_the_weights_of_the_reserve_at_0():
    torch.manual_seed(0)
    head = StandardisedHead(5, reserve=2)
    optimiser = torch.optim.AdamW(head.parameters(), lr=0.1)
    for _ in range(20):
        features = torch.randn(32, 5)
        labels = (features[:, 0] + features[:, 4] > 0).long()  # which the reserve could tell
        optimiser.zero_grad()
        torch.nn.functional.cross_entropy(head(features), labels).backward()
        optimiser.step()
    assert (head.weight[:3] != 0).all() and not head.weight[3:].any()
    assert (head.spread[3:] != 1).all()  # but its statistics are those of the training
    # Labels of a brain may weigh it.
    head.eval()
    before = head(features)
    with torch.no_grad():
        head.weight[4] = 2
    assert not torch.allclose(head(features), before)
