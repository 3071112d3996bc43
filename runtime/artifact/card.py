"""The card: one frozen description that training, export and runtime share.

The card travels inside the artifact as JSON. It holds everything the runtime needs to
cut a cube from a volume exactly as the network expects it, and everything a reader needs
to judge whether the network fits their brain.
"""

import dataclasses
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..errors import ArtifactError

SCHEMA = "1.1"  # 1.1: offset
NORMALISATIONS = ("none", "cube", "dataset")
RESAMPLINGS = ("trilinear", "antialias")
CHANNELS = (("signal",), ("signal", "background"))
CLASSES = ("no cell", "cell")
_NAME = re.compile(r"[a-z][a-z0-9_-]{0,63}")
_VERSION = re.compile(r"(0|[1-9]\d{0,5})\.(0|[1-9]\d{0,5})\.(0|[1-9]\d{0,5})")
_MAX_SIDE = 256
_MAX_DEPTH = 8
_MAX_NUMBER = 2.0**63


@dataclass(frozen=True)
class Card:
    """What an artifact is, what it expects and how good it was measured to be.

    Attributes
    ----------
    name, version : str
        Lower-case name and semantic version; the file is ``NAME-VERSION.onnx``.
    cube_shape : tuple of int
        Network input (z, y, x), voxels.
    voxel_size : tuple of float
        Of the network input (z, y, x), um.
    channels : tuple of str
        ``("signal",)`` or ``("signal", "background")``, in the order of the input.
    normalisation : str
        ``none``: raw intensities reach the network. ``cube``: zero mean and unit variance
        per cube and channel, done inside the graph. ``dataset``: zero mean and unit variance
        per channel over the whole volume, as cellfinder's ``normalize_channels``; done by the
        runtime before resampling, since only it sees the volume.
    resampling : str
        From the data's voxels to the card's. ``trilinear``: align_corners=False without
        antialiasing, as cellfinder does it. ``antialias``: the same, with the kernel widened
        where the data are finer than the card's grid.
    classes : tuple of str
        Names of the two outputs, always ``("no cell", "cell")``.
    threshold : float
        A candidate is a cell when its probability is at least this; between 0 and 1.
    temperature : float
        The logits are divided by this inside the graph (Guo et al. 2017).
    offset : float
        Then added, inside the graph, to the logit of a cell (Platt 1999).
    description, architecture, licence : str
        Free text, the builder's name in the zoo, an SPDX identifier.
    training, metrics, environment : mapping
        What it was trained on and how that was split; what was measured; library versions.
    citations : tuple of str
    parent : str
        Digest or source of the weights that these were made from, "" for none.
    schema : str
        ``major.minor`` of this description. Another major is refused.
    extra : mapping
        Fields of a later minor schema, kept as they are.
    digest : str
        SHA-256 of the artifact, hexadecimal; "" until read from one. Not part of the JSON,
        since a file cannot contain its own hash twice.

    Raises
    ------
    ArtifactError
        A field holds what it must not.
    """

    name: str
    version: str
    cube_shape: tuple[int, int, int]
    voxel_size: tuple[float, float, float]
    channels: tuple[str, ...]
    normalisation: str
    resampling: str = "trilinear"
    classes: tuple[str, str] = CLASSES
    threshold: float = 0.5
    temperature: float = 1.0
    offset: float = 0.0
    description: str = ""
    architecture: str = ""
    licence: str = "BSD-3-Clause"
    training: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, Any] = field(default_factory=dict)
    environment: Mapping[str, Any] = field(default_factory=dict)
    citations: tuple[str, ...] = ()
    parent: str = ""
    schema: str = SCHEMA
    extra: Mapping[str, Any] = field(default_factory=dict)
    digest: str = ""

    def __post_init__(self):
        for name in ("cube_shape", "voxel_size", "channels", "classes", "citations"):
            value = getattr(self, name)
            if not isinstance(value, (list, tuple)):
                raise _wrong(name, value, "a list")
            object.__setattr__(self, name, tuple(value))
        for name in ("training", "metrics", "environment", "extra"):
            if not isinstance(getattr(self, name), Mapping):
                raise _wrong(name, getattr(self, name), "a mapping")
        for name in ("description", "architecture", "licence", "parent"):
            if not isinstance(getattr(self, name), str):
                raise _wrong(name, getattr(self, name), "text")
        if not is_name(self.name):
            raise _wrong("name", self.name, "lower-case letters, digits, '_' and '-'")
        if not is_version(self.version):
            raise _wrong("version", self.version, "a semantic version such as 1.0.0")
        if len(self.cube_shape) != 3 or not all(
            type(n) is int and 1 <= n <= _MAX_SIDE for n in self.cube_shape
        ):
            raise _wrong("cube_shape", self.cube_shape, f"three integers from 1 to {_MAX_SIDE}")
        if len(self.voxel_size) != 3 or not all(_positive(s) for s in self.voxel_size):
            raise _wrong("voxel_size", self.voxel_size, "three positive numbers, um")
        object.__setattr__(self, "voxel_size", tuple(float(s) for s in self.voxel_size))
        if self.channels not in CHANNELS:
            raise _wrong("channels", self.channels, f"one of {CHANNELS}")
        if self.normalisation not in NORMALISATIONS:
            raise _wrong("normalisation", self.normalisation, f"one of {NORMALISATIONS}")
        if self.resampling not in RESAMPLINGS:
            raise _wrong("resampling", self.resampling, f"one of {RESAMPLINGS}")
        if self.classes != CLASSES:
            raise _wrong("classes", self.classes, f"{CLASSES}")
        if not (_positive(self.threshold) and self.threshold < 1):
            raise _wrong("threshold", self.threshold, "a number between 0 and 1")
        if not _positive(self.temperature):
            raise _wrong("temperature", self.temperature, "a positive number")
        if type(self.offset) not in (int, float) or not abs(self.offset) < _MAX_NUMBER:
            raise _wrong("offset", self.offset, "a number")

    @property
    def file_name(self) -> str:
        """``NAME-VERSION.onnx``."""
        return f"{self.name}-{self.version}.onnx"

    def to_json(self) -> str:
        """Canonical JSON: the same card gives the same bytes everywhere."""
        fields = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        del fields["digest"]
        fields.update(fields.pop("extra"))
        return json.dumps(fields, sort_keys=True, ensure_ascii=True, allow_nan=False, indent=1)

    @classmethod
    def from_json(cls, text: str, digest: str = "") -> "Card":
        """Read a card; fields of a later minor schema are kept in ``extra``.

        Raises
        ------
        ArtifactError
            The text is no card, its major schema is unknown, or a field holds what it must not.
        """
        fields = read_json(text, "model card")
        if not isinstance(fields, dict):
            raise _wrong("JSON", type(fields).__name__, "an object")
        schema = fields.get("schema")
        if not (isinstance(schema, str) and re.fullmatch(r"\d{1,4}\.\d{1,4}", schema)):
            raise _wrong("schema", schema, "major.minor, such as 1.0")
        if schema.split(".")[0] != SCHEMA.split(".")[0]:
            raise ArtifactError(
                f"The model card has schema {schema}; this cfzoo reads {SCHEMA.split('.')[0]}.x. "
                "Update cfzoo (pip install -U cfzoo), or use an artifact made for this version."
            )
        known = {f.name for f in dataclasses.fields(cls)} - {"extra", "digest"}
        missing = {"name", "version", "cube_shape", "voxel_size", "channels", "normalisation"}
        missing -= fields.keys()
        if missing:
            raise ArtifactError(f"The model card lacks {', '.join(sorted(missing))}.")
        extra = {k: v for k, v in fields.items() if k not in known}
        clash = extra.keys() & {"extra", "digest"}
        if clash:
            raise _wrong(clash.pop(), "a value", "not to be in the JSON")
        return cls(**{k: v for k, v in fields.items() if k in known}, extra=extra, digest=digest)


