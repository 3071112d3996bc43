"""The body of the training loop that Lightning runs: one step, one validation, the optimiser."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import lightning as L
import torch
from sklearn.metrics import average_precision_score, roc_auc_score
from torch import nn
from torch.nn import functional as F
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.data import DataLoader

from ...runtime.errors import InputError
from ..data import LabelledCubes
from ..models import CubeNorm
from ..recipe import Recipe
from ..registry import MODELS, build
from .augment import Augment
from .batches import Batch, Batches, InOrder

LAYOUT = torch.channels_last_3d  # up to twice as fast on CPUs with so few channels
AT_ONCE = 256  # cubes in a batch of validation


def input_norm(recipe: Recipe) -> nn.Module:
    """What stands between raw cubes and the network."""
    return CubeNorm() if recipe.normalisation == "cube" else nn.Identity()


class Training(L.LightningModule):
    """Augment, normalise, classify, average the weights; validate with the average.

    Parameters
    ----------
    cubes, validation : sequences of LabelledCubes
        Each validation set with cells and no cells.
    recipe : Recipe
    seed : int
        From 0, below 2^31.
    start : mapping of tensors, optional
        Weights to begin with.
    """

    def __init__(
        self,
        cubes: Sequence[LabelledCubes],
        recipe: Recipe,
        seed: int,
        validation: Sequence[LabelledCubes] = (),
        start: Mapping[str, torch.Tensor] | None = None,
    ):
        super().__init__()
        self.cubes, self.recipe, self.seed, self.validation = cubes, recipe, seed, validation
        self.net = build(recipe.card())
        if start is not None:
            self.net.load_state_dict(start)
        self.net.to(memory_format=LAYOUT)  # type: ignore[call-overload]
        self.norm = input_norm(recipe)
        self.objective = MODELS[recipe.architecture].objective(recipe)
        self.augment: Any = nn.ModuleList(
            Augment(c, recipe.augmentation, recipe.resampling) for c in cubes
        )
        self.mean_net = None
        if recipe.ema:
            # A submodule, so that it travels in the checkpoints.
            average = get_ema_multi_avg_fn(recipe.ema)
            self.mean_net = AveragedModel(self.net, multi_avg_fn=average, use_buffers=True)
            self.mean_net.requires_grad_(False)  # several GPUs would wait for its gradients
        self.margins: list[tuple[int, torch.Tensor, torch.Tensor]] = []

    @property
    def kept(self) -> nn.Module:
        """The network that training makes: the running mean where there is one."""
        return self.net if self.mean_net is None else self.mean_net.module

    @property
    def progress(self) -> float:
        """Share of the training that is done, 0 to 1."""
        return self.global_step / (self.recipe.epochs * self.recipe.steps)

    def train_dataloader(self) -> DataLoader:
        """`Batches` of this epoch and process."""
        key = (self.seed, self.current_epoch, self.global_rank)
        return DataLoader(Batches(self.cubes, self.recipe, key), batch_size=None)

    def val_dataloader(self) -> DataLoader:
        """`InOrder`, `AT_ONCE` cubes a batch."""
        return DataLoader(InOrder(self.validation, AT_ONCE), batch_size=None)

    def training_step(self, batch: Batch, step: int) -> torch.Tensor:
        """Loss of one item of `Batches`, a scalar; an `InputError` where it is not finite."""
        key = (self.seed << 32) + (self.global_rank << 24) + self.global_step
        rng = torch.Generator(self.device)
        rng.manual_seed(key)
        torch.manual_seed(key + (1 << 63))  # dropout's, apart from the augmentation's
        # Raw intensities do not fit half precision.
        with torch.autocast(self.device.type, enabled=False):
            parts = [
                (augment.views(crops, rng, self.objective.views), labels)
                for augment, (crops, labels) in zip(self.augment, batch, strict=True)
                if len(labels)
            ]
            views = [
                self.norm(torch.cat(view)).contiguous(memory_format=LAYOUT)
                for view in zip(*(views for views, _ in parts), strict=True)
            ]
        y = torch.cat([labels for _, labels in parts])
        values = self.objective(self.net, views, y, self.progress)
        self._check(values["loss"], f"step {step + 1} of epoch {self.current_epoch + 1}")
        self.log_dict(
            values,
            on_step=False,
            on_epoch=True,
            prog_bar=True,
            logger=False,  # `Journal` does it, once an epoch
            sync_dist=self.trainer.world_size > 1,
            batch_size=1,  # of equal weight, also where the first data set has few rows
        )
        return values["loss"]

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
        """What follows the optimiser's step: the objective's own, and the running mean."""
        del outputs, batch, batch_idx
        self.objective.after_step(self.net, self.progress)
        if self.mean_net is not None:
            self.mean_net.update_parameters(self.net)

    def validation_step(self, batch: tuple[int, torch.Tensor, torch.Tensor], _: int) -> None:
        """Keep the logits (n, 2) of one item of `InOrder`, with its labels."""
        which, cubes, labels = batch
        # As the artifact will answer: in single precision.
        with torch.autocast(self.device.type, enabled=False):
            logits = self.kept(self.norm(cubes).contiguous(memory_format=LAYOUT))
        self.margins.append((which, logits, labels))

    def on_validation_epoch_end(self) -> None:
        """Loss, average precision and AUC, as means over the data sets.

        Every process measures all of it, so that all come to the same decisions.
        """
        rows = []
        for i in range(len(self.validation)):
            logits = torch.cat([logits for which, logits, _ in self.margins if which == i])
            labels = torch.cat([labels for which, _, labels in self.margins if which == i])
            loss = F.cross_entropy(logits, labels)
            self._check(loss, f"the validation of epoch {self.current_epoch + 1}")
            y, margin = labels.cpu().numpy(), (logits[:, 1] - logits[:, 0]).cpu().numpy()
            rows.append((loss, average_precision_score(y, margin), roc_auc_score(y, margin)))
        self.margins.clear()
        for name, values in zip(("val_loss", "val_ap", "val_auc"), zip(*rows), strict=True):  # noqa: B905
            mean = sum(map(float, values)) / len(values)
            self.log(name, mean, prog_bar=name == "val_ap", logger=False)

    def _check(self, loss: torch.Tensor, where: str) -> None:
        # All processes must stop, or the others would wait for this one.
        if not self.trainer.strategy.reduce_boolean_decision(bool(torch.isfinite(loss))):
            raise InputError(
                f"The loss is {loss.item()} at {where}: training went astray. Give a smaller --lr, "
                "and look for strange intensities in the data."
            )

    def configure_optimizers(self) -> Any:
        """AdamW, with the recipe's schedule step by step."""
        recipe = self.recipe
        groups = self.objective.parameter_groups(self.net, recipe.lr, recipe.weight_decay)
        adam = torch.optim.AdamW(groups)
        total = recipe.epochs * recipe.steps
        rise = max(1, round(recipe.warmup * total))

        def rate(step: int) -> float:
            if step < rise:
                return (step + 1) / rise
            if recipe.schedule == "constant":
                return 1.0
            return 0.5 * (1 + math.cos(math.pi * (step - rise) / max(1, total - rise)))

        schedule = torch.optim.lr_scheduler.LambdaLR(adam, rate)
        return {"optimizer": adam, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}
