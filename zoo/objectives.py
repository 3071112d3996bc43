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


class LabelObjective:
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
        """Mean over a batch, a scalar, of logits (n, 2) and labels (n,) int64."""
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
    """Share of logits (n, 2) that are largest at their label, (n,): a scalar, 0 to 1."""
    return (logits.detach().argmax(1) == labels).float().mean()


# Shares of the training: prototypes without labels, then the scoring sheet alone, then both.
UNLABELLED, SHEET_ALONE = 0.12, 0.17
SHRINK = 1e-3  # of the sheet's weights, a step: what no cube needs goes to zero
SHEET_RATE = 20.0  # the sheet's learning rate, in the network's
EPSILON = 1e-7


class PrototypeObjective(LabelObjective):
    """The losses and phases of PIP-Net (Nauta et al. 2023, CVPR) for a `models.PipNet3d`.

    Two views of a cube share their places, and must share their prototypes (`alignment`);
    every prototype must occur in every batch (`occurrence`); the scoring sheet learns the
    labels and is kept sparse. See `phase` for the weights of the three.
    """

    views = 2

    def __call__(
        self,
        net: nn.Module,
        views: Sequence[torch.Tensor],
        labels: torch.Tensor,
        progress: float,
    ) -> dict[str, torch.Tensor]:
        both: Any = net  # a PipNet3d, perhaps wrapped for several GPUs
        maps = both.prototypes(torch.cat(list(views)))
        one, two = maps.chunk(2)
        present = both.presence(maps)
        first, second = present.chunk(2)
        twice = labels.repeat(2)
        # Until both learn together, the labels reach the sheet alone.
        logits = both.logits(present.detach() if progress < SHEET_ALONE else present)
        parts = {
            "align": 0.5 * (alignment(one, two.detach()) + alignment(two, one.detach())),
            "tanh": 0.5 * (occurrence(first) + occurrence(second)),
            "label": self.loss(logits, twice),
        }
        a, t, c = phase(progress)
        loss = a * parts["align"] + t * parts["tanh"] + c * parts["label"]
        shown = {name: part.detach() for name, part in parts.items()}
        return {"loss": loss, **shown, "accuracy": accuracy(logits, twice)}

    def parameter_groups(self, net: nn.Module, lr: float, decay: float) -> list[dict[str, Any]]:
        """As `LabelObjective`, with the scoring sheet learning faster and without decay."""
        named = dict(net.named_parameters())
        sheet = named.pop("weights")
        groups = decay_matrices(named.items(), lr, decay)
        return [*groups, {"params": [sheet], "lr": SHEET_RATE * lr, "weight_decay": 0.0}]

    @torch.no_grad()
    def after_step(self, net: nn.Module, progress: float) -> None:
        """Soft threshold of the sheet; relu has no gradient at 0, so zeros stay zeros."""
        if progress >= UNLABELLED:
            weights: Any = net.weights
            weights.copy_((weights - SHRINK).clamp(min=0))


def phase(progress: float) -> tuple[float, float, float]:
    """Weights of alignment, occurrence and labels at that share of the training, 0 to 1.

    The paper ends with 5, 2 and 2, for natural images. On c-Fos blocks left out, the labels
    needed more and the alignment less (average precision 0.78 against 0.72 on block 969).
    """
    if progress < UNLABELLED:
        return progress / UNLABELLED, 5.0, 0.0
    return (0.0, 0.0, 4.0) if progress < SHEET_ALONE else (1.0, 1.0, 4.0)


def alignment(one: torch.Tensor, two: torch.Tensor) -> torch.Tensor:
    """Mean over places of -log of the scalar product of two (n, P, z, y, x) softmax maps."""
    return -torch.log((one * two).sum(1) + EPSILON).mean()


def occurrence(present: torch.Tensor) -> torch.Tensor:
    """Mean over prototypes of -log tanh of their summed presence, (n, P), in a batch."""
    return -torch.log(torch.tanh(present.sum(0)) + EPSILON).mean()
