"""The metrics of a training as a picture."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ...runtime.files import atomic_write
from ..figure import png_bytes
from .journal import Row, find_best

TRAINING, VALIDATION = "#4c72b0", "#dd8452"


def draw_curves(rows: Sequence[Row], path: Path) -> None:
    """Plot the loss, and the average precision on the validation data, by epoch; write a PNG.

    With validation data, the losses of training and validation are both measured in evaluation
    mode, so that they can be compared; that of the augmented batches is drawn thin.

    Parameters
    ----------
    rows : sequence of dict
        Rows of a `Journal`, at least one.
    path : Path
    """
    has_validation = "val_ap" in rows[0]
    # No pyplot: it would open windows, or fail on a computer without a screen.
    figure = Figure((6, 5.4 if has_validation else 3), dpi=150, layout="constrained")
    axes = figure.subplots(2 if has_validation else 1, sharex=True, squeeze=False)[:, 0]
    epochs = [row["epoch"] for row in rows]

    def plot(axis, name: str, label: str, colour: str, **style) -> None:
        values = [row[name] for row in rows]
        style = {"marker": "." if len(rows) < 30 else "", **style}
        axis.plot(epochs, values, color=colour, label=label, **style)

    thin = {"linewidth": 0.8, "alpha": 0.6, "marker": ""} if "train_loss" in rows[0] else {}
    plot(axes[0], "loss", "training, its objective on augmented cubes", TRAINING, **thin)
    if "train_loss" in rows[0]:  # not in those of an earlier version's checkpoint
        plot(axes[0], "train_loss", "training", TRAINING)
    axes[0].set_ylabel("loss")
    if has_validation:
        plot(axes[0], "val_loss", "validation", VALIDATION)
        plot(axes[1], "val_ap", "average precision", VALIDATION)
        axes[1].set_ylabel("validation average precision")
        axes[1].set_ylim(top=min(1.02, axes[1].get_ylim()[1]))
        best = rows[find_best(rows)]
        for axis in axes:
            axis.axvline(best["epoch"], color="0.6", linewidth=1, linestyle="--", zorder=0)
        axes[1].plot(best["epoch"], best["val_ap"], "o", color="black", fillstyle="none")
        axes[1].set_title(
            f"best: {best['val_ap']:.3f} in epoch {best['epoch']:.0f}", fontsize="medium"
        )
    axes[0].legend(frameon=False)
    axes[-1].set_xlabel("epoch")
    axes[-1].xaxis.set_major_locator(MaxNLocator(integer=True))
    for axis in axes:
        axis.spines[["top", "right"]].set_visible(False)
        axis.grid(alpha=0.3)
    with atomic_write(path, "wb") as file:
        file.write(png_bytes(figure))
