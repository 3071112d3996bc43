"""Training: from a recipe and labelled cubes to a network, in memory or in a run folder."""

import gc
import logging
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import TQDMProgressBar
from lightning.pytorch.loggers import TensorBoardLogger
from torch import nn

from ...runtime.errors import EnvironmentProblem
from ..data import LabelledCubes
from ..recipe import Recipe
from ..registry import MODELS, build
from ..weights import read_weights
from .checkpoint import DigestCheckpointIO, read_checkpoint
from .curves import draw_curves
from .evaluate import compute_training_features
from .journal import Journal, Row, is_over
from .lightning_module import TrainingModule
from .plan import TrainingPlan, choose_hardware
from .run_folder import is_main_process


def train(
    recipe: Recipe,
    cubes: Sequence[LabelledCubes],
    seed: int,
    initial_weights: Mapping[str, torch.Tensor] | None = None,
    temperature: float = 1.0,
    offset: float = 0.0,
) -> tuple[nn.Module, list[Row]]:
    """Train in memory, for the recipe's number of epochs.

    Parameters
    ----------
    recipe : Recipe
    cubes : sequence of LabelledCubes
    seed : int
    initial_weights : mapping of tensors, optional
        Random weights without.
    temperature, offset : float
        Those of the card of the initial weights.

    Returns
    -------
    network : nn.Module
        On the CPU, in evaluation mode, without input normalisation.
    rows : list of dict
        Loss and accuracy of each epoch on its augmented batches.

    Raises
    ------
    InputError
        The loss is not finite: training diverged.
    EnvironmentProblem
        The GPU's memory ran out.
    """
    L.seed_everything(seed, verbose=False)
    module = TrainingModule(cubes, recipe, seed, (), initial_weights, temperature, offset)
    journal = Journal(recipe)
    _run_lightning(module, journal, choose_hardware(devices=1))
    network = module.evaluated_net.cpu()
    network.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    if initial_weights is None:
        _finish(network.eval(), recipe, cubes, seed)
    # Lightning's objects refer to each other, and to cubes that the next training has no room for.
    del module
    gc.collect()
    return network.eval(), journal.rows


def train_in_folder(
    plan: TrainingPlan,
    *,
    progress_bar: bool = False,
    on_epoch: Callable[[Row], object] | None = None,
) -> tuple[nn.Module, list[Row]]:
    """Carry out a plan in its run folder, from its checkpoint if there is one.

    A training that is killed at any moment and called again gives the same weights, bit for bit,
    as one that is not: on the same hardware, and where that is deterministic.

    Parameters
    ----------
    plan : TrainingPlan
        Its folder is claimed for this training.
    progress_bar : bool
    on_epoch : callable, optional
        Called with the row of each new epoch.

    Returns
    -------
    network : nn.Module
        Network of the best epoch, on the CPU, in evaluation mode, without input normalisation.
    rows : list of dict
        Per epoch, loss and accuracy on augmented batches; with validation data train_loss,
        val_loss, val_ap and val_auc, in evaluation mode.

    Raises
    ------
    InputError
        The loss is not finite, or the checkpoint is damaged.
    EnvironmentProblem
        The GPU's memory ran out.
    """
    recipe, folder, seed = plan.recipe, plan.folder, plan.seed
    journal = Journal(recipe, folder, plan.card, on_epoch)
    checkpoint = folder.checkpoint if folder.checkpoint.exists() else None
    if checkpoint is not None:
        journal.load_state_dict(read_checkpoint(checkpoint)["callbacks"][journal.state_key])
    if not is_over(journal.rows, recipe):
        L.seed_everything(seed, verbose=False)
        start = plan.start
        module = TrainingModule(
            plan.cubes,
            recipe,
            seed,
            plan.validation,
            start.weights,
            start.temperature,
            start.offset,
        )
        logger = TensorBoardLogger(
            folder.path, name="", version="tensorboard", purge_step=len(journal.rows) + 1
        )
        options: dict[str, Any] = {"logger": logger, "plugins": [DigestCheckpointIO()]}
        if progress_bar:
            options |= {"callbacks": [journal, TQDMProgressBar()], "enable_progress_bar": True}
        _run_lightning(module, journal, plan.hardware, checkpoint, **options)
    if is_main_process():
        draw_curves(journal.rows, folder.curves)
    network = build(plan.card)
    network.load_state_dict(read_weights(folder.best_weights)[0])
    if plan.start.weights is None:
        _finish(network.eval(), recipe, plan.cubes, seed)
    return network.eval(), journal.rows


def _finish(network: nn.Module, recipe: Recipe, cubes: Sequence[LabelledCubes], seed: int) -> None:
    """Let the objective finish a network that was trained from random weights."""
    objective = MODELS[recipe.architecture].objective(recipe)
    brains = []
    if objective.fits_features:
        brains = [compute_training_features(network, recipe, each, seed) for each in cubes]
    objective.finish(network, brains)


def silence_lightning() -> None:
    """Keep Lightning's notes about hardware and its hints off the terminal."""
    for name in ("lightning", "lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="lightning")


def _run_lightning(
    module: TrainingModule,
    journal: Journal,
    hardware: Mapping[str, Any],
    checkpoint: Path | None = None,
    **options: Any,
) -> None:
    settings: dict[str, Any] = {
        "max_epochs": module.recipe.epochs,
        "deterministic": "warn" if hardware["accelerator"] == "cuda" else False,  # CPUs always are
        "callbacks": [journal],
        "logger": False,
        "enable_checkpointing": False,  # the journal writes checkpoints
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "num_sanity_val_steps": 0,
        "limit_val_batches": 1.0 if module.validation else 0,
        "log_every_n_steps": 1,
        "reload_dataloaders_every_n_epochs": 1,  # every epoch has its own batches
        "use_distributed_sampler": False,  # every process draws its own rows
        "strategy": "ddp" if hardware["devices"] > 1 else "auto",
    }
    trainer = L.Trainer(**{**settings, **hardware, **options})
    with warnings.catch_warnings():
        # Batches are made in memory; worker processes would only copy them.
        warnings.filterwarnings("ignore", message=".*does not have many workers.*")
        try:
            trainer.fit(module, ckpt_path=checkpoint)
        except SystemExit:  # Lightning turns Ctrl-C into this
            raise KeyboardInterrupt from None
        except torch.OutOfMemoryError:
            raise EnvironmentProblem(
                f"The GPU's memory ran out. Give a --batch-size below {module.recipe.batch_size}."
            ) from None
