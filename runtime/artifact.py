"""One file, ``NAME-VERSION.onnx``: network, card, test vector and the digest over all of it.

The last bytes of an artifact are a metadata entry ``cfzoo.digest`` whose value, 64 hexadecimal
digits, is the SHA-256 of every byte before it. Any changed, missing or appended byte is
noticed, and to every ONNX tool the file stays an ordinary model.
"""

import base64
import binascii
import dataclasses
import hashlib
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np

from .card import Card, read_json
from .errors import ArtifactError, InputError
from .fetch import fetch
from .files import is_file
from .guard import MAX_BYTES, Outline, inspect_model
from .prune import only
from .remote import is_remote, parse

CARD_KEY, TEST_KEY = "cfzoo.card", "cfzoo.test"
INPUT, OUTPUT = "cubes", "probability"
MAPS = ("grad_cam", "relevance")  # optional outputs, of the cube's shape: see `Session.explain`
# ModelProto.metadata_props (field 14) of 80 bytes: key (field 1, 12 bytes), value (field 2, 64).
SEAL = b"\x72\x50\x0a\x0ccfzoo.digest\x12\x40"
TEST_TOLERANCE = 1e-4
BUNDLED = Path(__file__).resolve().parent.parent / "model_cards"


@dataclass(frozen=True)
class Artifact:
    """A verified model.

    Attributes
    ----------
    source : str
        File name, for messages.
    card : Card
    outline : Outline
        Operators and shapes of the graph.
    test_cube : (1, C, z, y, x) float32
        Raw intensities, and
    test_output : (1, 2) float32
        the probabilities that the network must give for them.
    load : callable
        Gives the bytes of the file.
    """

    source: str
    card: Card
    outline: Outline
    test_cube: np.ndarray
    test_output: np.ndarray
    load: Callable[[], bytes] = field(repr=False, compare=False)

    @property
    def model(self) -> bytes:
        """The whole file, as verified; what a network is made of.

        It is not kept, since a ResNet-50's takes more memory than running it. When it was read
        from a file, it is read again and must be the same.

        Raises
        ------
        InputError, ArtifactError
            The file can no longer be read, or was changed.
        """
        return self.load()

    @property
    def maps(self) -> tuple[str, ...]:
        """The maps that it can give of its reasons, of `MAPS`."""
        return tuple(name for name in MAPS if name in self.outline.outputs)

    def giving(self, maps: Sequence[str] = ()) -> bytes:
        """The model that gives answers and these maps, without what only the others need."""
        model = self.model
        return only(model, (OUTPUT, *maps)) if set(self.maps) - set(maps) else model

    @property
    def parameters(self) -> int:
        """Numbers that its answers are made with."""
        return inspect_model(self.giving()).parameters


def seal(model: bytes) -> bytes:
    """Append the digest entry to a serialised model that has none."""
    body = model + SEAL
    return body + hashlib.sha256(body).hexdigest().encode()


def encode_test(cube: np.ndarray, output: np.ndarray) -> str:
    """Test vector as text: a (1, C, z, y, x) uint16 cube and its (1, 2) float32 probabilities."""
    raw = np.ascontiguousarray(cube, "<u2").tobytes()
    fields = {"cube": base64.b64encode(raw).decode(), "output": [float(p) for p in output[0]]}
    return json.dumps(fields, sort_keys=True)


def bundled() -> dict[str, Path]:
    """Name -> file of the artifacts that come with cfzoo; of each name the latest version.

    Returns
    -------
    dict of Path
    """
    found: dict[str, tuple[tuple[int, ...], Path]] = {}
    for path in BUNDLED.glob("*-*.onnx"):
        name, _, version = path.stem.rpartition("-")
        key = tuple(int(n) for n in version.split("."))
        if name not in found or found[name][0] < key:
            found[name] = (key, path)
    return {name: path for name, (_, path) in sorted(found.items())}


def find(model: str | os.PathLike) -> Path:
    """Path of an artifact given as a file, as the name of a bundled one or as an address.

    A file wins over a bundled name; ``wavemix3d.onnx`` names the bundled ``wavemix3d`` when no
    such file exists here. What lies at an address is fetched the first time: see `fetch`.

    Raises
    ------
    InputError
        There is none.
    """
    if is_remote(model):
        return fetch(parse(str(model)))
    path = Path(model)
    if is_file(path):
        return path
    name = str(model).removesuffix(".onnx")
    known = bundled()
    if name in known:
        return known[name]
    exact = BUNDLED / f"{name}.onnx"  # a bundled name with its version
    if exact.parent == BUNDLED and is_file(exact):
        return exact
    raise InputError(
        f"There is no model {str(model)!r}: it is neither a file nor one of the bundled "
        f"artifacts ({', '.join(known) or 'none'})."
    )


