"""Objectives of training: one class per way of learning, all with the same interface.

An objective is called once per step with the network and one or two differently augmented views
of the same cubes, and returns the loss and its parts for the log. ``progress`` runs from 0 to 1
over the whole training, so that phases and ramps do not depend on the number of steps.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

LabelledFeatures = tuple[np.ndarray, np.ndarray]


class LabelObjective:
    """Cross-entropy against the labels, or its noise-robust generalisation.

    Parameters
    ----------
    smoothing : float
        Smoothing of the labels (Szegedy et al. 2016).
    robust : float
        q of the generalised cross-entropy (1 - p^q) / q of Zhang and Sabuncu (2018, NeurIPS
        31): 0 is cross-entropy, 1 the mean absolute error. The larger q is, the less a label
        counts that the network finds implausible.
    """

    views = 1
    fits_features = False  # whether `finish` needs `features` of the training cubes

    def __init__(self, smoothing: float = 0.0, robust: float = 0.0):
        self.smoothing, self.robust = smoothing, robust
        self.start: tuple[float, float] | None = None

    def start_from(self, temperature: float, offset: float) -> None:
        """Let the loss see the answers of an artifact of the initial weights, not bare logits.

        Those are with the fixed contrast, which evaluation alone adds otherwise, and with the
        temperature and offset of the card. So fine-tuning starts at the answers of the start. It
        would first unlearn that they are right otherwise, and learn what the contrast then adds
        twice.
        """
        self.start = temperature, offset

    def answers(self, net: Any, cubes: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
        """Return the logits (n, 2) that the loss sees, from those of the network in training."""
        if self.start is None:
            return logits
        if (contrast := getattr(net, "contrast", None)) is not None:
            logits = logits + contrast(cubes)
        temperature, offset = self.start
        return logits / temperature + logits.new_tensor([0.0, offset])

    def __call__(
        self,
        net: nn.Module,
        views: Sequence[torch.Tensor],
        labels: torch.Tensor,
        progress: float,
        intercepts: torch.Tensor | None = None,
    ) -> dict[str, torch.Tensor]:
        """Return the loss of one batch.

        Parameters
        ----------
        net : nn.Module
        views : ``self.views`` tensors (n, C, z, y, x)
            The same cubes with the same movement but different photometric augmentation.
        labels : (n,) int64, 1 cell, 0 no cell
        progress : float
            Completed share of the training, 0 to 1.
        intercepts : (n,) float, optional
            Summands of the logits of a cell, see `Recipe.intercept`.

        Returns
        -------
        dict of scalars
            ``loss``, and further values for the log.
        """
        del progress
        logits = add_intercepts(self.answers(net, views[0], net(views[0])), intercepts)
        return {"loss": self.loss(logits, labels), "accuracy": accuracy(logits, labels)}

    def loss(self, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Return the mean loss, a scalar, of logits (n, 2) and labels (n,) int64."""
        if not self.robust:
            return F.cross_entropy(logits, labels, label_smoothing=self.smoothing)
        target = F.one_hot(labels, logits.shape[1]) * (1 - self.smoothing)
        log_p = torch.log_softmax(logits, 1)
        per_class = (1 - torch.exp(self.robust * log_p)) / self.robust
        return ((target + self.smoothing / logits.shape[1]) * per_class).sum(1).mean()

    def parameter_groups(self, net: nn.Module, lr: float, decay: float) -> list[dict[str, Any]]:
        """Return the groups for AdamW, each with its ``lr`` and ``weight_decay``."""
        return decay_matrices(net.named_parameters(), lr, decay)

    def after_step(self, net: nn.Module, progress: float) -> None:
        """Change the weights after the optimiser's step; by default nothing."""

    def features(self, net: nn.Module, cubes: torch.Tensor) -> torch.Tensor:
        """Return what `finish` sees of cubes (n, C, z, y, x): by default the network's features.

        Returns
        -------
        (n, F) float
        """
        inner: Any = net
        return inner.features(cubes)

    def finish(self, net: nn.Module, brains: Sequence[LabelledFeatures]) -> None:
        """Change the weights of a network that was trained from random ones; by default nothing.

        Parameters
        ----------
        net : nn.Module
        brains : sequence of (features, labels)
            Of each data set, not augmented: (n, F) float32 and (n,) int64; empty unless
            ``fits_features``.
        """


def decay_matrices(named_parameters: Any, lr: float, decay: float) -> list[dict[str, Any]]:
    """Return two groups for AdamW: only matrices decay, neither biases nor normalisations."""
    parameters = [p for _, p in named_parameters if p.requires_grad]
    return [
        {"params": [p for p in parameters if p.ndim >= 2], "lr": lr, "weight_decay": decay},
        {"params": [p for p in parameters if p.ndim < 2], "lr": lr, "weight_decay": 0.0},
    ]


def add_intercepts(logits: torch.Tensor, intercepts: torch.Tensor | None) -> torch.Tensor:
    """Add intercepts (n,) to the second column of logits (n, 2)."""
    return logits if intercepts is None else logits + F.pad(intercepts[:, None], (1, 0))


