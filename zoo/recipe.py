"""The recipe of a training: everything that it depends on except the data and the seed."""

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..runtime.artifact import Card
from ..runtime.errors import ArtifactError, InputError
from .document import read_document

BUNDLED_RECIPES = Path(__file__).parent / "recipes"
CARD_TEXTS = ("description", "citations")  # fields of the card itself, not of its recipe
_CHOICES = {
    "schedule": ("cosine", "constant"),
    "share": ("volume", "candidate"),
    "intercept": ("shared", "volume", "kind"),
    "normalisation": ("none", "cube"),
}
_MINIMA = {"epochs": 1, "steps": 1, "batch_size": 1, "patience": 0}
_RANGES = {
    "lr": (1e-12, 100.0),
    "weight_decay": (0.0, 100.0),
    "warmup": (0.0, 1.0),
    "label_smoothing": (0.0, 0.9),
    "robust": (0.0, 1.0),
    "cell_fraction": (0.0, 1.0),
    "ema": (0.0, 0.999999),
}


@dataclass(frozen=True)
class Augmentation:
    """Strength of each random change of a training cube; 0 turns the change off.

    Attributes
    ----------
    flip : float
        Probability per axis.
    swap : float
        Probability that y and x are swapped; with the flips, all quarter turns in the plane.
        Used only if the network's grid is square.
    scale : float
        Standard deviation of the logarithm of the size in the plane.
    stretch : float
        The same, drawn separately for each axis of the plane.
    shift_um : tuple of float
        Standard deviation of the shift of the centre (z, y, x), in um; rounded to voxels of
        the data, as the errors of detectors are.
    photometric : float
        Share of samples changed by gamma, gradient, blur, noise and shot noise.
    gamma : float
        Standard deviation of the logarithm of the exponent.
    gradient : float
        Largest local background: a ramp in a random direction, in units of the cube's
        standard deviation from its middle to its face.
    blur : float
        Largest share of a 3-voxel blur in the plane; half of it, negative, sharpens.
    noise : float
        Largest Gaussian noise, in standard deviations of the cube.
    shot : float
        The same for noise that grows with the square root of the intensity.
    offset : float
        Share of samples to which a constant is added, so that the network does not rely on the
        ratio of contrast to background: cameras and background differ.
    offset_range : tuple of float
        Smallest and largest constant, in means of the cube; intensities are clipped at 0.
    same_background : float
        Of two channels, share of samples whose background becomes their signal, and which are no
        cells then; see `training.backgrounds`. 0 if the second channel may show cells too.
    empty_background : float
        Share of samples whose background becomes empty, and which keep their label.
    """

    flip: float = 0.5
    swap: float = 0.5
    scale: float = 0.1
    stretch: float = 0.05
    shift_um: tuple[float, float, float] = (2.0, 1.5, 1.5)
    photometric: float = 0.5
    gamma: float = 0.1
    gradient: float = 0.3
    blur: float = 0.4
    noise: float = 0.3
    shot: float = 0.0
    offset: float = 0.0
    offset_range: tuple[float, float] = (-0.3, 0.5)
    same_background: float = 0.05
    empty_background: float = 0.05


