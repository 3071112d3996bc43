"""The rows of a training, one an epoch, and all that follows from them.

The best epoch and the end follow from the rows alone, and the rows travel in the checkpoint: a
training that was killed comes to the same decisions as one that was not. (Lightning's own
callbacks keep counters and absolute paths instead; moved to another folder, or killed after the
decision to stop, they decide otherwise.)
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


def best_of(rows: Sequence[Row]) -> int:
    """Index of the first row with the best average precision; of the last without validation."""
    if "val_ap" not in rows[-1]:
        return len(rows) - 1
    return max(range(len(rows)), key=lambda i: rows[i]["val_ap"])


def is_over(rows: Sequence[Row], recipe: Recipe) -> bool:
    """Whether training ends after these epochs."""
    if not rows or len(rows) >= recipe.epochs:
        return bool(rows)
    return 0 < recipe.patience <= len(rows) - 1 - best_of(rows)


class Journal(L.Callback):
    """Collects the rows; writes them, the best weights and the checkpoint into a run's folder.

    Parameters
    ----------
    recipe : Recipe
    run : RunFolder, optional
        Nothing is written without.
    card : Card, optional
        Of the weights, where there is a folder.
    tell : callable, optional
        Gets each row.
    """

    def __init__(
        self,
        recipe: Recipe,
        run: RunFolder | None = None,
        card: Card | None = None,
        tell: Callable[[Row], object] | None = None,
    ):
        self.recipe, self.run, self.card, self.tell = recipe, run, card, tell
        self.rows: list[Row] = []

    def state_dict(self) -> dict[str, Any]:
        """What travels in the checkpoint."""
        return {"rows": self.rows}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from these rows."""
        self.rows = state_dict["rows"]

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: Any) -> None:
        """Add a row, write what there is, and say whether training ends."""
        values = sorted(trainer.callback_metrics.items(), key=lambda kv: kv[0].startswith("val_"))
        row = {"epoch": trainer.current_epoch + 1, **{k: float(v) for k, v in values}}
        # All processes decide by the rows of the first.
        self.rows.append(trainer.strategy.broadcast(row))
        if self.run is not None:
            if trainer.is_global_zero:
                self._write(self.run, pl_module.kept)
            for logger in trainer.loggers:
                logger.log_metrics(row, step=len(self.rows))
                logger.save()
            # Last, since it says that this epoch is done: all before can be done again.
            trainer.save_checkpoint(self.run.last)
        if self.tell is not None and trainer.is_global_zero:
            self.tell(row)
        trainer.should_stop = is_over(self.rows, self.recipe)

    def _write(self, run: RunFolder, kept: nn.Module) -> None:
        if best_of(self.rows) == len(self.rows) - 1 and self.card is not None:
            with atomic_write(run.best, "wb") as file:
                file.write(save(plain_state(kept), {"card": self.card.to_json()}))
        names = list(self.rows[0])
        lines = [",".join(f"{row[name]:.6g}" for name in names) for row in self.rows]
        with atomic_write(run.metrics) as file:
            file.write("\n".join([",".join(names), *lines]) + "\n")


def plain_state(network: nn.Module) -> dict[str, torch.Tensor]:
    """Its weights on the CPU, in the usual order in memory."""
    return {
        name: tensor.detach().cpu().clone(memory_format=torch.contiguous_format)
        for name, tensor in network.state_dict().items()
    }
