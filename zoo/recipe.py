"""What a training run is told, besides its data and seed."""

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..runtime.card import Card
from ..runtime.errors import InputError
from .augment import Augmentation
from .data import LabelledVolume, volumes_from


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
    cube_shape, voxel_size, channels, resampling
        The network's grid, as in the card.
    epochs, steps, batch_size : int
        An epoch is ``steps`` batches: a unit for the log, not a pass through the data.
    lr, weight_decay, warmup : float
        AdamW; ``warmup`` is the share of all steps during which the rate rises.
    label_smoothing : float
        Annotations are incomplete, so no label is certain.
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
    epochs: int = 10
    steps: int = 50
    batch_size: int = 128
    lr: float = 3e-3
    weight_decay: float = 0.05
    warmup: float = 0.1
    label_smoothing: float = 0.1
    cell_fraction: float | None = 0.5
    ema: float = 0.98
    augmentation: Augmentation = field(default_factory=Augmentation)

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> "Recipe":
        """From JSON's objects and lists."""
        fields = dict(fields)
        try:
            changes = dict(fields.pop("augmentation", {}))
            if "shift_um" in changes:
                changes["shift_um"] = tuple(changes["shift_um"])
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
            normalisation="cube",
            resampling=self.resampling,
            **fields,
        )


def read_recipe(path: Path, data: Path | None) -> tuple[Recipe, list[LabelledVolume]]:
    """Recipe and volumes from a JSON file: a card's, or ``{"recipe": ..., "volumes": [...]}``.

    Paths of volumes are relative to ``data``, or to the file's folder.
    """
    try:
        fields = json.loads(path.read_text(encoding="utf-8"))
        fields = fields.get("training", fields)  # a card keeps them there
        recipe, volumes = fields["recipe"], fields["volumes"]
    except (ValueError, KeyError, AttributeError) as error:
        raise InputError(
            f"{path} is no recipe ({error!r}); expected JSON with 'recipe' and 'volumes', "
            "at the top or under 'training'."
        ) from None
    return Recipe.from_dict(recipe), volumes_from(volumes, data or path.parent)
