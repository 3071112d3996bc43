"""A picture of what an artifact makes of the synthetic sample."""

from matplotlib import style
from matplotlib.figure import Figure

from ...runtime.artifact import Artifact
from ...runtime.explain import explain, surest
from ...runtime.job import prepare
from ...runtime.options import Options
from ...runtime.pipeline import run
from ...runtime.points import CELL
from ...runtime.sample import VOXEL_SIZE, make_sample
from ...zoo.figure import png_bytes

EACH = 5  # candidates of each class


def draw_cover(artifact: Artifact) -> bytes:
    """PNG, 1200 x 600 pixels: the candidates it is surest of, with their probabilities.

    The same artifact gives the same bytes with the same versions of matplotlib and onnxruntime.
    """
    sample, card = make_sample(), artifact.card
    background = sample.background if len(card.channels) == 2 else None
    job = prepare(
        sample.zyx,
        sample.signal,
        background,
        model=artifact,
        voxel_size=VOXEL_SIZE,
        options=Options(edges="drop", device="cpu"),
    )
    results = run(job)
    rows = surest(results, EACH)
    cubes = explain(job, rows, ()).cubes[:, 0].max(axis=1)
    with style.context("default"):
        figure = Figure(figsize=(12, 6), dpi=100, facecolor="black", layout="constrained")
        axes = figure.subplots(2, EACH, squeeze=False)
        for axis in axes.flat:
            axis.set_axis_off()
        used = {True: 0, False: 0}
        for row, image in zip(rows, cubes, strict=True):
            is_cell = bool(results.types[row] == CELL)
            axis = axes[0 if is_cell else 1, used[is_cell]]
            used[is_cell] += 1
            axis.imshow(image, cmap="gray", aspect=card.voxel_size[1] / card.voxel_size[2])
            colour = "#f0a030" if is_cell else "#70b0f0"
            axis.set_title(f"{results.probability[row]:.2f}", color=colour, fontsize=18)
        figure.suptitle(
            f"{card.name} {card.version}: surest of a cell (above), of no cell (below)",
            color="white",
            fontsize=20,
        )
        figure.supxlabel(
            "synthetic candidates as the network sees them, brightest along z, each in its own "
            "contrast; probability of a cell",
            color="#a0a0a0",
            fontsize=13,
        )
        return png_bytes(figure)
