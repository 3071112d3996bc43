"""The training engine: labelled cubes and a recipe to weights.

Lightning runs the loop. What a batch holds and how it is changed depends on (seed, step,
rank) alone, never on what was drawn before, so that a run can later be resumed or spread
over GPUs and stay the same run.
"""

import json
import logging
import math
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import lightning as L
import numpy as np
import torch
from safetensors.torch import save_file
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.data import DataLoader, Dataset

from .augment import Augment
from .data import LabelledCubes, load
from .normalise import CubeNorm
from .recipe import Recipe, card_of, read_recipe
from .registry import MODELS, build


class Batches(Dataset):
    """One epoch of batches; each holds, per volume, rows drawn from it.

    Volumes have equal shares, however many points they have: the network meets new brains,
    so the crowded brain must not decide what a cell looks like.
    """

    def __init__(self, cubes: Sequence[LabelledCubes], recipe: Recipe, key: tuple[int, ...]):
        self.cubes, self.recipe, self.key = cubes, recipe, key

    def __len__(self) -> int:
        return self.recipe.steps

    def __getitem__(self, step: int) -> list[tuple[torch.Tensor, torch.Tensor]]:
        rng = np.random.default_rng((*self.key, step))
        n = self.recipe.batch_size // len(self.cubes)
        batch = []
        for cubes in self.cubes:
            rows = rng.integers(len(cubes), size=n)
            cells, others = np.flatnonzero(cubes.labels == 1), np.flatnonzero(cubes.labels == 0)
            if self.recipe.cell_fraction is not None and len(cells) and len(others):
                take = rng.random(n) < self.recipe.cell_fraction
                rows = np.where(take, rng.choice(cells, n), rng.choice(others, n))
            crops = torch.from_numpy(cubes.crops[rows].astype(np.float32))
            batch.append((crops, torch.from_numpy(cubes.labels[rows])))
        return batch


