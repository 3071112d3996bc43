"""The cover of an artifact's page: its answers to the synthetic sample."""

from matplotlib import style
from matplotlib.figure import Figure

from ...runtime.artifact import Artifact
from ...runtime.explain import choose_surest, explain
from ...runtime.job import prepare
from ...runtime.options import Options
from ...runtime.pipeline import run
from ...runtime.points import CELL
from ...runtime.sample import VOXEL_SIZE, make_sample
from ...zoo.figure import png_bytes

PER_CLASS = 5  # candidates


def draw_cover(artifact: Artifact) -> bytes:
    """Draw the candidates that the artifact is surest of, with their probabilities.

    Returns
    -------
    bytes
        PNG, 1200 x 600 pixels; the same for the same artifact and versions of matplotlib and
        onnxruntime.
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
    rows = choose_surest(results, PER_CLASS)
    cubes = explain(job, rows, ()).cubes[:, 0].max(axis=1)
    with style.context("default"):
        figure = Figure(figsize=(12, 6), dpi=100, facecolor="black", layout="constrained")
        axes = figure.subplots(2, PER_CLASS, squeeze=False)
        for axis in axes.flat:
            axis.set_axis_off()
        columns = {True: 0, False: 0}  # filled, for cells and no cells
        for row, image in zip(rows, cubes, strict=True):
            is_cell = bool(results.types[row] == CELL)
            axis = axes[0 if is_cell else 1, columns[is_cell]]
            columns[is_cell] += 1
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
