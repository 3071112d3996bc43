"""Ensembles: artifacts whose probabilities are averaged. One artifact is an ensemble of one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..errors import InputError
from .artifact import Artifact
from .card import Card

SUM_TOLERANCE = 1e-6
MAX_TEMPERATURE = 1000.0


@dataclass(frozen=True)
class Member:
    """An artifact and its weight in an ensemble.

    Attributes
    ----------
    artifact : Artifact
    weight : float
        Share of its probability in the mean, from 0 to 1.
    temperature : float
        Divisor of its logits (Guo et al. 2017), on top of the temperature in its graph.
    """

    artifact: Artifact
    weight: float = 1.0
    temperature: float = 1.0


@dataclass(frozen=True)
class Ensemble:
    """Members whose probabilities are averaged.

    Attributes
    ----------
    members : tuple of Member
        Artifacts whose weights sum to 1.
    threshold : float
        Lowest probability at which a candidate is a cell, between 0 and 1.
    name, version, description, licence : str
        Description of the ensemble; "" for one from the command line.
    training, metrics : mapping
        Data that the weights were fitted to; measurements.
    source : str
        Name for error messages.
    digest : str
        SHA-256 of its file; "" without a file.

    Raises
    ------
    InputError
        There are no members, a weight, temperature or threshold is out of range, or the weights
        do not sum to 1.
    """

    members: tuple[Member, ...]
    threshold: float = 0.5
    name: str = ""
    version: str = ""
    description: str = ""
    licence: str = ""
    training: Mapping[str, Any] = field(default_factory=dict[str, Any])
    metrics: Mapping[str, Any] = field(default_factory=dict[str, Any])
    source: str = "the ensemble"
    digest: str = ""

    def __post_init__(self):
        if not self.members:
            raise InputError(f"{self.source} has no members; expected at least one model.")
        for member in self.members:
            name, weight = member.artifact.source, member.weight
            if not 0 <= weight <= 1:
                raise InputError(
                    f"The weight of {name} in {self.source} is {weight:g}; expected one from 0 to "
                    "1, and all to sum to 1."
                )
            if not 1 / MAX_TEMPERATURE <= member.temperature <= MAX_TEMPERATURE:
                raise InputError(
                    f"The temperature of {name} in {self.source} is {member.temperature:g}; "
                    f"expected one from {1 / MAX_TEMPERATURE:g} to {MAX_TEMPERATURE:g}."
                )
        total = sum(member.weight for member in self.members)
        if abs(total - 1) > SUM_TOLERANCE:
            raise InputError(
                f"The weights of {self.source} sum to {total:g}; expected 1. Change them, or give "
                "none for equal weights."
            )
        if not 0 < self.threshold < 1:
            raise InputError(
                f"The threshold of {self.source} is {self.threshold}; expected between 0 and 1."
            )

    @classmethod
    def of(
        cls, artifacts: Sequence[Artifact], weights: Sequence[float] | None = None
    ) -> "Ensemble":
        """Combine artifacts with ``weights``, or equally; a single artifact keeps its threshold."""
        shares = weights or [1 / len(artifacts)] * len(artifacts)
        members = tuple(Member(a, float(w)) for a, w in zip(artifacts, shares, strict=True))
        if len(members) > 1:
            return cls(members)
        card = artifacts[0].card
        return cls(members, card.threshold, card.name, card.version, source=artifacts[0].source)

    @property
    def channels(self) -> int:
        """Number of channels that the members need; a member may use the signal alone."""
        return max(len(member.artifact.card.channels) for member in self.members)

    @property
    def title(self) -> str:
        """Name and version, or those of the members with their weights."""
        if self.name:
            return f"{self.name} {self.version}"
        cards = [(member.artifact.card, member.weight) for member in self.members]
        return " + ".join(f"{weight:.2g} {card.name} {card.version}" for card, weight in cards)

    @property
    def identity(self) -> str:
        """Title and the SHA-256 of each member, for logs."""
        digests = (f"sha256 {member.artifact.card.digest}" for member in self.members)
        return f"{self.title}: {', '.join(digests)}"

    @property
    def only_artifact(self) -> Artifact | None:
        """The artifact of an ensemble that leaves its probabilities unchanged, else None."""
        first = self.members[0]
        return first.artifact if len(self.members) == 1 and first.temperature == 1 else None

    def combine(self, answers: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """Average the members' probabilities and measure their spread.

        Parameters
        ----------
        answers : sequence of (N, 2) float32
            Probabilities of no cell and cell from each member. NaN stays NaN.

        Returns
        -------
        probability : (N,) float32
            Weighted mean of the probabilities of a cell (linear opinion pool, Stone 1961).
        uncertainty : (N,) float32
            Weighted standard deviation of these probabilities.
        """
        pairs = zip(self.members, answers, strict=True)
        cells = [apply_temperature(answer, member.temperature) for member, answer in pairs]
        weights = np.array([member.weight for member in self.members])
        # Sums of floats depend on the order, so it must not depend on that of the members.
        keys = [(m.artifact.card.digest, m.temperature, m.weight) for m in self.members]
        order = sorted(range(len(keys)), key=keys.__getitem__)
        stack, shares = np.stack([cells[i] for i in order]), weights[order, None]
        mean = (shares * stack).sum(axis=0) / shares.sum()
        spread = np.sqrt((shares * (stack - mean) ** 2).sum(axis=0) / shares.sum())
        return mean.astype(np.float32), spread.astype(np.float32)


def apply_temperature(answer: np.ndarray, temperature: float, offset: float = 0.0) -> np.ndarray:
    """Divide the logits by ``temperature``, then add ``offset`` to the logit of a cell.

    Parameters
    ----------
    answer : (N, 2) float32
        Probabilities of no cell and cell. Both are used: if one is rounded to 1, the other still
        has its precision.
    temperature, offset : float

    Returns
    -------
    (N,) float64
        Probability of a cell.
    """
    if temperature == 1 and not offset:
        return answer[:, 1].astype(np.float64)
    with np.errstate(over="ignore"):  # the probability is then 0, as it should be
        return 1 / (1 + np.exp(-margin_of(answer) / temperature - offset))


def margin_of(answer: np.ndarray, smallest: float = float(np.finfo(np.float32).tiny)) -> np.ndarray:
    """Return the logit of a cell less that of no cell, (N,) float64.

    Parameters
    ----------
    answer : (N, 2) float
        Probabilities of no cell and cell. Both are used: if one is rounded to 1, the other still
        has its precision.
    smallest : float
        Smaller probabilities are raised to this one.
    """
    no_cell, cell = np.log(np.clip(answer.astype(np.float64), smallest, None)).T
    return cell - no_cell


def combine_licences(cards: Sequence[Card]) -> str:
    """Return the SPDX expression of a work that is under the licences of all cards."""
    return " AND ".join(dict.fromkeys(card.licence for card in cards))
