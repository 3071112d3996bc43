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