@dataclass(frozen=True)
class Recipe:
    """Everything that training depends on except the data and the seed.

    Attributes
    ----------
    name, version, description : str
        Without a name, the model is called after its architecture.
    citations : tuple of str
        Publications of the model, for its card.
    architecture : str
        A name in the zoo's table.
    cube_shape, voxel_size, channels, resampling, normalisation
        Input of the network, as in the card: shape (z, y, x) in voxels, voxel size (z, y, x) in
        um, names of the channels; the normalisation is ``cube`` or ``none``.
    epochs, steps, batch_size : int
        An epoch is ``steps`` batches, not a pass through the data. On several GPUs, each process
        has its own batches of this size.
    patience : int
        Epochs without a better validation average precision after which training stops; 0: all.
    lr, weight_decay, warmup : float
        Settings of AdamW; ``warmup`` is the share of all steps during which the rate rises.
    schedule : str
        Learning rate after the warm-up: ``cosine`` to 0, or ``constant``.
    share : str
        ``volume``: all data sets have equal shares of a batch, since the brain with the most
        candidates should not dominate a network made for new brains. ``candidate``: all
        candidates are equally likely, whatever their data set.
    intercept : str
        ``volume``: in training, each data set adds a number of its own to the logit of a cell. The
        network then learns what tells cells from no cells inside a brain, not in which brains they
        are many or bright. The numbers have mean 0 and are not part of the network. ``shared``: no
        such number. ``kind``: none in training, but in the card, and a volume gets that of the data
        sets that it resembles; for networks with a `StandardisedHead`.
    label_smoothing : float
        Smoothing of the labels, none of which is certain: annotations are incomplete.
    robust : float
        See `objectives.LabelObjective`; 0 for plain cross-entropy.
    cell_fraction : float or None
        Share of cells among the candidates of a batch; None for that of the data.
    ema : float
        Decay per step of the weights' running mean, which is the trained network; 0 for no mean.
    augmentation : Augmentation

    Raises
    ------
    InputError
        A field has an invalid value.
    """

    name: str = ""
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
    patience: int = 0
    lr: float = 3e-3
    weight_decay: float = 0.05
    warmup: float = 0.1
    schedule: str = "cosine"
    share: str = "volume"
    intercept: str = "shared"
    label_smoothing: float = 0.1
    robust: float = 0.0
    cell_fraction: float | None = 0.5
    ema: float = 0.98
    augmentation: Augmentation = field(default_factory=Augmentation)

    def __post_init__(self):
        if not self.name:
            object.__setattr__(self, "name", self.architecture)
        for name, minimum in _MINIMA.items():
            value = getattr(self, name)
            if type(value) is not int or value < minimum:
                raise _field_error(name, value, f"a whole number of at least {minimum}")
        for name, (low, high) in _RANGES.items():
            value = getattr(self, name)
            if value is not None or name != "cell_fraction":
                object.__setattr__(self, name, _number(name, value, low, high))
        for name, choices in _CHOICES.items():
            if getattr(self, name) not in choices:
                raise _field_error(name, getattr(self, name), " or ".join(choices))
        try:
            card = self.card()  # a card checks the fields that it shares with a recipe
        except ArtifactError as error:
            raise InputError(f"The recipe does not give a valid model card. {error}") from None
        object.__setattr__(self, "citations", card.citations)

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> "Recipe":
        """Make a recipe from JSON or YAML objects and lists; InputError if they are not valid."""
        fields = dict(fields)
        changes = fields.pop("augmentation", {})
        try:
            strengths = {k: tuple(map(float, v)) if isinstance(v, (list, tuple)) else float(v)
                         for k, v in changes.items()}  # fmt: skip
            for name in ("cube_shape", "voxel_size", "channels", "citations"):
                if isinstance(fields.get(name), list):
                    fields[name] = tuple(fields[name])
            return cls(augmentation=Augmentation(**strengths), **fields)  # type: ignore[arg-type]
        except (AttributeError, TypeError, ValueError) as error:
            names = ", ".join(f.name for f in dataclasses.fields(cls))
            raise InputError(
                f"The recipe cannot be used: {error}. Its fields are {names}."
            ) from None

    def to_dict(self) -> dict[str, Any]:
        """Return the recipe as a card stores it: JSON objects and lists, without `CARD_TEXTS`."""
        fields = json.loads(json.dumps(dataclasses.asdict(self)))
        return {k: v for k, v in fields.items() if k not in CARD_TEXTS}

    def card(self, **fields: Any) -> Card:
        """Return the card of a model made by this recipe, with further ``fields``."""
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
            citations=self.citations,
            **fields,
        )


def read_recipe(path: Path, base: Recipe | None = None) -> Recipe:
    """Read a recipe from YAML or JSON with its fields, or from the JSON of a card.

    Parameters
    ----------
    path : Path
    base : Recipe, optional
        What a file gets the fields from that it leaves out, unless it is of another architecture;
        by default from `Recipe`. A card's recipe is complete but for fields of later versions.

    Raises
    ------
    InputError
        The file cannot be read, or a field has an invalid value.
    """
    fields = read_document(path, "recipe")
    if isinstance(fields, dict) and isinstance(fields.get("training"), dict):  # a card
        texts = {k: fields[k] for k in CARD_TEXTS if k in fields}
        fields = fields["training"].get("recipe")
        fields = {**texts, **fields} if isinstance(fields, dict) else None
    elif isinstance(fields, dict) and base is not None:
        fields = _complete(fields, base)
    if not isinstance(fields, dict):
        raise InputError(
            f"{path} is not a recipe; expected YAML or JSON with its fields (epochs: 10, ...), or "
            "the card of a model that cfzoo trained."
        )
    try:
        return Recipe.from_dict(fields)
    except InputError as error:
        raise InputError(f"{path.name}: {error}") from None


def _complete(fields: dict[str, Any], base: Recipe) -> dict[str, Any]:
    """Add the fields of another recipe, and the strengths of its augmentation, that are absent."""
    if fields.get("architecture", base.architecture) != base.architecture:
        return fields
    before = dataclasses.asdict(base)
    changes = fields.get("augmentation", {})
    if isinstance(changes, dict):
        fields = {**fields, "augmentation": {**before["augmentation"], **changes}}
    return {**before, **fields}


def recipe_for(model: str) -> Recipe:
    """Return the bundled recipe of a model or an architecture; the defaults if there is none.

    cellfinder's ResNets get cellfinder's cubes; sizes of an architecture share its recipe.
    """
    own = BUNDLED_RECIPES / f"{model}.yaml"
    path = own if own.is_file() else BUNDLED_RECIPES / f"{model.partition('-')[0]}.yaml"
    fields: dict[str, Any] = read_document(path, "recipe") if path.is_file() else {}
    if model.startswith("resnet"):
        fields |= {"cube_shape": (20, 50, 50), "voxel_size": (5.0, 1.0, 1.0)}
    if not own.is_file():
        fields |= {"name": model, "architecture": model}
    return Recipe.from_dict(fields)


def _number(name: str, value: Any, low: float, high: float) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = float("nan")
    if isinstance(value, bool) or not low <= number <= high:
        raise _field_error(name, value, f"a number from {low:g} to {high:g}")
    return number


def _field_error(name: str, value: object, expected: str) -> InputError:
    return InputError(f"The recipe's {name} is {value!r:.100}; expected {expected}.")
