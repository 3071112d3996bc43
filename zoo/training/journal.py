"""The metrics of a training, one row per epoch, and the decisions that follow from them.

The best epoch and the end depend on the rows alone, and the rows travel in the checkpoint, so a
training that was killed makes the same decisions as one that was not. (Lightning's own callbacks
keep counters and absolute paths instead; they decide otherwise when the folder has moved, or when
the training is killed after the decision to stop.)
"""

from collections.abc import Callable, Sequence
from typing import Any

import lightning as L
import torch
from safetensors.torch import save
from torch import nn

from ...runtime.artifact import Card
from ...runtime.files import atomic_write
from ..recipe import Recipe
from .run_folder import RunFolder

Row = dict[str, float]


def find_best(rows: Sequence[Row]) -> int:
    """Index of the first row with the best average precision; the last row without validation."""
    if "val_ap" not in rows[-1]:
        return len(rows) - 1
    return max(range(len(rows)), key=lambda i: rows[i]["val_ap"])


def is_over(rows: Sequence[Row], recipe: Recipe) -> bool:
    """Whether training ends after these epochs."""
    if not rows or len(rows) >= recipe.epochs:
        return bool(rows)
    return 0 < recipe.patience <= len(rows) - 1 - find_best(rows)


class Journal(L.Callback):
    """Record of the rows; writes them, the best weights and the checkpoint to a run folder.

    Parameters
    ----------
    recipe : Recipe
    folder : RunFolder, optional
        Without a folder, nothing is written.
    card : Card, optional
        Card saved with the best weights.
    on_epoch : callable, optional
        Called with the row of each epoch.
    """

    def __init__(
        self,
        recipe: Recipe,
        folder: RunFolder | None = None,
        card: Card | None = None,
        on_epoch: Callable[[Row], object] | None = None,
    ):
        self.recipe, self.folder, self.card, self.on_epoch = recipe, folder, card, on_epoch
        self.rows: list[Row] = []

    def state_dict(self) -> dict[str, Any]:
        """Return the state that the checkpoint keeps."""
        return {"rows": self.rows}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue from the rows of a checkpoint."""
        self.rows = state_dict["rows"]

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: Any) -> None:
        """Add a row, write the files, and decide whether training ends."""
        measured = ("train_", "val_")  # in evaluation mode
        values = sorted(trainer.callback_metrics.items(), key=lambda kv: kv[0].startswith(measured))
        row = {"epoch": trainer.current_epoch + 1, **{k: float(v) for k, v in values}}
        # All processes decide by the rows of the first.
        self.rows.append(trainer.strategy.broadcast(row))
        if self.folder is not None:
            if trainer.is_global_zero:
                self._write(self.folder, pl_module.evaluated_net)
            for logger in trainer.loggers:
                logger.log_metrics(row, step=len(self.rows))
                logger.save()
            # Written last, since it marks the epoch as done: the rest can be repeated.
            trainer.save_checkpoint(self.folder.checkpoint)
        if self.on_epoch is not None and trainer.is_global_zero:
            self.on_epoch(row)
        trainer.should_stop = is_over(self.rows, self.recipe)

    def _write(self, folder: RunFolder, network: nn.Module) -> None:
        if find_best(self.rows) == len(self.rows) - 1 and self.card is not None:
            with atomic_write(folder.best_weights, "wb") as file:
                file.write(save(copy_weights(network), {"card": self.card.to_json()}))
        names = list(self.rows[0])
        lines = [",".join(f"{row[name]:.6g}" for name in names) for row in self.rows]
        with atomic_write(folder.metrics) as file:
            file.write("\n".join([",".join(names), *lines]) + "\n")


def copy_weights(network: nn.Module) -> dict[str, torch.Tensor]:
    """Copy the network's state to the CPU, contiguous in memory."""
    return {
        name: tensor.detach().cpu().clone(memory_format=torch.contiguous_format)
        for name, tensor in network.state_dict().items()
    }
