"""A linear head over standardised features, which the runtime can evaluate and replace."""

import numpy as np
import torch
from torch import nn

from ...runtime.feature_statistics import FeatureStatistics

NEWEST = 0.02  # share of the newest batch in the running statistics, at least
LEAST_SPREAD = 1e-6  # of a feature that is constant


class StandardisedHead(nn.Module):
    """Map features to the logits of no cell and cell, (0, margin).

    The margin is ((features - centre) / spread) @ weight + bias. A network with such a head has it
    as ``head``, and ``features(x)`` gives the head's input; `cfzoo.export.graph.export_artifact`
    then writes artifacts whose features the runtime can standardise by the volume's own candidates
    (the card's ``standardisation``).

    Parameters
    ----------
    features : int
    reserve : int
        Number of the last features that the training gives no weight: what they say of one brain
        misleads on another. The labels of a brain itself may weigh them, see
        `cfzoo.runtime.adapt`.

    Attributes
    ----------
    weight : (F, 1) parameter
        0 at first: no feature speaks for either class.
    bias : (1,) parameter
    centre, spread : (F,) buffers
        Statistics of the training: a running mean over its batches, or as `set_statistics` sets
        them; 0 and 1 at first.
    batches : () int64 buffer
        Number of batches in the statistics.
    """

    centre: torch.Tensor
    spread: torch.Tensor
    batches: torch.Tensor
    places: torch.Tensor

    def __init__(self, features: int, reserve: int = 0):
        super().__init__()
        self.weighed = features - reserve
        self.weight = nn.Parameter(torch.zeros(features, 1))
        self.bias = nn.Parameter(torch.zeros(1))
        self.register_buffer("centre", torch.zeros(features))
        self.register_buffer("spread", torch.ones(features))
        self.register_buffer("batches", torch.tensor(0))
        self.register_buffer("places", torch.tensor([0.0, 1.0]), persistent=False)

    def set_statistics(self, statistics: FeatureStatistics) -> None:
        """Set the statistics of the training."""
        for buffer, values in ((self.centre, statistics.centre), (self.spread, statistics.spread)):
            buffer.copy_(torch.from_numpy(np.array(values)))

    @torch.no_grad()
    def update_statistics(self, features: torch.Tensor) -> None:
        """Add a batch of features (n, F) to the running mean of centre and of spread squared."""
        self.batches += 1
        # The mean of all batches at first, of about the last fifty later.
        share = max(1 / int(self.batches), NEWEST)
        variance, mean = torch.var_mean(features, dim=0, correction=0)
        self.centre.lerp_(mean, share)
        squared = torch.lerp(self.spread * self.spread, variance, share)
        self.spread.copy_(squared.sqrt().clamp(min=LEAST_SPREAD))

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Map features (n, F) to logits (n, 2): no cell, cell; training adds their statistics."""
        if self.training:
            self.update_statistics(features)
        standard = (features - self.centre) / self.spread
        weight = self.weight
        if self.training:  # so that no gradient reaches the weights of the reserve, which stay 0
            standard, weight = standard[:, : self.weighed], weight[: self.weighed]
        # The product of matrices, written so that its gradient has no transposed constant: an
        # exporter would store that as a copy, which a new head in the artifact would not reach.
        margin = (standard.unsqueeze(2) * weight).sum(dim=1) + self.bias
        return margin * self.places
