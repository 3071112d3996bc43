"""The answers of a model's members to all candidates of a volume.

A member that standardises its features by the volume can answer only when all candidates have been
seen, since their statistics must be known. Until then its features are kept; the data are read
once. A member whose training blocks have intercepts gets that of the volume at the end.
"""

from collections.abc import Mapping, Sequence
from math import prod
from threading import Lock

import numpy as np

from ..artifact import Artifact, Ensemble
from ..errors import InputError
from ..feature_statistics import FeatureStatistics, measure_features
from ..shift import FeatureCounts, Shift, measure_shift
from .session import Session

_ROWS = 2**16  # answers at a time

# What is known of a volume's features, by the digest of the artifact that gives them: statistics to
# standardise by, or the counts that choose an intercept.
Statistics = Mapping[str, FeatureStatistics | FeatureCounts]


class FeatureTable:
    """The features that one artifact gives, one row per candidate.

    Parameters
    ----------
    artifact : Artifact
    rows : int

    Attributes
    ----------
    features : (N, F) float32
        NaN for a row that was not stored, or whose features are not finite.
    """

    def __init__(self, artifact: Artifact, rows: int):
        self.features = np.full((rows, artifact.n_features), np.nan, np.float32)

    def compute(self, sessions: Sequence[Session], cubes: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Run the artifact on some candidates; see `AnswerTable.compute`."""
        return [sessions[0].compute_features(cubes[0])]

    def store(self, rows: np.ndarray | slice, outputs: Sequence[np.ndarray]) -> None:
        """Store what `compute` returned for some rows."""
        self.features[rows] = outputs[0]


class AnswerTable:
    """The answers of a model's members, one row per candidate.

    Parameters
    ----------
    model : Ensemble
    rows : int
        Number of candidates.
    statistics : mapping of str to FeatureStatistics or FeatureCounts, optional
        Statistics for each member that standardises by the volume, and counts for each that has
        intercepts, by the digest of its artifact; if None, those of the candidates of the table.
    keep_features : bool
        Whether to keep the features of the first member, which gives some.

    Attributes
    ----------
    columns : list of (rows, k) float32
        What is known of each member: probabilities, or until `finish` features.
    counts : dict of str to FeatureCounts
        The candidates so far by their features, by the digest of each artifact whose card
        describes those of its training. They may be added to.
    features : (rows, F) float32 or None
        Those that are kept; NaN for a row that was not stored.
    statistics : dict of str to FeatureStatistics or FeatureCounts
        The statistics in use; those of the table are there after `finish`.

    Raises
    ------
    InputError
        The statistics are not those of the model's members.
    """

    def __init__(
        self,
        model: Ensemble,
        rows: int,
        statistics: Statistics | None = None,
        keep_features: bool = False,
    ):
        check_statistics(model, statistics)
        self._artifacts = [member.artifact for member in model.members]
        self.statistics: dict[str, FeatureStatistics | FeatureCounts] = dict(statistics or {})
        self._keeps = [
            artifact.by_volume and artifact.card.digest not in self.statistics
            for artifact in self._artifacts
        ]
        self.columns = [
            np.full((rows, artifact.n_features if keeps else 2), np.nan, np.float32)
            for artifact, keeps in zip(self._artifacts, self._keeps, strict=True)
        ]
        self.features: np.ndarray | None = None
        if keep_features:
            first = self._artifacts[0]
            self.features = (
                self.columns[0]
                if self._keeps[0]
                else np.full((rows, first.n_features), np.nan, np.float32)
            )
        self._names = {a.card.digest: a.card.name for a in self._artifacts}
        self._training = {
            artifact.card.digest: training
            for artifact in self._artifacts
            if (training := artifact.card.training_features) is not None
        }
        self.counts = {
            digest: FeatureCounts(np.zeros(training.edges.shape, np.int64), 0)
            for digest, training in self._training.items()
        }
        self._lock = Lock()

    @property
    def shifts(self) -> dict[str, Shift]:
        """Shifts of the candidates so far, by the digest of each artifact whose card knows any."""
        return {
            digest: measure_shift(self.counts[digest], training, self._names[digest])
            for digest, training in self._training.items()
        }

    def compute(self, sessions: Sequence[Session], cubes: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Run the members on some candidates; threads may call it at once.

        Parameters
        ----------
        sessions : sequence of Session
            One per member.
        cubes : sequence of (n, C, z, y, x) float32
            One array per member.

        Returns
        -------
        list of (n, k) float32
            What `store` takes: probabilities, or features as long as statistics are not known; and
            at last the features that are kept beside probabilities.
        """
        outputs: list[np.ndarray] = []
        seen: dict[str, np.ndarray] = {}  # features, once each if a model has a member twice
        members = zip(self._artifacts, self._keeps, sessions, cubes, strict=True)
        for artifact, keeps, session, batch in members:
            digest = artifact.card.digest
            is_kept = self.features is not None and artifact is self._artifacts[0]
            if not (artifact.by_volume or digest in self._training or is_kept):
                outputs.append(session.run(batch))
                continue
            probabilities, features = session.run_with_features(batch)
            seen[digest] = features
            if not artifact.by_volume:
                outputs.append(probabilities)
            else:
                outputs.append(features if keeps else self._answer(artifact, features))
        self._count(seen)
        if self._keeps_both:
            outputs.append(seen[self._artifacts[0].card.digest])
        return outputs

    @property
    def _keeps_both(self) -> bool:
        """Whether features are kept beside the probabilities of the first member."""
        return self.features is not None and not self._keeps[0]

    def _count(self, features: Mapping[str, np.ndarray]) -> None:
        """Count some candidates by the features that each artifact gives."""
        for digest, training in self._training.items():
            counts = FeatureCounts.of(features[digest], training.edges)
            with self._lock:  # whole numbers: the order of the threads changes nothing
                self.counts[digest] += counts

    def store(self, rows: np.ndarray | slice, outputs: Sequence[np.ndarray]) -> None:
        """Store what `compute` returned for some rows."""
        columns = self.columns
        if self.features is not None and self._keeps_both:
            columns = [*columns, self.features]
        for column, values in zip(columns, outputs, strict=True):
            column[rows] = values

    def finish(self) -> list[np.ndarray]:
        """Measure the features that were kept, and return the answers of each member.

        Returns
        -------
        list of (N, 2) float32
            Probabilities of no cell and cell. A row that was not stored, or holds NaN, is NaN and
            does not count in the statistics.
        """
        for number, artifact in enumerate(self._artifacts):
            if self._keeps[number]:
                assert artifact.head is not None  # since the card says by volume
                features, digest = self.columns[number], artifact.card.digest
                if digest not in self.statistics:  # a model may have a member twice
                    self.statistics[digest] = measure_features(features, artifact.head.training)
                self.columns[number] = self._answer(artifact, features)
                self._keeps[number] = False
            elif artifact.has_intercepts:
                digest = artifact.card.digest
                counts = self.statistics.setdefault(digest, self.counts[digest])
                assert isinstance(counts, FeatureCounts)  # see `check_statistics`
                intercept = self._training[digest].choose_intercept(counts)
                self.columns[number] = add_to_logits(
                    self.columns[number], intercept / artifact.card.temperature
                )
        return self.columns

    def _answer(self, artifact: Artifact, features: np.ndarray) -> np.ndarray:
        assert artifact.head is not None
        card = artifact.card
        statistics = self.statistics[card.digest]
        assert isinstance(statistics, FeatureStatistics)  # see `check_statistics`
        return artifact.head.answer(features, card.temperature, card.offset, statistics)


def add_to_logits(pairs: np.ndarray, summand: float) -> np.ndarray:
    """Add a number to the logits of a cell; the pairs (N, 2) float32 are no cell and cell."""
    answers = np.empty_like(pairs)
    for start in range(0, len(pairs), _ROWS):
        part = pairs[start : start + _ROWS].astype(np.float64)
        # Either probability is exact where it is small, so the logit is exact everywhere.
        with np.errstate(divide="ignore", over="ignore"):
            logit = np.log(part[:, 1]) - np.log(part[:, 0]) + summand
            pair = np.stack([1 / (1 + np.exp(logit)), 1 / (1 + np.exp(-logit))], axis=1)
        answers[start : start + _ROWS] = pair
    return answers


def check_statistics(model: Ensemble, statistics: Statistics | None) -> None:
    """Check that there are statistics for each member that needs some, and for no other.

    Raises
    ------
    InputError
        A member has none or of another kind or size, or statistics belong to no member.
    """
    if statistics is None:
        return
    artifacts = {
        member.artifact.card.digest: member.artifact
        for member in model.members
        if member.artifact.by_volume or member.artifact.has_intercepts
    }
    if missing := [a.source for digest, a in artifacts.items() if digest not in statistics]:
        raise InputError(
            f"The statistics have none for {missing[0]}; expected some for each model that "
            "standardises by the volume or has intercepts, by the digest of its artifact."
        )
    for digest, each in statistics.items():
        if digest not in artifacts:
            raise InputError(
                f"There are statistics for the artifact {digest:.80}, which is not among "
                f"{', '.join(a.source for a in artifacts.values()) or 'models that use any'}. "
                "Leave them out."
            )
        artifact = artifacts[digest]
        if isinstance(each, FeatureCounts):
            training = artifact.card.training_features
            expected = "statistics" if training is None or artifact.by_volume else "counts"
            shape = () if training is None else training.edges.shape
            if expected != "counts" or each.below.shape != shape:
                raise InputError(
                    f"There are counts of {each.below.shape} (features, edges) for "
                    f"{artifact.source}; expected {expected} of {shape or artifact.n_features}."
                )
        elif not artifact.by_volume or len(each.centre) != artifact.n_features:
            expected = f"{artifact.n_features}" if artifact.by_volume else "counts (FeatureCounts)"
            raise InputError(
                f"The statistics for {artifact.source} are of {len(each.centre)} features;"
                f" expected {expected}."
            )


def measure_table(
    model: Ensemble, rows: int, statistics: Statistics | None = None, keeps_all: bool = False
) -> int:
    """Compute the memory of the features that a table keeps, and of measuring them, bytes.

    A `FeatureTable` keeps those of all members.
    """
    members = [m.artifact for m in model.members if keeps_all or m.artifact.by_volume]
    artifacts = {artifact.card.digest: artifact for artifact in members}
    widths = [a.n_features for digest, a in artifacts.items() if digest not in (statistics or {})]
    # One feature at a time is sorted and measured in float64.
    return prod((4, rows, sum(widths))) + (40 * rows if widths else 0)
