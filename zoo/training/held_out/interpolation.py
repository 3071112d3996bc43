"""Weights between those that a fine-tuning started from and those that it ended with.

A network that was tuned on a few labels may have unlearnt what the start knew. The straight line
between the two sets of weights holds networks that keep some of both, at the cost of one network,
and often one of them is better than either end (WiSE-FT, Wortsman et al. 2022, CVPR).
"""

from collections.abc import Mapping

import torch

SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)  # of the tuned weights


def interpolate(
    start: Mapping[str, torch.Tensor], tuned: Mapping[str, torch.Tensor], share: float
) -> dict[str, torch.Tensor]:
    """Return the weights at a share of the way from the start to the tuned ones.

    Parameters
    ----------
    start, tuned : mapping of tensors
        States of the same network, with the running statistics of its normalisations.
    share : float
        0 gives the start, 1 the tuned weights, both bit for bit.

    Returns
    -------
    dict of tensors
        Whole numbers, such as counts of batches, are the tuned ones.
    """
    return {
        name: torch.lerp(start[name].to(tensor), tensor, share)
        if tensor.is_floating_point()
        else tensor
        for name, tensor in tuned.items()
    }
