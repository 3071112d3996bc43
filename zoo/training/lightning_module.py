"""The module that Lightning trains: the training step, the validation and the optimiser."""

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
from ..models import make_input_norm
from ..recipe import Recipe
from ..registry import MODELS, build
from .augment import Augment
from .backgrounds import replace_backgrounds
from .batches import Batch, TrainingBatches, ValidationBatches

LAYOUT = torch.channels_last_3d  # up to twice as fast on CPUs with so few channels
VALIDATION_BATCH = 256  # cubes
TRAINING_SAMPLE = 2048  # training cubes whose loss is measured as that of the validation data is
INTERCEPT_RATE = 0.05  # learning rate; logits of brains differ by a few units


def input_norm(recipe: Recipe) -> nn.Module:
    """Build the normalisation between raw cubes and the network."""
    return make_input_norm(recipe.normalisation)


class TrainingModule(L.LightningModule):
    """Network, objective and optimiser: trains on augmented cubes, validates the mean weights.

    Parameters
    ----------
    cubes, validation : sequences of LabelledCubes
        Each validation set has cells and no cells.
    recipe : Recipe
    seed : int
        At least 0, below 2^31.
    initial_weights : mapping of tensors, optional
        Random weights without.
    temperature, offset : float
        Those of the card of the initial weights.
    """

    def __init__(
        self,
        cubes: Sequence[LabelledCubes],
        recipe: Recipe,
        seed: int,
        validation: Sequence[LabelledCubes] = (),
        initial_weights: Mapping[str, torch.Tensor] | None = None,
        temperature: float = 1.0,
        offset: float = 0.0,
    ):
        super().__init__()
        self.cubes, self.recipe, self.seed, self.validation = cubes, recipe, seed, validation
        self.net = build(recipe.card())
        if initial_weights is not None:
            self.net.load_state_dict(initial_weights)
        self.net.to(memory_format=LAYOUT)  # type: ignore[call-overload]
        self.norm = input_norm(recipe)
        self.objective = MODELS[recipe.architecture].objective(recipe)
        if initial_weights is not None:
            self.objective.start_from(temperature, offset)
        self.augment: Any = nn.ModuleList(
            Augment(c, recipe.augmentation, recipe.resampling) for c in cubes
        )
        self.intercepts = None
        if recipe.intercept == "volume":
            self.intercepts = nn.Parameter(torch.zeros(len(cubes)))
        self.mean_net = None
        if recipe.ema:
            # A submodule, so that it travels in the checkpoints.
            average = get_ema_multi_avg_fn(recipe.ema)
            self.mean_net = AveragedModel(self.net, multi_avg_fn=average, use_buffers=True)
            self.mean_net.requires_grad_(False)  # several GPUs would wait for its gradients
        self.validation_logits: list[tuple[int, torch.Tensor, torch.Tensor]] = []

    @property
    def evaluated_net(self) -> nn.Module:
        """Network that is validated and saved: the running mean if the recipe asks for one."""
        return self.net if self.mean_net is None else self.mean_net.module

    @property
    def progress(self) -> float:
        """Completed share of the training, 0 to 1."""
        return self.global_step / (self.recipe.epochs * self.recipe.steps)

    def train_dataloader(self) -> DataLoader:
        """Return the `TrainingBatches` of this epoch and process."""
        key = (self.seed, self.current_epoch, self.global_rank)
        return DataLoader(TrainingBatches(self.cubes, self.recipe, key), batch_size=None)

    def val_dataloader(self) -> DataLoader:
        """Return the `ValidationBatches`, of `VALIDATION_BATCH` cubes each."""
        limit = max(1, TRAINING_SAMPLE // len(self.cubes))
        batches = ValidationBatches(self.validation, VALIDATION_BATCH, self.cubes, limit)
        return DataLoader(batches, batch_size=None)

    def training_step(self, batch: Batch, step: int) -> torch.Tensor:
        """Return the loss of one item of `TrainingBatches`, a scalar; InputError if not finite."""
        key = (self.seed << 32) + (self.global_rank << 24) + self.global_step
        rng = torch.Generator(self.device)
        rng.manual_seed(key)
        torch.manual_seed(key + (1 << 63))  # for dropout, apart from the augmentation's generator
        # Raw intensities do not fit half precision.
        with torch.autocast(self.device.type, enabled=False):
            strength, parts = self.recipe.augmentation, []
            for augment, (crops, labels) in zip(self.augment, batch, strict=True):
                if len(labels):
                    crops, labels = replace_backgrounds(crops, labels, strength, rng)
                    parts.append((augment.views(crops, rng, self.objective.views), labels))
            views = [
                self.norm(torch.cat(view)).contiguous(memory_format=LAYOUT)
                for view in zip(*(views for views, _ in parts), strict=True)
            ]
        labels = torch.cat([labels for _, labels in parts])
        intercepts = self._intercepts_of([len(labels) for _, labels in batch])
        values = self.objective(self.net, views, labels, self.progress, intercepts)
        self._check_finite(values["loss"], f"step {step + 1} of epoch {self.current_epoch + 1}")
        self.log_dict(
            values,
            on_step=False,
            on_epoch=True,
            prog_bar=True,
            logger=False,  # `Journal` logs once per epoch
            sync_dist=self.trainer.world_size > 1,
            batch_size=1,  # equal weights, even if the first data set has few rows
        )
        return values["loss"]

    def _intercepts_of(self, counts: Sequence[int]) -> torch.Tensor | None:
        """Return the intercepts of a batch with so many cubes of each data set, (n,)."""
        if self.intercepts is None:
            return None
        # Their mean is the network's own.
        centred = self.intercepts - self.intercepts.mean()
        return centred.repeat_interleave(torch.tensor(counts, device=self.device))

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Apply the objective's change of the weights, and update the running mean."""
        del outputs, batch, batch_idx
        self.objective.after_step(self.net, self.progress)
        if self.mean_net is not None:
            self.mean_net.update_parameters(self.net)

    def validation_step(self, batch: tuple[int, torch.Tensor, torch.Tensor], _: int) -> None:
        """Keep the logits (n, 2) of one item of `ValidationBatches`, with its labels."""
        dataset, cubes, labels = batch
        # In single precision, as in the artifact.
        with torch.autocast(self.device.type, enabled=False):
            logits = self.evaluated_net(self.norm(cubes).contiguous(memory_format=LAYOUT))
        self.validation_logits.append((dataset, logits, labels))

    def on_validation_epoch_end(self) -> None:
        """Log the means over the data sets of loss, average precision and AUC.

        ``train_loss`` is the same loss of the training data, which ``val_loss`` can be compared
        with: ``loss`` is that of the objective, on augmented cubes and with dropout. Every process
        measures all data, so that all make the same decisions.
        """
        rows, losses = [], []
        for i in range(len(self.validation) + len(self.cubes)):
            batches = [(logits, y) for dataset, logits, y in self.validation_logits if dataset == i]
            logits, labels = (torch.cat(column) for column in zip(*batches, strict=True))
            loss = F.cross_entropy(logits, labels)
            self._check_finite(loss, f"the validation of epoch {self.current_epoch + 1}")
            if i >= len(self.validation):
                losses.append(float(loss))
                continue
            y, margin = labels.cpu().numpy(), (logits[:, 1] - logits[:, 0]).cpu().numpy()
            rows.append((loss, average_precision_score(y, margin), roc_auc_score(y, margin)))
        self.validation_logits.clear()
        self.log("train_loss", sum(losses) / len(losses), logger=False)
        for name, values in zip(("val_loss", "val_ap", "val_auc"), zip(*rows), strict=True):  # noqa: B905
            mean = sum(map(float, values)) / len(values)
            self.log(name, mean, prog_bar=name == "val_ap", logger=False)

    def _check_finite(self, loss: torch.Tensor, moment: str) -> None:
        # All processes must stop, or the rest would wait for this one.
        if not self.trainer.strategy.reduce_boolean_decision(bool(torch.isfinite(loss))):
            raise InputError(
                f"The loss is {loss.item()} at {moment}: training diverged. Give a smaller --lr, "
                "and check the intensities of the data."
            )

    def configure_optimizers(self) -> Any:
        """Return AdamW with the recipe's learning rate of each step."""
        recipe = self.recipe
        groups = self.objective.parameter_groups(self.net, recipe.lr, recipe.weight_decay)
        if self.intercepts is not None:
            own = {"params": [self.intercepts], "lr": INTERCEPT_RATE, "weight_decay": 0.0}
            groups.append(own)
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