def is_name(value: Any) -> bool:
    """Whether a model may have this name."""
    return isinstance(value, str) and bool(_NAME.fullmatch(value))


def is_version(value: Any) -> bool:
    """Whether this is a semantic version, without suffixes."""
    return isinstance(value, str) and bool(_VERSION.fullmatch(value))


def read_json(text: str, what: str) -> Any:
    """Parse JSON that was not necessarily written by us.

    Raises
    ------
    ArtifactError
        It is not JSON, is deeper than 8, or holds NaN, infinite or huge numbers or text that
        cannot be printed: all of which Python's parser accepts.
    """
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ArtifactError(f"The {what} is not valid JSON ({error}).") from None
    _check_json(value, what, _MAX_DEPTH)
    return value


def _check_json(value: Any, what: str, depth: int) -> None:
    if depth == 0:
        raise ArtifactError(f"The {what} is nested more than {_MAX_DEPTH} deep.")
    if isinstance(value, dict):
        value = [*value, *value.values()]
    if isinstance(value, list):
        for item in value:
            _check_json(item, what, depth - 1)
    elif isinstance(value, str):
        if not value.replace("\n", "").isprintable():
            raise ArtifactError(f"The {what} holds text that cannot be printed: {value!r:.60}.")
    elif isinstance(value, (int, float)) and not -_MAX_NUMBER < value < _MAX_NUMBER:
        raise ArtifactError(f"The {what} holds the number {str(value)[:20]}; expected finite ones.")


def _positive(value: Any) -> bool:
    return (
        isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value < _MAX_NUMBER
    )


def _wrong(name: str, got: object, expected: str) -> ArtifactError:
    return ArtifactError(f"The model card's {name} is {got!r:.200}; expected {expected}.")
