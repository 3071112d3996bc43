"""Objectives of networks whose head weighs fixed filters, which a convex solver fits at the end."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from .objectives import LabelledFeatures, LabelObjective, decay_matrices

FIT_CANDIDATES = 10_000  # number that a data set counts as against the penalty of the convex fit
INTERCEPT_SCALE = 10.0  # of a data set's indicator, so that its intercept is hardly penalised


class FilterObjective(LabelObjective):
    """The loss of `models.Filters3d`, whose head is fitted at the end by a convex solver.

    That is exact, where steps on augmented batches stop before the optimum.
    """

    fits_features = True

    @torch.no_grad()
    def finish(self, net: nn.Module, brains: Sequence[LabelledFeatures]) -> None:
        """Fit the head, and give it the bias with which the brains' own intercepts have mean 0.

        The card has these, see `TrainingFeatures.choose_intercept`; any other program that runs the
        graph gets their mean.
        """
        from .intercept import fit_intercept

        self.fit_head(net, brains)
        inner: Any = net
        intercepts = [
            fit_intercept(labels, inner.head(torch.from_numpy(features))[:, 1].numpy())
            for features, labels in brains
            if 0 < labels.mean() < 1
        ]
        if intercepts:
            inner.head.bias += float(np.mean(intercepts))

    def fit_head(self, net: nn.Module, brains: Sequence[LabelledFeatures]) -> None:
        """Fit the head's weights of the filters: all data sets and both classes count the same.

        Each data set has an intercept of its own: brains differ in how many of their candidates are
        cells and in how bright these are, and the weights are to tell the two apart inside a brain.
        """
        # Imported here, since an export needs the objectives but no statistics.
        from sklearn.linear_model import LogisticRegression

        inner: Any = net
        head, width = inner.head, inner.filters_width
        brains = [(x[:, :width].astype(np.float64), y) for x, y in brains if 0 < y.mean() < 1]
        if not brains:
            return
        features = np.concatenate([x for x, _ in brains])
        spread = features.std(0) + 1e-9
        owner = np.concatenate([np.full(len(y), i) for i, (_, y) in enumerate(brains)])
        intercepts = INTERCEPT_SCALE * np.eye(len(brains))[owner]
        # Each class of each data set has the same sum, and the penalty the same strength for any.
        weights = np.concatenate(
            [0.5 / np.where(y == 1, y.mean(), 1 - y.mean()) for _, y in brains]
        )
        counts = np.concatenate([np.full(len(y), len(y)) for _, y in brains])
        solver = LogisticRegression(C=1.0, fit_intercept=False, max_iter=3000)
        solver.fit(
            np.hstack([(features - features.mean(0)) / spread, intercepts]),
            np.concatenate([y for _, y in brains]),
            sample_weight=FIT_CANDIDATES * weights / counts,
        )
        slopes = solver.coef_[0, :width] / spread
        # Expressed by the head's own statistics.
        head.weight[:width, 0] = torch.from_numpy(slopes * head.spread[:width].double().numpy())


HEAD_RATE = 20.0  # learning rate of the head, as a multiple of the network's
CORRECTION = 0.01  # penalty of the mean square of the trunks' share of the logit
# Part of the trunks' share of the logit that remains after training. On the four c-Fos blocks, each
# left out, 0.2 to 0.5 do equally well against a second reading; the least of these costs least on
# a stain that training did not see.
TRUST = 0.2


class CorrectionObjective(FilterObjective):
    """The loss of a `models.Pyramid3d`: its filters decide unless its trunks know better.

    The trunks' share of the logit is penalised, and shrunk after training, as a network between
    two ends of a training holds better on other data than either (Wortsman et al. 2022, Robust
    fine-tuning of zero-shot models, CVPR). For trunks learn the brains of their training by heart:
    there they are as sure as the filters, on another brain they often err.
    """

    def __call__(
        self,
        net: nn.Module,
        views: Sequence[torch.Tensor],
        labels: torch.Tensor,
        progress: float,
        intercepts: torch.Tensor | None = None,
    ) -> dict[str, torch.Tensor]:
        values = super().__call__(net, views, labels, progress, intercepts)
        # The features have unit variance before the head, so this is about the mean square.
        correction = _trunk_weights(net).square().sum()
        return {**values, "loss": values["loss"] + CORRECTION * correction}

    def fit_head(self, net: nn.Module, brains: Sequence[LabelledFeatures]) -> None:
        """Fit the filters' share of the logit alone, and shrink that of the trunks to `TRUST`."""
        super().fit_head(net, brains)
        _trunk_weights(net).mul_(TRUST)

    def parameter_groups(self, net: nn.Module, lr: float, decay: float) -> list[dict[str, Any]]:
        """Return the groups for AdamW: the head, linear and begun at 0, learns faster."""
        parameters = dict(net.named_parameters())
        head = [parameters.pop(name) for name in list(parameters) if name.startswith("head.")]
        groups = decay_matrices(parameters.items(), lr, decay)
        return [*groups, {"params": head, "lr": HEAD_RATE * lr, "weight_decay": 0.0}]


def _trunk_weights(net: Any) -> torch.Tensor:
    """Return the head's weights of a `Pyramid3d`, perhaps wrapped, that are not the filters'."""
    inner = getattr(net, "module", net)
    return inner.head.weight[inner.filters_width :]
