"""The pool: the candidates of which a page holds pictures and features."""

import numpy as np

POOL = 2000
MOST_POOL = 10_000
_SAMPLE = 20_000  # candidates among which the unlike ones are looked for
_FAR = 4.0  # spreads, beyond which a feature counts no more: one odd feature is no other kind


def choose_pool(standard: np.ndarray, size: int = POOL, seed: int = 0) -> np.ndarray:
    """Choose candidates for a page: half by chance, half unlike each other.

    Those by chance show what is common, the others make sure that no kind is missing: each is the
    one farthest from all that were chosen before (Gonzalez 1985, Theoretical Computer Science 38).

    Parameters
    ----------
    standard : (N, F) float32
        Standardised features; a row with NaN is not chosen.
    size : int
        Number of candidates, at most.
    seed : int
        Seed of the chance.

    Returns
    -------
    (n,) int64
        Rows, ascending; all usable ones if they are not more than ``size``.
    """
    usable = np.flatnonzero(np.isfinite(standard).all(axis=1))
    if len(usable) <= size:
        return usable
    rows = np.random.default_rng(seed).permutation(usable)
    chosen = rows[: (size + 1) // 2]
    rest = rows[len(chosen) :][:_SAMPLE]
    points = np.clip(standard[rest], -_FAR, _FAR).astype(np.float32)
    distance = np.full(len(rest), np.inf, np.float32)
    for row in np.clip(standard[chosen], -_FAR, _FAR).astype(np.float32):
        np.minimum(distance, ((points - row) ** 2).sum(axis=1), out=distance)
    unlike = np.empty(size - len(chosen), np.int64)
    for i in range(len(unlike)):
        unlike[i] = np.argmax(distance)
        np.minimum(distance, ((points - points[unlike[i]]) ** 2).sum(axis=1), out=distance)
        distance[unlike[i]] = -1
    return np.sort(np.concatenate([chosen, rest[unlike]]))
