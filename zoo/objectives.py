"""What training minimises: one class a way of learning, all called the same.

An objective is called once a step with the network and one or two differently augmented views
of the same cubes, and returns the loss and its parts for the log. ``progress`` runs from 0 to 1
over the whole training, so that phases and ramps do not depend on the number of steps.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F


class Labels:
    """Cross-entropy against the labels, optionally the noise-robust generalised one.

    Parameters
    ----------
    smoothing : float
        Of the labels (Szegedy et al. 2016).
    robust : float
        q of the generalised cross-entropy (1 - p^q) / q of Zhang and Sabuncu (2018, NeurIPS
        31): 0 is cross-entropy, 1 the mean absolute error. The larger, the less a label counts
        that the network finds implausible.
    """

    views = 1

    def __init__(self, smoothing: float = 0.0, robust: float = 0.0):
        self.smoothing, self.robust = smoothing, robust

    def __call__(
        self,
        net: nn.Module,
        views: Sequence[torch.Tensor],
        labels: torch.Tensor,
        progress: float,
    ) -> dict[str, torch.Tensor]:
        """Loss of one batch.

        Parameters
        ----------
        views : ``self.views`` tensors (n, C, z, y, x)
            The same cubes, moved alike and differing in their photometric augmentation.
        labels : (n,) int64, 1 cell, 0 no cell
        progress : float
            Share of the training that is done, 0 to 1.

        Returns
        -------
        dict
            ``loss``, and what the log shows beside it: scalars.
        """
        del progress
        logits = net(views[0])
        return {"loss": self.loss(logits, labels), "accuracy": accuracy(logits, labels)}

    def loss(self, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        if not self.robust:
            return F.cross_entropy(logits, labels, label_smoothing=self.smoothing)
        given = F.one_hot(labels, logits.shape[1]) * (1 - self.smoothing)
        log_p = torch.log_softmax(logits, 1)
        per_class = (1 - torch.exp(self.robust * log_p)) / self.robust
        return ((given + self.smoothing / logits.shape[1]) * per_class).sum(1).mean()

    def parameter_groups(self, net: nn.Module, lr: float, decay: float) -> list[dict[str, Any]]:
        """Groups for AdamW, each with its ``lr`` and ``weight_decay``."""
        return decay_matrices(net.named_parameters(), lr, decay)

    def after_step(self, net: nn.Module, progress: float) -> None:
        """Change weights after the optimiser's step, where the method asks for it."""


def decay_matrices(named: Any, lr: float, decay: float) -> list[dict[str, Any]]:
    """Two groups: weight decay on batch norm and biases only shifts what they are to learn."""
    parameters = [p for _, p in named if p.requires_grad]
    return [
        {"params": [p for p in parameters if p.ndim >= 2], "lr": lr, "weight_decay": decay},
        {"params": [p for p in parameters if p.ndim < 2], "lr": lr, "weight_decay": 0.0},
    ]


def accuracy(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    return (logits.detach().argmax(1) == labels).float().mean()