class Training(L.LightningModule):
    """The loop's body: augment, normalise, classify, average the weights."""

    def __init__(self, cubes: Sequence[LabelledCubes], recipe: Recipe, seed: int):
        super().__init__()
        self.cubes, self.recipe, self.seed = cubes, recipe, seed
        # Channels last: up to twice as fast on CPUs with so few channels.
        self.net = build(recipe.card()).to(memory_format=torch.channels_last_3d)
        self.norm = _norm(recipe)
        self.objective = MODELS[recipe.architecture].objective(recipe)
        self.augment = nn.ModuleList(
            Augment(c, recipe.augmentation, recipe.resampling) for c in cubes
        )
        self.mean_net = None
        if recipe.ema:
            # A submodule, so that it travels in Lightning's checkpoints.
            average = get_ema_multi_avg_fn(recipe.ema)
            self.mean_net = AveragedModel(self.net, multi_avg_fn=average, use_buffers=True)

    def train_dataloader(self) -> DataLoader:
        key = (self.seed, self.current_epoch, self.global_rank)
        return DataLoader(Batches(self.cubes, self.recipe, key), batch_size=None)

    def training_step(self, batch: list, step: int) -> torch.Tensor:
        del step
        rng = torch.Generator(self.device)
        rng.manual_seed((self.seed << 32) + (self.global_rank << 24) + self.global_step)
        count = self.objective.views
        parts = [
            augment.views(crops, rng, count)
            for augment, (crops, _) in zip(self.augment, batch, strict=True)
        ]
        views = [
            self.norm(torch.cat(view)).contiguous(memory_format=torch.channels_last_3d)
            for view in zip(*parts, strict=True)
        ]
        y = torch.cat([labels for _, labels in batch])
        values = self.objective(self.net, views, y, self.progress)
        self.log_dict(values, on_step=False, on_epoch=True)
        return values["loss"]

    @property
    def progress(self) -> float:
        """Share of the training that is done."""
        return self.global_step / (self.recipe.epochs * self.recipe.steps)

    def on_train_batch_end(self, *_: Any) -> None:
        self.objective.after_step(self.net, self.progress)
        if self.mean_net is not None:
            self.mean_net.update_parameters(self.net)

    def configure_optimizers(self) -> dict[str, Any]:
        recipe = self.recipe
        groups = self.objective.parameter_groups(self.net, recipe.lr, recipe.weight_decay)
        adam = torch.optim.AdamW(groups)
        total = recipe.epochs * recipe.steps
        rise = max(1, round(recipe.warmup * total))

        def rate(step: int) -> float:
            if step < rise:
                return (step + 1) / rise
            return 0.5 * (1 + math.cos(math.pi * (step - rise) / max(1, total - rise)))

        schedule = torch.optim.lr_scheduler.LambdaLR(adam, rate)
        return {"optimizer": adam, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


class _Log(L.Callback):
    def __init__(self):
        self.rows: list[dict[str, float]] = []

    def on_train_epoch_end(self, trainer: L.Trainer, _: L.LightningModule) -> None:
        metrics = {k: float(v) for k, v in trainer.callback_metrics.items()}
        self.rows.append({"epoch": float(trainer.current_epoch), **metrics})


def train(
    recipe: Recipe, cubes: Sequence[LabelledCubes], seed: int
) -> tuple[nn.Module, list[dict[str, float]]]:
    """Train for the recipe's fixed number of steps; there is no early stopping.

    Returns
    -------
    network : nn.Module
        On the CPU, in evaluation mode, without normalisation in front.
    log : list of dict
        Loss and accuracy of each epoch on its augmented batches.
    """
    L.seed_everything(seed, verbose=False)
    body, log = Training(cubes, recipe, seed), _Log()
    trainer = L.Trainer(
        max_epochs=recipe.epochs,
        accelerator="auto",
        deterministic="warn" if torch.cuda.is_available() else False,  # CPUs always are
        logger=False,
        callbacks=[log],
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        reload_dataloaders_every_n_epochs=1,
    )
    with warnings.catch_warnings():
        # Batches are made in memory; worker processes would only copy them.
        warnings.filterwarnings("ignore", message=".*does not have many workers.*")
        trainer.fit(body)
    net = body.net if body.mean_net is None else body.mean_net.module
    return net.cpu().to(memory_format=torch.contiguous_format).eval(), log.rows


def _norm(recipe: Recipe) -> nn.Module:
    return CubeNorm() if recipe.normalisation == "cube" else nn.Identity()


@torch.inference_mode()
def predict(net: nn.Module, recipe: Recipe, cubes: np.ndarray, batch_size: int = 256) -> np.ndarray:
    """Logits of raw cubes on the network's grid.

    Parameters
    ----------
    cubes : (N, C, z, y, x) float32, raw intensities

    Returns
    -------
    (N, 2) float32
    """
    norm = _norm(recipe)
    parts = torch.from_numpy(cubes).split(batch_size)
    return torch.cat([net(norm(part)) for part in parts]).numpy()


def quiet() -> None:
    """Keep Lightning's notes about hardware and hints off the terminal."""
    for name in ("lightning", "lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="lightning")


@click.command()
@click.argument("recipe", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--data", type=click.Path(path_type=Path), help="Folder of the volumes.")
@click.option("--seed", default=0, show_default=True)
@click.option("--report", type=click.Path(exists=True, path_type=Path), help="Of crossval.")
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path))
def main(recipe: Path, data: Path | None, seed: int, report: Path | None, output: Path) -> None:
    """Train on all volumes of RECIPE (JSON); writes weights, card and log into OUTPUT."""
    quiet()
    settings, volumes = read_recipe(recipe, data)
    cubes = [load(volume, settings.card()) for volume in volumes]
    measured = None if report is None else json.loads(report.read_text(encoding="utf-8"))
    root = data or recipe.parent
    card = card_of(settings, cubes, seed, [v.entry(root) for v in volumes], measured)
    net, log = train(settings, cubes, seed)
    output.mkdir(parents=True, exist_ok=True)
    stem = f"{settings.name}-{settings.version}"
    state = {k: v.contiguous() for k, v in net.state_dict().items()}
    save_file(state, output / f"{stem}.safetensors")
    (output / f"{stem}.json").write_text(card.to_json() + "\n", encoding="utf-8")
    rows = [",".join(log[0])] + [",".join(f"{v:.6g}" for v in row.values()) for row in log]
    (output / f"{stem}.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
