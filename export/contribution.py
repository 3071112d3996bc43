"""A lab's model, proposed to the zoo: the bar that it must pass, and the folder to propose."""

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..runtime.artifact import Artifact, Card, read_artifact, release_table
from ..runtime.errors import ArtifactError, CfzooError
from ..runtime.session import Session
from ..runtime.trust import SIGNATURE_SUFFIX, Verdict, check_signature, trusted_keys, use_policy
from .model_card import render_card
from .package import check_place, write_package

MOST_BYTES = 8_000_000
LEAST_DESCRIPTION = 100  # characters
LICENCES = (
    *("BSD-3-Clause", "BSD-2-Clause", "MIT", "Apache-2.0", "ISC", "MPL-2.0"),
    *("CC0-1.0", "CC-BY-4.0", "CC-BY-SA-4.0"),
)
_OWN_KEY = (
    "Where the model is your own, make a pair of keys once (cfzoo sign --new-key lab.key), then: "
    "cfzoo sign MODEL --key lab.key; cfzoo verify MODEL --key lab.pub."
)
# Tables of a card's metrics, and the least number of data sets that each must have.
HELD_OUT = {"block_left_out": 2, "network": 2, "validation": 1}


@dataclass(frozen=True)
class Contribution:
    """A model that passes the bar.

    Attributes
    ----------
    artifact : Artifact
    path : Path
        Its file.
    signature : Verdict
    public_key : str
        The trusted key that has signed it.
    held_out : mapping of str to float
        Data set that the training did not see -> AUC on it.
    notes : tuple of str
        What those who review should look at.
    """

    artifact: Artifact
    path: Path
    signature: Verdict
    public_key: str
    held_out: Mapping[str, float]
    notes: tuple[str, ...]


def check_contribution(path: str | os.PathLike) -> Contribution:
    """Check a model against the zoo's bar.

    Parameters
    ----------
    path : path
        Of an artifact, with its signature beside it.

    Raises
    ------
    ArtifactError
        The model falls short; the message has all reasons.
    InputError
        There is no such file.
    """
    path = Path(path)
    token = use_policy.set("ignore")  # its signature is a reason among others
    try:
        artifact = read_artifact(path)
    finally:
        use_policy.reset(token)
    if "adaptation" in artifact.card.training:
        raise ArtifactError(
            f"{path.name} was made by cfzoo adapt. It is yours to use and to share, but the zoo "
            "does not take it: nothing was measured on a brain left out. Train a model with cfzoo "
            "train on two labelled brains or more. See the page 'Contribute a model'."
        )
    reasons = [reason for check in _CHECKS if (reason := check(artifact))]
    signature, reason = _check_signature(artifact, path)
    if reason:
        reasons.append(reason)
    if reasons:
        numbered = " ".join(f"({number}) {text}" for number, text in enumerate(reasons, 1))
        raise ArtifactError(
            f"{path.name} falls short of the zoo's bar in {len(reasons)} respect(s): {numbered} "
            "See the page 'Contribute a model'."
        )
    public_key = next(key.key for key in trusted_keys() if key.key_id == signature.key_id)
    aucs, notes = held_out(artifact.card), _notes(artifact)
    return Contribution(artifact, path, signature, public_key, aucs, notes)


def write_contribution(
    contribution: Contribution, output: str | os.PathLike, overwrite: bool = False
) -> Path:
    """Write the folder to propose: artifact, signature, page, and the facts for the table.

    Returns
    -------
    Path

    Raises
    ------
    InputError, EnvironmentProblem
        The files exist already, or cannot be written.
    """
    artifact, card = contribution.artifact, contribution.artifact.card
    content = artifact.model
    signature = contribution.path.with_name(contribution.path.name + SIGNATURE_SUFFIX)
    facts = {
        "name": card.name,
        "version": card.version,
        "digest": card.digest,
        "sha256": hashlib.sha256(content).hexdigest(),
        "licence": card.licence,
        "key_id": contribution.signature.key_id,
        "public_key": contribution.public_key,
        "held_out_auc": dict(contribution.held_out),
        "notes": list(contribution.notes),
    }
    files = {
        card.file_name: content,
        card.file_name + SIGNATURE_SUFFIX: signature.read_bytes(),
        f"{card.name}.md": render_card(artifact).encode(),
        "contribution.json": (json.dumps(facts, indent=1) + "\n").encode(),
    }
    check_place(output, list(files), overwrite)
    return write_package(output, files, overwrite)


def held_out(card: Card) -> dict[str, float]:
    """Return the AUC on data sets that a training did not see, by their names; "mean" is none."""
    for table, least in HELD_OUT.items():
        aucs = _read_aucs(card, table)
        if table == "validation":
            seen = _find_seen(card, aucs)
            listed = {str(entry.get("name")) for entry in _entries(card)}
            aucs = {n: auc for n, auc in aucs.items() if n in listed and n not in seen}
        if len(aucs) >= least:
            return aucs
    return {}


