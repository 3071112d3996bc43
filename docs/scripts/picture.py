"""Draw docs/sample.png, the picture of the README.

    python docs/scripts/picture.py

Needs matplotlib.
"""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from cfzoo.runtime import classify
from cfzoo.runtime.sample import VOXEL_SIZE, make_sample

PLANES = slice(14, 30)  # that the picture shows


def main() -> None:
    """Classify the sample with the default model; draw signal, background and answers."""
    sample = make_sample()
    results = classify(sample.zyx, sample.signal, voxel_size=VOXEL_SIZE)
    plt.rcParams["font.size"] = 13
    figure, axes = plt.subplots(1, 2, figsize=(13, 6.8), layout="constrained")
    for axis, volume, title in zip(
        axes, (sample.signal, sample.background), ("signal", "background, not used"), strict=True
    ):
        axis.imshow(volume[PLANES].max(axis=0), cmap="gray", vmin=120, vmax=1400)
        axis.set(title=f"{title} (16 planes, brightest)", xticks=[], yticks=[])
    visible = (sample.zyx[:, 0] >= PLANES.start) & (sample.zyx[:, 0] < PLANES.stop)
    points = axes[0].scatter(
        sample.zyx[visible, 2],
        sample.zyx[visible, 1],
        c=results.probability[visible],
        s=110,
        cmap="coolwarm_r",
        vmin=0,
        vmax=1,
        marker="o",
        facecolors="none",
        linewidths=2,
    )
    points.set_facecolor("none")
    points.set_edgecolor(plt.get_cmap("coolwarm_r")(results.probability[visible]))
    missed = visible & (results.types != sample.types)
    axes[0].scatter(sample.zyx[missed, 2], sample.zyx[missed, 1], marker="x", s=60, c="yellow")
    axes[0].set_xlabel("candidates by probability of being a cell; x: differs from the truth")
    figure.colorbar(points, ax=axes[0], shrink=0.8)
    figure.savefig(Path(__file__).resolve().parent.parent / "sample.png", dpi=80)
    right = np.mean(results.types == sample.types)
    print(f"{len(sample.types)} candidates, {right:.1%} as in the truth")


if __name__ == "__main__":
    main()
