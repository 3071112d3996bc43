"""One or more artifacts that answer as one; a single artifact is an ensemble of one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..errors import InputError
from .artifact import Artifact
from .card import Card

SUM_TOLERANCE = 1e-6
HOTTEST = 1000.0


@dataclass(frozen=True)
class Member:
    """An artifact with a say.

    Attributes
    ----------
    artifact : Artifact
    weight : float
        Its share of the answer, from 0 to 1.
    temperature : float
        Its logits are divided by this (Guo et al. 2017), besides the temperature in its own graph.
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
        Their weights sum to 1.
    threshold : float
        A candidate is a cell when its probability is at least this; between 0 and 1.
    name, version, description, licence : str
        Of the ensemble; "" for one that was put together on the command line.
    training, metrics : mapping
        What the weights were fitted on; what was measured.
    source : str
        For messages.
    digest : str
        SHA-256 of its file; "" without one.

    Raises
    ------
    InputError
        There is no member, a weight, temperature or threshold is out of range, or the weights do
        not sum to 1.
    """

    members: tuple[Member, ...]
    threshold: float = 0.5
    name: str = ""
    version: str = ""
    description: str = ""
    licence: str = ""
    training: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, Any] = field(default_factory=dict)
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
            if not 1 / HOTTEST <= member.temperature <= HOTTEST:
                raise InputError(
                    f"The temperature of {name} in {self.source} is {member.temperature:g}; "
                    f"expected one from {1 / HOTTEST:g} to {HOTTEST:g}."
                )
        total = sum(member.weight for member in self.members)
        if abs(total - 1) > SUM_TOLERANCE:
            raise InputError(
                f"The weights of {self.source} sum to {total:g}; expected 1. Change them, or give "
                "none for equal ones."
            )
        if not 0 < self.threshold < 1:
            raise InputError(
                f"The threshold of {self.source} is {self.threshold}; expected between 0 and 1."
            )

    @classmethod
    def of(
        cls, artifacts: Sequence[Artifact], weights: Sequence[float] | None = None
    ) -> "Ensemble":
        """Combine artifacts with ``weights``, or equally; a single one keeps its own threshold."""
        shares = weights or [1 / len(artifacts)] * len(artifacts)
        members = tuple(Member(a, float(w)) for a, w in zip(artifacts, shares, strict=True))
        if len(members) > 1:
            return cls(members)
        card = artifacts[0].card
        return cls(members, card.threshold, card.name, card.version, source=artifacts[0].source)

    @property
    def channels(self) -> int:
        """Channels of the volume that its members need; some may use the signal alone."""
        return max(len(member.artifact.card.channels) for member in self.members)

    @property
    def only_artifact(self) -> Artifact | None:
        """The artifact, where there is but one and its answers are left as they are."""
        first = self.members[0]
        return first.artifact if len(self.members) == 1 and first.temperature == 1 else None

    def combine(self, answers: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """Probability of a cell and how far the members disagree on it.

        Parameters
        ----------
        answers : sequence of (N, 2) float32
            Probabilities of no cell and cell, a member each. NaN stays NaN.

        Returns
        -------
        probability : (N,) float32
            Weighted mean of the members' (the linear opinion pool of Stone 1961).
        uncertainty : (N,) float32
            Weighted standard deviation of the members' probabilities.
        """
        pairs = zip(self.members, answers, strict=True)
        cells = [tempered(answer, member.temperature) for member, answer in pairs]
        weights = np.array([member.weight for member in self.members])
        # One order, whatever order the members were named in: sums of floats depend on it.
        keys = [(m.artifact.card.digest, m.temperature, m.weight) for m in self.members]
        order = sorted(range(len(keys)), key=keys.__getitem__)
        stack, shares = np.stack([cells[i] for i in order]), weights[order, None]
        mean = (shares * stack).sum(axis=0) / shares.sum()
        spread = np.sqrt((shares * (stack - mean) ** 2).sum(axis=0) / shares.sum())
        return mean.astype(np.float32), spread.astype(np.float32)


def tempered(answer: np.ndarray, temperature: float, offset: float = 0.0) -> np.ndarray:
    """Probability of a cell, (N,) float64, after its logits are divided by ``temperature``.

    ``offset`` is then added to the logit of a cell. ``answer`` holds both columns, (N, 2).
    """
    if temperature == 1 and not offset:
        return answer[:, 1].astype(np.float64)
    with np.errstate(over="ignore"):  # then it is 0, as it should be
        return 1 / (1 + np.exp(-margin_of(answer) / temperature - offset))


def margin_of(answer: np.ndarray, smallest: float = np.finfo(np.float32).tiny) -> np.ndarray:
    """Return the logit of a cell less that of no cell, (N,) float64.

    Parameters
    ----------
    answer : (N, 2) float
        Probabilities of no cell and cell. Both count: where one is rounded to 1, the other still
        tells how near.
    smallest : float
        Probability that smaller ones are raised to.
    """
    no_cell, cell = np.log(np.clip(answer.astype(np.float64), smallest, None)).T
    return cell - no_cell


def licences(cards: Sequence[Card]) -> str:
    """SPDX expression of what is under the licences of all."""
    return " AND ".join(dict.fromkeys(card.licence for card in cards))
