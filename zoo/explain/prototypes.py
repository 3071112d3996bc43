"""What a PIP-Net looks for: its prototypes' best-matching patches, and its scoring sheet."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from ...runtime.errors import InputError
from ...runtime.files import atomic_write
from ..data import LabelledCubes, load, read_data
from ..figure import png_bytes
from ..models import PipNet3d
from ..registry import build
from ..weights import find_weights, load_weights, read_weights

CELL_FRAME, NO_CELL_FRAME = "#2a9d4a", "#8a8a8a"  # frames


@dataclass(frozen=True)
class Prototypes:
    """The prototypes that a class scores with, the weightiest first.

    Attributes
    ----------
    number : (K,) int
        Channel of the network.
    sheet : (K, 2) float
        Weight for no cell and for cell.
    presence : (K, 2) float
        Mean presence in the cubes labelled no cell and cell, 0 to 1.
    patches : list of K lists of (dataset, row, presence, (z, y, x))
        Of each prototype the cubes that show it best, and where: voxels of the network's grid.
    """

    number: np.ndarray
    sheet: np.ndarray
    presence: np.ndarray
    patches: list[list[tuple[int, int, float, tuple[float, float, float]]]]


def render_prototypes(
    model: str, data: Sequence[Path], output: Path, root: Path | None = None, best: int = 8
) -> str:
    """Draw the prototypes of trained weights on labelled data.

    Parameters
    ----------
    model : str
        A bundled name or X.safetensors of a pipnet3d.
    data : sequence of Path
        Data files, see `datasets.read_data`.
    output : Path
        PNG.
    root : Path, optional
        What relative paths in ``data`` start from.
    best : int
        Patches a prototype.

    Returns
    -------
    str
        The scoring sheet as a table.

    Raises
    ------
    InputError
        The model has no prototypes, or the data cannot be used.
    """
    path = find_weights(model)
    state, card = read_weights(path)
    net = build(card).eval()
    load_weights(net, state, path.name)
    if not isinstance(net, PipNet3d):  # before the data is read
        raise InputError(
            f"{path.name} is a {card.architecture}, which has no prototypes; expected a pipnet3d."
        )
    cubes = [load(source, card) for source in read_data(data, root)]
    found = find_prototypes(net, cubes, best)
    draw_prototypes(found, cubes, output)
    return sheet_table(found)


@torch.inference_mode()
def find_prototypes(
    net: PipNet3d, cubes: Sequence[LabelledCubes], best: int = 8, batch_size: int = 256
) -> Prototypes:
    """Where the prototypes of a network occur in labelled cubes.

    Parameters
    ----------
    net : PipNet3d
        In evaluation mode.
    cubes : sequence of LabelledCubes
        Cut for the network's card.
    best : int
        Patches a prototype.
    """
    parts, places = [], []
    for data in cubes:
        for start in range(0, len(data), batch_size):
            maps = net.prototypes(torch.from_numpy(data.cubes(slice(start, start + batch_size))))
            near = (maps * net.window).flatten(2)
            top = near.max(2)
            parts.append(top.values.numpy())
            places.append(np.stack(np.unravel_index(top.indices.numpy(), net.grid_shape), -1))
    present, place = np.concatenate(parts), np.concatenate(places)  # (N, P), (N, P, 3)
    labels = np.concatenate([data.labels for data in cubes])
    dataset = np.repeat(np.arange(len(cubes)), [len(data) for data in cubes])
    row = np.concatenate([np.arange(len(data)) for data in cubes])
    step = np.array(cubes[0].grid.cube_shape) / net.grid_shape
    sheet = net.sheet.numpy().T
    number = np.argsort(-sheet.max(1), kind="stable")
    number = number[sheet[number].max(1) > 0]
    patches = []
    for p in number:
        order = np.argsort(-present[:, p], kind="stable")[:best]
        patches.append(
            [
                (int(dataset[i]), int(row[i]), float(present[i, p]), _middle(place[i, p], step))
                for i in order
            ]
        )
    mean = [present[labels == label].mean(0) for label in (0, 1)]
    return Prototypes(number, sheet[number], np.stack(mean, 1)[number], patches)


def _middle(place: np.ndarray, step: np.ndarray) -> tuple[float, float, float]:
    z, y, x = ((place + 0.5) * step - 0.5).tolist()
    return z, y, x


def sheet_table(found: Prototypes) -> str:
    """The scoring sheet as text."""
    lines = ["prototype   weight: no cell    cell   mean presence: no cells   cells"]
    for p, (none, cell), (in_none, in_cells) in zip(
        found.number, found.sheet, found.presence, strict=True
    ):
        lines.append(f"{p:9d}{none:18.3f}{cell:8.3f}{in_none:25.3f}{in_cells:8.3f}")
    return "\n".join(lines)


def draw_prototypes(
    found: Prototypes, cubes: Sequence[LabelledCubes], path: Path, most: int = 16
) -> None:
    """A row a prototype, its best patches side by side; PNG.

    Each picture is the plane of the cube in which the prototype is found, framed green for a
    cell and grey for none, with a box around the place.

    Raises
    ------
    InputError
        No prototype has a weight.
    """
    rows, columns = min(most, len(found.number)), max(map(len, found.patches), default=0)
    if not rows:
        raise InputError("No prototype has a weight: nothing to draw. Train longer.")
    figure = Figure((1.1 * columns + 1.6, 1.15 * rows), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(rows, columns, squeeze=False)
    _, height, width = cubes[0].grid.cube_shape
    box = height / 4, width / 4
    for r in range(rows):
        none, cell = found.sheet[r]
        says = f"cell {cell:.2f}" if cell >= none else f"no cell {none:.2f}"
        axes[r, 0].set_ylabel(
            f"{found.number[r]}\n{says}", rotation=0, ha="right", va="center", fontsize=8
        )
        for axis, (dataset, row, presence, (z, y, x)) in zip(
            axes[r], found.patches[r], strict=True
        ):
            data = cubes[dataset]
            plane = data.cubes(slice(row, row + 1))[0, 0, round(z)]
            axis.imshow(plane, cmap="gray", vmin=plane.min(), vmax=np.percentile(plane, 99.8))
            corner = x - box[1] / 2, y - box[0] / 2
            axis.add_patch(Rectangle(corner, box[1], box[0], fill=False, color="gold", lw=1))
            axis.set_xticks([])
            axis.set_yticks([])
            axis.set_title(f"{presence:.2f}", fontsize=7, pad=2)
            for spine in axis.spines.values():
                spine.set_color(CELL_FRAME if data.labels[row] else NO_CELL_FRAME)
                spine.set_linewidth(2)
    with atomic_write(path, "wb") as file:
        file.write(png_bytes(figure))
