"""What a training run is told, besides its data and seed, and the card that says so."""

import dataclasses
import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ..runtime.card import Card
from ..runtime.errors import InputError
from .augment import Augmentation
from .data import LabelledCubes, LabelledVolume, volumes_from


@dataclass(frozen=True)
class Recipe:
    """Everything that training depends on except the data and the seed.

    Attributes
    ----------
    name, version, description : str
    citations : tuple of str
        Of the model, for its card.
    architecture : str
        A name in the zoo's table.
    cube_shape, voxel_size, channels, resampling, normalisation
        What reaches the network, as in the card; ``cube`` or ``none``.
    epochs, steps, batch_size : int
        An epoch is ``steps`` batches: a unit for the log, not a pass through the data.
    lr, weight_decay, warmup : float
        AdamW; ``warmup`` is the share of all steps during which the rate rises.
    label_smoothing : float
        Annotations are incomplete, so no label is certain.
    robust : float
        See `objectives.Labels`; 0 for plain cross-entropy.
    cell_fraction : float or None
        Share of cells drawn from each volume; None draws them as they come.
    ema : float
        Decay per step of the weights' running mean, which is what is kept; 0 for none.
    augmentation : Augmentation
    """

    name: str = "plain3d"
    version: str = "1.0.0"
    description: str = ""
    citations: tuple[str, ...] = ()
    architecture: str = "plain3d"
    cube_shape: tuple[int, int, int] = (8, 24, 24)
    voxel_size: tuple[float, float, float] = (6.0, 2.0, 2.0)
    channels: tuple[str, ...] = ("signal",)
    resampling: str = "antialias"
    normalisation: str = "none"
    epochs: int = 10
    steps: int = 50
    batch_size: int = 128
    lr: float = 3e-3
    weight_decay: float = 0.05
    warmup: float = 0.1
    label_smoothing: float = 0.1
    robust: float = 0.0
    cell_fraction: float | None = 0.5
    ema: float = 0.98
    augmentation: Augmentation = field(default_factory=Augmentation)

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> "Recipe":
        """From JSON's objects and lists."""
        fields = dict(fields)
        try:
            changes = dict(fields.pop("augmentation", {}))
            for name in {"shift_um", "offset_range"} & changes.keys():
                changes[name] = tuple(changes[name])
            for name in ("cube_shape", "voxel_size", "channels", "citations"):
                if name in fields:
                    fields[name] = tuple(fields[name])
            return cls(augmentation=Augmentation(**changes), **fields)
        except (TypeError, ValueError) as error:
            known = ", ".join(f.name for f in dataclasses.fields(cls))
            raise InputError(f"The recipe cannot be used: {error}. It may hold {known}.") from None

    def card(self, **fields: Any) -> Card:
        """The card of a model made by this recipe."""
        return Card(
            name=self.name,
            version=self.version,
            description=self.description,
            architecture=self.architecture,
            cube_shape=self.cube_shape,
            voxel_size=self.voxel_size,
            channels=self.channels,
            normalisation=self.normalisation,
            resampling=self.resampling,
            **fields,
        )


def read_recipe(path: Path, data: Path | None) -> tuple[Recipe, list[LabelledVolume]]:
    """Recipe and volumes from a JSON file: a card's, or ``{"recipe": ..., "volumes": [...]}``.

    Paths of volumes are relative to ``data``, or to the file's folder.
    """
    try:
        fields = json.loads(path.read_text(encoding="utf-8"))
        # A card keeps them there, and what the model is called in words beside it.
        words = {k: fields[k] for k in ("description", "citations") if k in fields}
        fields = fields.get("training", fields)
        recipe, volumes = {**words, **fields["recipe"]}, fields["volumes"]
    except (ValueError, KeyError, AttributeError) as error:
        raise InputError(
            f"{path} is no recipe ({error!r}); expected JSON with 'recipe' and 'volumes', "
            "at the top or under 'training'."
        ) from None
    return Recipe.from_dict(recipe), volumes_from(volumes, data or path.parent)


def card_of(
    recipe: Recipe, cubes: Sequence[LabelledCubes], seed: int, entries: list, report: dict | None
) -> Card:
    """The card of a trained network; ``report`` is a cross-validation of the same recipe."""
    settings = json.loads(json.dumps(dataclasses.asdict(recipe)))
    words = ("description", "citations")  # they stand in the card itself
    training: dict[str, Any] = {
        "recipe": {k: v for k, v in settings.items() if k not in words},
        "volumes": entries,
        "seed": seed,
        "counts": {
            c.name: {"cells": int(c.labels.sum()), "no_cells": int((c.labels == 0).sum())}
            for c in cubes
        },
        "split": "the shipped weights saw all volumes; metrics are leave-one-volume-out",
        "commands": [
            "python -m cfzoo.zoo.crossval CARD.json --data FOLDER --seeds N -o REPORT.json",
            "python -m cfzoo.zoo.train CARD.json --data FOLDER --seed SEED --report REPORT.json "
            "-o OUTPUT",
        ],
    }
    names = ("torch", "lightning", "numpy", "safetensors", "scikit-learn")
    metrics: dict[str, Any] = {}
    if report is not None:
        if {k: v for k, v in report["recipe"].items() if k not in words} != training["recipe"]:
            raise InputError(
                "The cross-validation was made with another recipe than this one; "
                "its numbers would not describe these weights. Run crossval again."
            )
        metrics = {k: v for k, v in report.items() if k not in ("recipe", "counts", "temperature")}
    return recipe.card(
        temperature=1.0 if report is None else round(report["temperature"], 4),
        training=training,
        metrics=metrics,
        environment={"python": platform.python_version(), **{n: version(n) for n in names}},
        citations=tuple(recipe.citations),
    )
