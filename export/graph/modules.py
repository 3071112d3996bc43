"""The exported graph: normalisation, network, temperature and softmax in one module.

They are all inside the graph, so that any ONNX host computes the same probabilities from raw
intensities.
"""

import torch
from torch import nn

from ...runtime.artifact import Card
from ...zoo.explain import Maps
from ...zoo.models import ExplainedLayer, make_input_norm


class ProbabilityGraph(nn.Module):
    """A network from cubes on the card's grid to class probabilities.

    Input (n, C, z, y, x) float32, raw intensities, or normalised over the volume if the card says
    ``dataset``; output (n, 2) float32, 0 to 1: no cell, cell.
    """

    def __init__(self, network: nn.Module, card: Card):
        super().__init__()
        self.normalise = make_input_norm(card.normalisation, card.percentiles)
        self.network = network
        self.temperature = card.temperature
        self.offset = torch.tensor([0.0, card.offset]) if card.offset else None

    def forward(self, cubes: torch.Tensor) -> torch.Tensor:
        """Return the probabilities (n, 2) of cubes (n, C, z, y, x)."""
        return self.answer(self.network(self.normalise(cubes)))

    def answer(self, logits: torch.Tensor) -> torch.Tensor:
        """Return the probabilities (n, 2) of logits (n, 2).

        They are divided by the temperature (Guo et al. 2017), that of a cell is raised by the
        offset (Platt 1999), and a softmax follows.
        """
        logits = logits / self.temperature
        if self.offset is not None:
            logits = logits + self.offset
        return torch.softmax(logits, dim=1)


class ExplainedGraph(nn.Module):
    """A `ProbabilityGraph` that also gives the maps of `cfzoo.zoo.explain.Maps`.

    Input (n, C, z, y, x) float32; output (n, 2) and one or two maps, (n, z, y, x) each, of the
    network's own logits, before temperature and offset.
    """

    def __init__(self, graph: ProbabilityGraph, card: Card, explained_layer: ExplainedLayer):
        super().__init__()
        self.graph = graph
        self.maps = Maps(graph.network, explained_layer, len(card.channels), card.cube_shape)

    def forward(self, cubes: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Return the probabilities (n, 2) and maps (n, z, y, x) of cubes (n, C, z, y, x)."""
        logits, *maps = self.maps(self.graph.normalise(cubes))
        return self.graph.answer(logits), *maps
