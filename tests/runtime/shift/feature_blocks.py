"""Blocks of random features: cells around 1, no cells around -1, in units of each feature."""

import numpy as np

SCALES = np.array([1.0, 30.0, 0.002], np.float32)


def draw(
    n: int = 2000, *, cells: float = 0.4, shift: float = 0.0, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Draw features (n, 3) float32 and whether each is a cell; ``shift`` in standard deviations."""
    rng = np.random.default_rng(seed)
    is_cell = np.arange(n) < round(cells * n)
    features = rng.normal(0, 1, (n, 3)) + np.where(is_cell, 1, -1)[:, None] + shift
    return (features * SCALES).astype(np.float32), is_cell


def draw_blocks(shifts=(0.0, 0.2, -0.2, 0.1), n: int = 2000):
    """Draw a training block for each shift, with 20 to 60 % of cells."""
    shares = np.linspace(0.2, 0.6, len(shifts))
    drawn = [
        draw(n, cells=share, shift=shift, seed=10 + i)
        for i, (share, shift) in enumerate(zip(shares, shifts, strict=True))
    ]
    return [(f"brain-{i}", features, is_cell) for i, (features, is_cell) in enumerate(drawn)]