def _read_aucs(card: Card, table: str) -> dict[str, float]:
    rows: Any = card.metrics.get(table)
    rows = rows if isinstance(rows, Mapping) else {}
    return {
        str(name): float(row["auc"])
        for name, row in rows.items()
        if isinstance(row, Mapping)
        and isinstance(row.get("auc"), (int, float))
        and str(name).split()[:1] != ["mean"]
    }


def _find_seen(card: Card, names: Iterable[str]) -> dict[str, str]:
    """Return the data sets that share their name or a file with the training, and that."""
    training = _training_sources(card)
    shared = {name: sorted(_sources(card, name) & training) for name in names}
    return {name: sources[0] for name, sources in shared.items() if sources}


def _entries(card: Card) -> Sequence[Mapping[str, Any]]:
    data: Any = card.training.get("data", ())
    entries = data if isinstance(data, (list, tuple)) else ()
    return [entry for entry in entries if isinstance(entry, Mapping)]


def _sources(card: Card, name: str) -> set[str]:
    """Return the names by which a data set and its volume, or folders of cubes, are known."""
    files: set[str] = set()
    for entry in _entries(card):
        if str(entry.get("name")) == name:
            cubes: Any = entry.get("cubes")
            folders = cubes if isinstance(cubes, (list, tuple)) else ()
            places = [folder.get("cube_dir") for folder in folders if isinstance(folder, Mapping)]
            files |= {text for text in (entry.get("signal"), *places) if isinstance(text, str)}
    return {name, *files}


def _training_sources(card: Card) -> set[str]:
    names = [str(e.get("name")) for e in _entries(card) if e.get("split") != "validation"]
    return set().union(*(_sources(card, name) for name in names)) if names else set()


def _check_name(artifact: Artifact) -> str:
    card = artifact.card
    taken = release_table().find(card.name, card.version)
    if taken is None:
        return ""
    return f"{card.name} {card.version} is released: give the model another version or name."


def _check_description(artifact: Artifact) -> str:
    if len(artifact.card.description) >= LEAST_DESCRIPTION:
        return ""
    return (
        f"The card's description has {len(artifact.card.description)} characters: say in "
        f"{LEAST_DESCRIPTION} or more which lab, stain and microscope the data are from, and where "
        "the model is known to fail."
    )


def _check_licence(artifact: Artifact) -> str:
    if artifact.card.licence in LICENCES:
        return ""
    return (
        f"The licence is {artifact.card.licence!r:.40}: expected one that lets others use and "
        f"change the model, as its SPDX identifier, such as {', '.join(LICENCES[:3])}."
    )


def _check_training(artifact: Artifact) -> str:
    training = artifact.card.training
    missing = [name for name in ("counts", "split", "command") if not training.get(name)]
    if not missing:
        return ""
    return f"The card's training lacks {', '.join(missing)}: train with `cfzoo train`."


def _check_split(artifact: Artifact) -> str:
    if held_out(artifact.card):
        return ""
    seen = _find_seen(artifact.card, _read_aucs(artifact.card, "validation"))
    if seen:
        pairs = ", ".join(f"{name} ({source})" for name, source in seen.items())
        return (
            f"The training saw {pairs}, by name or file, so that no AUC is that of a brain left "
            "out. Parts of one volume are one brain; expected another one with `split: validation`."
        )
    return (
        "The card has no AUC on a brain that the training did not see: expected metrics with "
        f"{', '.join(HELD_OUT)}, by data set, as `cfzoo train` writes them if DATA has a brain "
        "with `split: validation`. Parts of one volume are one brain."
    )


def _check_size(artifact: Artifact) -> str:
    size = len(artifact.model)
    if size <= MOST_BYTES:
        return ""
    return (
        f"The file has {size / 1e6:.1f} MB; expected at most {MOST_BYTES / 1e6:.0f} MB. Train a "
        "smaller architecture, or publish it at an address."
    )


def _check_answers(artifact: Artifact) -> str:
    try:
        Session(artifact, device="cpu", batch_size=1).check(artifact)
    except CfzooError as error:
        return f"Its test vector fails: {error}"
    return ""


_CHECKS: tuple[Callable[[Artifact], str], ...] = (
    _check_name,
    _check_description,
    _check_licence,
    _check_training,
    _check_split,
    _check_size,
    _check_answers,
)


def _check_signature(artifact: Artifact, path: Path) -> tuple[Verdict, str]:
    card, verdict = artifact.card, Verdict("refused")
    try:
        for policy in ("check", "require"):
            token = use_policy.set(policy)
            try:
                verdict = check_signature(artifact.model, path, card.name, card.digest)
            finally:
                use_policy.reset(token)
    except CfzooError as error:
        # The default policy lets these pass.
        hint = f" {_OWN_KEY}" if verdict.state in ("unsigned", "unknown key") else ""
        return Verdict("refused"), f"{error}{hint}"
    return verdict, ""


def _notes(artifact: Artifact) -> tuple[str, ...]:
    notes: list[str] = []
    if artifact.maps and "map_verdict" not in artifact.card.metrics:
        notes.append("It gives maps, and the card does not say how far to trust them.")
    if not artifact.card.citations:
        notes.append("It cites nobody.")
    if artifact.card.training_features is None:
        notes.append("It cannot say how far a brain is from its training.")
    return tuple(notes)
