"""A linear head over standardised features, which the runtime can evaluate and replace."""

import numpy as np
import torch
from torch import nn

from ...runtime.feature_statistics import FeatureStatistics


class StandardisedHead(nn.Module):
    """Map features to the logits of no cell and cell, (0, margin).

    The margin is ((features - centre) / spread) @ weight + bias. A network with such a head has it
    as ``head``, and ``features(x)`` gives the head's input; `cfzoo.export.graph.export_artifact`
    then writes artifacts whose features the runtime can standardise by the volume's own candidates
    (the card's ``standardisation``).

    Parameters
    ----------
    features : int

    Attributes
    ----------
    weight : (F, 1) parameter
        0 at first: no feature speaks for either class.
    bias : (1,) parameter
    centre, spread : (F,) buffers
        Statistics of the training, by `set_statistics`; 0 and 1 at first.
    """

    centre: torch.Tensor
    spread: torch.Tensor
    places: torch.Tensor

    def __init__(self, features: int):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(features, 1))
        self.bias = nn.Parameter(torch.zeros(1))
        self.register_buffer("centre", torch.zeros(features))
        self.register_buffer("spread", torch.ones(features))
        self.register_buffer("places", torch.tensor([0.0, 1.0]), persistent=False)

    def set_statistics(self, statistics: FeatureStatistics) -> None:
        """Set the statistics of the training."""
        for buffer, values in ((self.centre, statistics.centre), (self.spread, statistics.spread)):
            buffer.copy_(torch.from_numpy(np.array(values)))

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Map features (n, F) to logits (n, 2): no cell, cell."""
        standard = (features - self.centre) / self.spread
        # The product of matrices, written so that its gradient has no transposed constant: an
        # exporter would store that as a copy, which a new head in the artifact would not reach.
        margin = (standard.unsqueeze(2) * self.weight).sum(dim=1) + self.bias
        return margin * self.places
