"""What the features of the training's candidates look like, block by block."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..errors import InputError
from .feature_counts import FeatureCounts
from .training_block import TrainingBlock

# Of all training candidates, each block weighing the same; the edges of the counts. The quartiles
# say where most candidates lie, the other two where the rare ones do.
LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)
# Of samples of 50 candidates of c-Fos blocks that were left out, one in 70 is foreign by chance.
FEWEST = 50
MOST_BLOCKS = 32
MOST_PROFILES = 4096  # features of all blocks together, so that a card stays small
# Distance of the block that lies farthest from the others. Within one stain it is 0.06 to 0.12, as
# far as we have seen. Few blocks, or blocks of one brain, see less of how brains differ; and a
# block that lies farther away is the only one of its kind, and must not stretch the limit.
LEAST_LIMIT, MOST_LIMIT = 0.08, 0.12
SMALLEST_RANGE = 1e-4  # of a feature, relative to its size
# A training block has a say in the intercept of a volume that falls with their distance as the
# normal curve of this deviation. Left-out blocks of c-Fos and microglia lie 0.08 or less from the
# nearest other of their stain, and 0.18 or more from the nearest of the other stain.
NEAR = 0.05
DOUBT = 0.01  # say of the mean of all blocks, where that of a block at no distance is 1


@dataclass(frozen=True, eq=False)
class TrainingFeatures:
    """The features of all training blocks, against which a volume is held.

    Attributes
    ----------
    edges : (F, K) float32
        Quantiles of the training candidates at `LEVELS`, each block weighing the same.
    blocks : tuple of TrainingBlock
        At least one; blocks with fewer than `FEWEST` candidates are taken together.
    learnt : int
        Number of further features of the network, after those of ``edges``, that do not count: it
        learnt them on these very blocks, where they look different than elsewhere.
    """

    edges: np.ndarray
    blocks: tuple[TrainingBlock, ...]
    learnt: int = 0

    @property
    def varies(self) -> np.ndarray:
        """Which features vary in the training, (F,) bool; only these count."""
        return _find_varying(self.edges)

    @property
    def limit(self) -> float:
        """Distance of the block that is farthest from the others, within the usual range."""
        farthest = max(block.distance for block in self.blocks)
        return min(max(farthest, LEAST_LIMIT), MOST_LIMIT)

    @property
    def has_intercepts(self) -> bool:
        """Whether a block has an intercept, so that a volume has one."""
        return any(block.intercept for block in self.blocks)

    def choose_intercept(self, counts: FeatureCounts) -> float:
        """Return what to add to the logit of a cell, before the temperature, in a volume.

        A head that ranks the candidates of all brains well may still call too few or too many of
        them cells in one kind of brain: stains and microscopes shift the logit as a whole. The
        intercepts of the training blocks that the volume resembles say by how much.

        Parameters
        ----------
        counts : FeatureCounts
            All candidates of the volume, by `edges`.

        Returns
        -------
        float
            Mean of the blocks' intercepts, each weighed by its nearness; the mean of all where
            none is near, or fewer than `FEWEST` candidates are known.
        """
        intercepts = np.array([block.intercept for block in self.blocks])
        mean = float(intercepts.mean())
        if counts.candidates < FEWEST or not intercepts.any():
            return mean
        shares, varies = counts.shares, self.varies
        distances = np.array(
            [block.measure_distance(shares, counts.candidates, varies) for block in self.blocks]
        )
        weights = np.exp(-0.5 * (distances / NEAR) ** 2)
        return float((weights @ intercepts + DOUBT * mean) / (weights.sum() + DOUBT))

    def without_intercepts(self) -> "TrainingFeatures":
        """Return the same for a network that needs no intercepts any more."""
        return replace(self, blocks=tuple(replace(block, intercept=0.0) for block in self.blocks))

    def summarise(self) -> dict[str, Any]:
        """Return for people how many features there are, and how far the blocks are apart."""
        return {
            "number": len(self.edges),
            **({"learnt": self.learnt} if self.learnt else {}),
            "distance_of_score_1": self.limit,
            "blocks": {
                block.name: {
                    "candidates": block.candidates,
                    "distance": block.distance,
                    **({"intercept": block.intercept} if self.has_intercepts else {}),
                }
                for block in self.blocks
            },
        }

    def find_nearest(self, shares: np.ndarray, candidates: int) -> tuple[float, str]:
        """Return the distance and the name of the training block nearest to a volume."""
        varies = self.varies
        distances = [block.measure_distance(shares, candidates, varies) for block in self.blocks]
        nearest = int(np.argmin(distances))
        return distances[nearest], self.blocks[nearest].name

    def add_block(self, name: str, features: np.ndarray, is_cell: np.ndarray) -> "TrainingFeatures":
        """Return these with one more block, such as the brain that a model was adapted to.

        The edges stay. The parameters are those of `TrainingBlock.of`.

        Raises
        ------
        InputError
            The block has fewer than `FEWEST` candidates with finite features.
        """
        block = TrainingBlock.of(name, features, is_cell, self.edges)
        if block.candidates < FEWEST:
            raise InputError(
                f"{name} has {block.candidates} candidates with finite features; expected at least "
                f"{FEWEST} to say what its features look like."
            )
        others = tuple(b for b in self.blocks if b.name != name)
        distance, _ = replace(self, blocks=others or (block,)).find_nearest(
            block.shares, block.candidates
        )
        most = count_blocks(len(self.edges))
        blocks = (*others[: most - 1], replace(block, distance=round(distance, 4)))
        return replace(self, blocks=blocks)


def measure_training(
    blocks: Sequence[tuple[str, np.ndarray, np.ndarray]], learnt: int = 0
) -> TrainingFeatures | None:
    """Measure the features of the blocks that a network was trained on.

    Parameters
    ----------
    blocks : sequence of (str, (N, F) float32, (N,) bool)
        Name, features and whether it is a cell, of the candidates of each block. Rows with NaN or
        infinity do not count.
    learnt : int
        Number of the last features that do not count.

    Returns
    -------
    TrainingFeatures or None
        None if there are fewer than `FEWEST` candidates, or no feature varies.
    """
    finite = [
        (name, features[rows, : features.shape[1] - learnt], is_cell[rows])
        for name, features, is_cell in blocks
        if (rows := np.isfinite(features).all(axis=1)).any()
    ]
    large = [block for block in finite if len(block[1]) >= FEWEST]
    if small := [block for block in finite if len(block[1]) < FEWEST]:
        name = small[0][0] if len(small) == 1 else f"{len(small)} small data sets"
        pool = (name, *(np.concatenate([block[i] for block in small]) for i in (1, 2)))
        large += [pool] if len(pool[1]) >= FEWEST else []
    if not large:
        return None
    edges = _measure_edges([features for _, features, _ in large])
    varies = _find_varying(edges)
    if not varies.any():
        return None
    measured = _measure_distances(
        tuple(TrainingBlock.of(name, x, y.astype(bool), edges) for name, x, y in large),
        varies,
    )
    most = count_blocks(len(edges))
    return TrainingFeatures(edges, _choose_blocks(measured, varies, most), learnt)


def count_blocks(features: int) -> int:
    """Return how many blocks a card may have for this number of features."""
    return max(1, min(MOST_BLOCKS, MOST_PROFILES // features))


def _choose_blocks(
    blocks: tuple[TrainingBlock, ...], varies: np.ndarray, most: int
) -> tuple[TrainingBlock, ...]:
    """Choose some blocks, each as far as can be from those before it; the others lie near them."""
    if len(blocks) <= most:
        return blocks
    chosen = [int(np.argmax([block.distance for block in blocks]))]
    gaps = np.full(len(blocks), np.inf)
    while len(chosen) < most:
        last = blocks[chosen[-1]]
        distances = [last.measure_distance(b.shares, b.candidates, varies) for b in blocks]
        gaps = np.minimum(gaps, distances)
        gaps[chosen] = -1
        chosen.append(int(np.argmax(gaps)))
    return tuple(blocks[i] for i in sorted(chosen))


def _find_varying(edges: np.ndarray) -> np.ndarray:
    """Return the features (F,) bool that vary by more than libraries differ in their sums."""
    return edges[:, -1] - edges[:, 0] > SMALLEST_RANGE * np.abs(edges).max(axis=1)


def _measure_edges(blocks: Sequence[np.ndarray]) -> np.ndarray:
    """Return the quantiles at `LEVELS` of the candidates of all blocks, (F, K) float32."""
    weights = np.concatenate([np.full(len(block), 1 / len(block)) for block in blocks])
    edges = np.empty((blocks[0].shape[1], len(LEVELS)), np.float32)
    for j in range(len(edges)):
        values = np.concatenate([block[:, j] for block in blocks])
        order = np.argsort(values, kind="stable")
        position = np.cumsum(weights[order])
        for k, level in enumerate(LEVELS):
            row: Any = np.searchsorted(position, level * position[-1])
            edges[j, k] = values[order[min(int(row), len(values) - 1)]]
    # As the card writes them, so that the shares are those of the edges in the card.
    written = [float(f"{float(edge):.6g}") for edge in edges.flat]
    return np.array(written, np.float32).reshape(edges.shape)


def _measure_distances(
    blocks: tuple[TrainingBlock, ...], varies: np.ndarray
) -> tuple[TrainingBlock, ...]:
    """Give each block its distance from the nearest other one."""
    measured: list[TrainingBlock] = []
    for block in blocks:
        shares, n = block.shares, block.candidates
        others = [other for other in blocks if other is not block]
        distance = min((o.measure_distance(shares, n, varies) for o in others), default=0.0)
        measured.append(replace(block, distance=round(distance, 4)))
    return tuple(measured)
