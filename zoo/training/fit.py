"""Labelled cubes and a recipe to weights, in memory or in a folder where it can go on later."""

import logging
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import torch
from lightning.pytorch.callbacks import TQDMProgressBar
from lightning.pytorch.loggers import TensorBoardLogger
from torch import nn

from ...runtime.artifact import Card
from ...runtime.errors import EnvironmentProblem
from ..data import LabelledCubes
from ..recipe import Recipe
from ..registry import build
from ..weights import read_weights
from .checkpoint import SafetensorsIO, read_checkpoint
from .curves import draw_curves
from .journal import Journal, Row, is_over
from .lightning_module import AT_ONCE, Training, input_norm
from .run_folder import RunFolder, is_main_process


def train(
    recipe: Recipe,
    cubes: Sequence[LabelledCubes],
    seed: int,
    start: Mapping[str, torch.Tensor] | None = None,
) -> tuple[nn.Module, list[Row]]:
    """Train in memory, for the recipe's number of epochs, perhaps from other weights.

    Returns
    -------
    network : nn.Module
        On the CPU, in evaluation mode, without normalisation in front.
    rows : list of dict
        Loss and accuracy of each epoch on its augmented batches.

    Raises
    ------
    InputError
        The loss is not finite: training went astray.
    EnvironmentProblem
        The GPU's memory ran out.
    """
    L.seed_everything(seed, verbose=False)
    body, journal = Training(cubes, recipe, seed, start=start), Journal(recipe)
    _fit(body, journal, hardware(devices=1))
    network = body.kept.cpu().to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    return network.eval(), journal.rows


def train_into(
    run: RunFolder,
    recipe: Recipe,
    cubes: Sequence[LabelledCubes],
    validation: Sequence[LabelledCubes],
    seed: int,
    card: Card,
    *,
    start: Mapping[str, torch.Tensor] | None = None,
    on: Mapping[str, Any] | None = None,
    bar: bool = False,
    tell: Callable[[Row], object] | None = None,
) -> tuple[nn.Module, list[Row]]:
    """Train in a folder; what was trained there before it was killed is not trained again.

    Killed at any moment and called again, it gives the weights, bit for bit, that it would have
    given: on the same hardware, and where that is deterministic.

    Parameters
    ----------
    run : RunFolder
        Claimed for this training.
    validation : sequence of LabelledCubes
        Of whole brains that are not in ``cubes``. Without any, the last epoch is kept and none
        is left out.
    card : Card
        Travels with the weights of the best epoch.
    start : mapping of tensors, optional
        Weights to begin with.
    on : mapping, optional
        Of `hardware`.
    bar : bool
        Show a progress bar.
    tell : callable, optional
        Gets the row of each new epoch.

    Returns
    -------
    network : nn.Module
        Of the best epoch, on the CPU, in evaluation mode, without normalisation in front.
    rows : list of dict
        Of all epochs: loss and accuracy on augmented batches; val_loss, val_ap and val_auc.

    Raises
    ------
    InputError, EnvironmentProblem
        As `train`; or a checkpoint is damaged.
    """
    journal, resume = Journal(recipe, run, card, tell), run.last.exists()
    if resume:
        journal.load_state_dict(read_checkpoint(run.last)["callbacks"][journal.state_key])
    if not is_over(journal.rows, recipe):
        L.seed_everything(seed, verbose=False)
        logger = TensorBoardLogger(
            run.path, name="", version="tensorboard", purge_step=len(journal.rows) + 1
        )
        body = Training(cubes, recipe, seed, validation, start)
        more = {"logger": logger, "plugins": [SafetensorsIO()]}
        if bar:
            more |= {"callbacks": [journal, TQDMProgressBar()], "enable_progress_bar": True}
        _fit(body, journal, on or hardware(), run.last if resume else None, **more)
    if is_main_process():
        draw_curves(journal.rows, run.curves)
    network = build(card)
    network.load_state_dict(read_weights(run.best)[0])
    return network.eval(), journal.rows


def hardware(device: str = "auto", devices: int | None = None) -> dict[str, Any]:
    """Lightning's accelerator, devices and precision.

    Parameters
    ----------
    device : str
        ``auto``, ``cpu`` or ``cuda``; auto takes a GPU where there is one.
    devices : int, optional
        GPUs, or processes on the CPU; all GPUs, or one process, when None.

    Raises
    ------
    EnvironmentProblem
        There are not so many GPUs.
    """
    count = torch.cuda.device_count() if device != "cpu" and torch.cuda.is_available() else 0
    wanted = devices or 1
    if count < wanted and (count or device == "cuda"):
        raise EnvironmentProblem(
            f"torch can use {count} GPUs of this computer; {wanted} were asked for. Give fewer "
            "--devices, or --device cpu."
        )
    if not count:
        return {"accelerator": "cpu", "devices": wanted, "precision": "32-true"}
    half = "bf16-mixed" if torch.cuda.is_bf16_supported() else "16-mixed"
    return {"accelerator": "cuda", "devices": devices or count, "precision": half}


def _fit(
    body: Training,
    journal: Journal,
    on: Mapping[str, Any],
    resume: Path | None = None,
    **more: Any,
) -> None:
    settings: dict[str, Any] = {
        "max_epochs": body.recipe.epochs,
        "deterministic": "warn" if on["accelerator"] == "cuda" else False,  # CPUs always are
        "callbacks": [journal],
        "logger": False,
        "enable_checkpointing": False,  # the journal does it
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "num_sanity_val_steps": 0,
        "limit_val_batches": 1.0 if body.validation else 0,
        "log_every_n_steps": 1,
        "reload_dataloaders_every_n_epochs": 1,  # an epoch's batches are its own
        "use_distributed_sampler": False,  # each process draws its own
        "strategy": "ddp" if on["devices"] > 1 else "auto",
    }
    trainer = L.Trainer(**{**settings, **on, **more})
    with warnings.catch_warnings():
        # Batches are made in memory; worker processes would only copy them.
        warnings.filterwarnings("ignore", message=".*does not have many workers.*")
        try:
            trainer.fit(body, ckpt_path=resume)
        except SystemExit:  # what Lightning makes of Ctrl-C
            raise KeyboardInterrupt from None
        except torch.OutOfMemoryError:
            raise EnvironmentProblem(
                f"The GPU's memory ran out. Give a --batch-size below {body.recipe.batch_size}."
            ) from None


@torch.inference_mode()
def predict(
    net: nn.Module, recipe: Recipe, cubes: np.ndarray, batch_size: int = AT_ONCE
) -> np.ndarray:
    """Logits of raw cubes on the network's grid.

    Parameters
    ----------
    cubes : (N, C, z, y, x) float32, raw intensities

    Returns
    -------
    (N, 2) float32
        No cell, cell.
    """
    norm = input_norm(recipe)
    parts = torch.from_numpy(cubes).split(batch_size)
    return torch.cat([net(norm(part)) for part in parts]).numpy()


def margins(net: nn.Module, recipe: Recipe, cubes: LabelledCubes) -> np.ndarray:
    """Logit of cell less that of no cell, (N,) float32; `AT_ONCE` cubes are cut at once."""
    starts = range(0, len(cubes), AT_ONCE)
    logits = [predict(net, recipe, cubes.cubes(slice(s, s + AT_ONCE))) for s in starts]
    return np.concatenate([part[:, 1] - part[:, 0] for part in logits])


def silence_lightning() -> None:
    """Keep Lightning's notes about hardware and hints off the terminal."""
    for name in ("lightning", "lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="lightning")