def read_artifact(model: str | os.PathLike) -> Artifact:
    """Read and verify an artifact.

    Parameters
    ----------
    model : path of an ``.onnx`` file, name of a bundled artifact, or address with a checksum

    Returns
    -------
    Artifact

    Raises
    ------
    InputError
        No such file, name or address.
    ArtifactError
        The file is damaged, holds what an artifact must not, or has no card.
    EnvironmentProblem
        It has to be fetched and cannot be.
    """
    path = find(model)
    data = _read(path)
    try:
        artifact = verify(data, path.name)
    except ArtifactError as error:
        raise ArtifactError(f"{path.name}: {error}") from None
    again = partial(_read, path.resolve(), artifact.card.digest)
    return dataclasses.replace(artifact, load=again)


def _read(path: Path, digest: str | None = None) -> bytes:
    """The bytes of a file, which must have the digest where one is given."""
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise ArtifactError(f"{path.name} has {size} bytes; ONNX files end at {MAX_BYTES}.")
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"The model {path.name} cannot be read: {error.strerror}.") from None
    if digest is not None and not (_digest(data) == digest.encode() == data[-64:]):
        raise ArtifactError(
            f"{path.name} was changed while it was in use. Start again, with files that stay."
        )
    return data


def _digest(data: bytes) -> bytes:
    """What the last bytes must be, hexadecimal; of a view, since a slice would be a copy."""
    return hashlib.sha256(memoryview(data)[:-64]).hexdigest().encode()


def verify(data: bytes, source: str = "model") -> Artifact:
    """Check the bytes of an artifact and take them apart.

    Raises
    ------
    ArtifactError
        See `read_artifact`.
    """
    digest = data[-64:]
    sealed = data[-64 - len(SEAL) : -64] == SEAL
    if sealed and _digest(data) != digest:
        raise ArtifactError(
            "The digest does not fit the content: the file was damaged or changed after its "
            "export. Get it again from where it came."
        )
    outline = inspect_model(data)
    if CARD_KEY not in outline.metadata:
        raise ArtifactError(
            "This ONNX model has no cfzoo card, so nobody knows its cube, voxel size and "
            "normalisation. Export it with `cfzoo export` or `cfzoo import`."
        )
    if not sealed:
        raise ArtifactError(
            "The file does not end with its digest: bytes were added or lost after its export. "
            "Get it again from where it came."
        )
    card = Card.from_json(outline.metadata[CARD_KEY], digest.decode())
    cube, output = _decode_test(outline.metadata.get(TEST_KEY, ""), card)
    _check_shapes(outline, card)
    return Artifact(source, card, outline, cube, output, lambda: data)


def _decode_test(text: str, card: Card) -> tuple[np.ndarray, np.ndarray]:
    shape = (1, len(card.channels), *card.cube_shape)
    fields = read_json(text, "test vector")
    try:
        raw = base64.b64decode(fields["cube"], validate=True)
        cube = np.frombuffer(raw, "<u2").reshape(shape).astype(np.float32)
        output = np.array(fields["output"], np.float32).reshape(1, 2)
    except (ValueError, KeyError, TypeError, binascii.Error):
        raise ArtifactError(f"The model's test vector is missing or is not of {shape}.") from None
    if not (np.all(output >= 0) and abs(output.sum() - 1) < 1e-3):
        raise ArtifactError(f"The model's test vector has {output[0]}; expected probabilities.")
    return cube, output


def _check_shapes(outline: Outline, card: Card) -> None:
    expected = (len(card.channels), *card.cube_shape)
    shape = outline.inputs.get(INPUT, ())
    if set(outline.inputs) != {INPUT} or not (
        len(shape) == 5 and isinstance(shape[0], str) and shape[1:] == expected
    ):
        raise ArtifactError(
            f"The network's inputs are {dict(outline.inputs)}; the card asks for "
            f"{INPUT!r} of (batch, {', '.join(map(str, expected))})."
        )
    shape = outline.outputs.get(OUTPUT, ())
    if len(shape) != 2 or not isinstance(shape[0], str) or shape[1] != len(card.classes):
        raise ArtifactError(
            f"The network's outputs are {dict(outline.outputs)}; the card asks for "
            f"{OUTPUT!r} of (batch, {len(card.classes)})."
        )
    for name, shape in outline.outputs.items():
        if name == OUTPUT:
            continue
        if name not in MAPS or not isinstance(shape[0], str) or shape[1:] != card.cube_shape:
            raise ArtifactError(
                f"The network has an output {name!r} of {shape}; expected {OUTPUT!r}, and at most "
                f"{' and '.join(MAPS)} of (batch, {', '.join(map(str, card.cube_shape))})."
            )
