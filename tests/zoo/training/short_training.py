"""Trainings of seconds, and what stops them."""

import dataclasses

import numpy as np

from cfzoo.zoo.recipe import Augmentation, Recipe
from cfzoo.zoo.training import (
    RunFolder,
    Start,
    TrainingPlan,
    describe_training,
    predict_margins,
    train_in_folder,
)

SMALL = Recipe(
    epochs=2,
    steps=20,
    batch_size=16,
    ema=0.9,
    label_smoothing=0.0,
    augmentation=Augmentation(swap=0, scale=0, stretch=0, photometric=0),
)
TINY = dataclasses.replace(
    SMALL, epochs=5, steps=3, batch_size=8, cube_shape=(4, 8, 8), voxel_size=(6, 6, 6)
)
CPU = {"accelerator": "cpu", "devices": 1, "precision": "32-true"}


class Killed(BaseException):
    pass


def run(
    path, brains, recipe=TINY, *, on_epoch=None, has_validation=True, hardware=CPU, weights=None
):
    """Train in a folder, and return the folder, the network and the rows."""
    cubes, validation = brains[0], brains[1] if has_validation else []
    folder = RunFolder(path, f"{recipe.name}-{recipe.version}")
    description = describe_training(recipe, 0, cubes, validation, "", hardware)
    folder.claim(description, overwrite=False)
    start, card = Start(recipe, weights), recipe.card()
    plan = TrainingPlan(start, 0, cubes, validation, hardware, folder, card, description)
    return folder, *train_in_folder(plan, on_epoch=on_epoch)


def mean_loss(net, validation):
    """Return the mean over data sets of the cross-entropy without smoothing."""
    losses = []
    for cubes in validation:
        margin = predict_margins(net, TINY, cubes)
        losses.append(np.logaddexp(0, np.where(cubes.labels == 1, -margin, margin)).mean())
    return np.mean(losses)


def kill_after(epoch):
    def on_epoch(row):
        if row["epoch"] == epoch:
            raise Killed

    return on_epoch