def accuracy(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Return the share of logits (n, 2) that are largest at their label, (n,): 0 to 1."""
    return (logits.detach().argmax(1) == labels).float().mean()


# Ends of two phases, as shares of the training: prototypes without labels, then the scoring sheet
# alone; both learn from then on.
UNLABELLED, SHEET_ALONE = 0.12, 0.17
SHRINK = 1e-3  # subtracted from the sheet's weights per step: unused ones go to zero
SHEET_RATE = 20.0  # the sheet's learning rate, as a multiple of the network's
SHEET_WEIGHTS = 12  # of each class, at most, in a finished sheet: what a person can read
EPSILON = 1e-7


class PrototypeObjective(LabelObjective):
    """The losses and phases of PIP-Net (Nauta et al. 2023, CVPR) for a `models.PipNet3d`.

    Two views of a cube show the same places and should have the same prototypes there
    (`alignment`); every prototype should occur in every batch (`occurrence`); the scoring sheet
    learns the labels and stays sparse. See `phase` for the weights of the three losses.
    """

    views = 2
    fits_features = True

    def __call__(
        self,
        net: nn.Module,
        views: Sequence[torch.Tensor],
        labels: torch.Tensor,
        progress: float,
        intercepts: torch.Tensor | None = None,
    ) -> dict[str, torch.Tensor]:
        pipnet: Any = net  # a PipNet3d, perhaps wrapped for several GPUs
        cubes = torch.cat(list(views))
        maps = pipnet.prototypes(cubes)
        maps_1, maps_2 = maps.chunk(2)
        presence = pipnet.presence(maps)
        presence_1, presence_2 = presence.chunk(2)
        labels = labels.repeat(2)
        # Before prototypes and sheet learn together, the labels reach the sheet alone.
        logits = pipnet.logits(presence.detach() if progress < SHEET_ALONE else presence)
        logits = self.answers(pipnet, cubes, logits)
        logits = add_intercepts(logits, None if intercepts is None else intercepts.repeat(2))
        parts = {
            "align": 0.5
            * (alignment(maps_1, maps_2.detach()) + alignment(maps_2, maps_1.detach())),
            "tanh": 0.5 * (occurrence(presence_1) + occurrence(presence_2)),
            "label": self.loss(logits, labels),
        }
        align, tanh, label = phase(progress)
        loss = align * parts["align"] + tanh * parts["tanh"] + label * parts["label"]
        log = {name: part.detach() for name, part in parts.items()}
        return {"loss": loss, **log, "accuracy": accuracy(logits, labels)}

    def parameter_groups(self, net: nn.Module, lr: float, decay: float) -> list[dict[str, Any]]:
        """Return the groups for AdamW: the scoring sheet learns faster and without decay."""
        parameters = dict(net.named_parameters())
        sheet = parameters.pop("weights")
        groups = decay_matrices(parameters.items(), lr, decay)
        return [*groups, {"params": [sheet], "lr": SHEET_RATE * lr, "weight_decay": 0.0}]

    @torch.no_grad()
    def after_step(self, net: nn.Module, progress: float) -> None:
        """Apply a soft threshold to the sheet; relu has no gradient at 0, so zeros stay zeros."""
        if progress >= UNLABELLED:
            weights: Any = net.weights
            weights.copy_((weights - SHRINK).clamp(min=0))

    def features(self, net: nn.Module, cubes: torch.Tensor) -> torch.Tensor:
        """Return the presence of each prototype as evaluation counts it, (n, P)."""
        pipnet: Any = net
        return pipnet.counted(pipnet.presence(pipnet.prototypes(cubes)))

    @torch.no_grad()
    def finish(self, net: nn.Module, brains: Sequence[LabelledFeatures]) -> None:
        """Keep the `SHEET_WEIGHTS` prototypes that add most to each class; other weights become 0.

        The soft threshold alone leaves nearly all of them in a training this short. What a
        prototype adds is its weight times its mean presence: some of the largest weights are of
        prototypes that hardly occur. The weights that stay are scaled so that the mean score of
        the class stays, and with it the balance of the classes. Fine-tuning has nothing to
        finish: zeros stay zeros.
        """
        pipnet: Any = net
        presence = np.mean([features.mean(0) for features, _ in brains], axis=0)
        added = pipnet.sheet * torch.from_numpy(presence)
        # The weight alone decides between prototypes that never count, as after a short training.
        order = added + EPSILON * pipnet.sheet
        largest = order.topk(min(SHEET_WEIGHTS, order.shape[1]), dim=1).indices
        is_kept = torch.zeros_like(added).scatter(1, largest, 1.0)
        before, after = added.sum(1, keepdim=True), (added * is_kept).sum(1, keepdim=True)
        scale = torch.where(after > 0, before / after, 1.0)
        pipnet.weights.copy_(pipnet.sheet * is_kept * scale)


def phase(progress: float) -> tuple[float, float, float]:
    """Return the weights of alignment, occurrence and labels at a share of the training, 0 to 1.

    The paper ends with 5, 2 and 2, for natural images. On held-out c-Fos blocks, a larger weight
    of the labels and a smaller one of the alignment did better (average precision 0.78 against
    0.72 on block 969).
    """
    if progress < UNLABELLED:
        return progress / UNLABELLED, 5.0, 0.0
    return (0.0, 0.0, 4.0) if progress < SHEET_ALONE else (1.0, 1.0, 4.0)


def alignment(maps_1: torch.Tensor, maps_2: torch.Tensor) -> torch.Tensor:
    """Return the mean over places of -log(scalar product) of two (n, P, z, y, x) softmax maps."""
    return -torch.log((maps_1 * maps_2).sum(1) + EPSILON).mean()


def occurrence(presence: torch.Tensor) -> torch.Tensor:
    """Return the mean over prototypes of -log tanh of their summed presence, (n, P)."""
    return -torch.log(torch.tanh(presence.sum(0)) + EPSILON).mean()
