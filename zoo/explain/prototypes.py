"""Prototypes of a PIP-Net: their best-matching patches, and the scoring sheet."""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch

from ...runtime.errors import InputError
from ...runtime.files import atomic_write
from ..data import LabelledCubes, load, read_data
from ..models import NEUTRAL_CONTRAST, PipNet3d
from ..objectives import SHEET_WEIGHTS
from ..registry import build
from ..weights import find_weights, load_weights, read_weights

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

CELL_FRAME, NO_CELL_FRAME, PATCH_FRAME = "#2a9d4a", "#8a8a8a", "#ffc800"


class Patch(NamedTuple):
    """A patch of a labelled cube that shows a prototype.

    Attributes
    ----------
    dataset, row : int
        Index of the data set, and of the cube in it.
    presence : float
        Presence of the prototype, 0 to 1.
    centre : (z, y, x)
        Centre of the patch, voxels of the network's grid.
    """

    dataset: int
    row: int
    presence: float
    centre: tuple[float, float, float]


@dataclass(frozen=True)
class Prototypes:
    """The prototypes with a weight in the scoring sheet, the weightiest first.

    Attributes
    ----------
    number : (K,) int
        Channel of the network.
    sheet : (K, 2) float
        Weight for no cell and for cell.
    presence : (K, 2) float
        Mean presence in the cubes labelled no cell and cell, 0 to 1.
    patches : list of K lists of Patch
        For each prototype, the cubes with its largest presence.
    total : int
        Number of the network's prototypes.
    zeros : (2,) int
        Number of those without a weight for no cell and for cell.
    contrast_weight : float
        Logits that the fixed contrast at the centre adds to the margin per e-fold.
    contrast : (2,) float
        Mean logarithm of that contrast over its neutral value, in the cubes labelled no cell and
        cell.
    """

    number: np.ndarray
    sheet: np.ndarray
    presence: np.ndarray
    patches: list[list[Patch]]
    total: int
    zeros: np.ndarray
    contrast_weight: float
    contrast: np.ndarray


def render_prototypes(
    model: str, data: Sequence[Path], output: Path, root: Path | None = None, patch_count: int = 8
) -> str:
    """Draw the prototypes of trained weights on labelled data.

    Parameters
    ----------
    model : str
        A bundled name or X.safetensors of a pipnet3d.
    data : sequence of Path
        Data files, see `cfzoo.zoo.data.read_data`.
    output : Path
        PNG file to write.
    root : Path, optional
        Folder from which relative paths in ``data`` start.
    patch_count : int
        Number of patches per prototype.

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
    network = build(card).eval()
    load_weights(network, state, path.name)
    if not isinstance(network, PipNet3d):  # before the data are read
        raise InputError(
            f"{path.name} is a {card.architecture}, which has no prototypes; expected a pipnet3d."
        )
    cubes = [load(source, card) for source in read_data(data, root)]
    prototypes = find_prototypes(network, cubes, patch_count)
    draw_prototypes(prototypes, cubes, output)
    return format_sheet(prototypes)


@torch.inference_mode()
def find_prototypes(
    network: PipNet3d,
    cubes: Sequence[LabelledCubes],
    patch_count: int = 8,
    batch_size: int = 256,
) -> Prototypes:
    """Find where the prototypes of a network occur in labelled cubes.

    Parameters
    ----------
    network : PipNet3d
        In evaluation mode.
    cubes : sequence of LabelledCubes
        Data sets, loaded for the network's card.
    patch_count : int
        Number of patches per prototype.
    batch_size : int
    """
    presences, positions, rises = [], [], []
    for data in cubes:
        for start in range(0, len(data), batch_size):
            batch = torch.from_numpy(data.cubes(slice(start, start + batch_size)))
            peak = (network.prototypes(batch) * network.window).flatten(2).max(2)
            presences.append(peak.values.numpy())
            rises.append(network.contrast(batch)[:, 1].numpy() / (0.5 * network.contrast.weight))
            voxels = np.unravel_index(peak.indices.numpy(), network.grid_shape)
            positions.append(np.stack(voxels, -1))
    presence, position = np.concatenate(presences), np.concatenate(positions)  # (N, P), (N, P, 3)
    rise = np.concatenate(rises)
    labels = np.concatenate([data.labels for data in cubes])
    dataset = np.repeat(np.arange(len(cubes)), [len(data) for data in cubes])
    row = np.concatenate([np.arange(len(data)) for data in cubes])
    stride = np.array(cubes[0].grid.cube_shape) / network.grid_shape
    sheet = network.sheet.numpy().T
    number = np.argsort(-sheet.max(1), kind="stable")
    number = number[sheet[number].max(1) > 0]
    patches = []
    for p in number:
        best = np.argsort(-presence[:, p], kind="stable")[:patch_count]
        patches.append(
            [
                Patch(
                    dataset=int(dataset[i]),
                    row=int(row[i]),
                    presence=float(presence[i, p]),
                    centre=_patch_centre(position[i, p], stride),
                )
                for i in best
            ]
        )
    is_class = [labels == label for label in (0, 1)]
    return Prototypes(
        number=number,
        sheet=sheet[number],
        presence=np.stack([presence[rows].mean(0) for rows in is_class], 1)[number],
        patches=patches,
        total=len(sheet),
        zeros=(sheet == 0).sum(0),
        contrast_weight=network.contrast.weight,
        contrast=np.array([rise[rows].mean() for rows in is_class]),
    )


def _patch_centre(position: np.ndarray, stride: np.ndarray) -> tuple[float, float, float]:
    z, y, x = ((position + 0.5) * stride - 0.5).tolist()
    return z, y, x


def format_sheet(prototypes: Prototypes) -> str:
    """Return the scoring sheet as a text table, with a line for the fixed contrast."""
    lines = ["prototype   weight: no cell    cell   mean presence: no cells   cells"]
    for number, (no_cell, cell), (in_no_cells, in_cells) in zip(
        prototypes.number, prototypes.sheet, prototypes.presence, strict=True
    ):
        lines.append(f"{number:9d}{no_cell:18.3f}{cell:8.3f}{in_no_cells:25.3f}{in_cells:8.3f}")
    half = prototypes.contrast_weight / 2
    in_no_cells, in_cells = prototypes.contrast
    lines.append(f" contrast{-half:+18.3f}{half:+8.3f}{in_no_cells:+25.3f}{in_cells:+8.3f}")
    lines.append(
        "Contrast: fixed, not learnt; its weight times ln(contrast at the centre / "
        f"{NEUTRAL_CONTRAST:g}) is added to the logits, and the mean is of that logarithm."
    )
    no_cell, cell = prototypes.zeros
    lines.append(
        f"Of {prototypes.total} weights each, {no_cell} for no cell and {cell} for cell are 0."
    )
    return "\n".join(lines)


def draw_prototypes(
    prototypes: Prototypes,
    cubes: Sequence[LabelledCubes],
    path: Path,
    max_rows: int = 2 * SHEET_WEIGHTS,
) -> None:
    """Draw one row per prototype with its best patches side by side, as PNG with a legend.

    Each picture is the plane of the cube through the centre of the patch, framed green for a cell
    and grey for no cell, with a box around the patch. The first has a scale bar.

    Raises
    ------
    InputError
        No prototype has a weight.
    """
    # Here, since exports import this room and need no matplotlib.
    from matplotlib.figure import Figure

    from ..figure import draw_scale_bar, png_bytes

    rows = min(max_rows, len(prototypes.number))
    columns = max(map(len, prototypes.patches), default=0)
    if not rows:
        raise InputError("No prototype has a weight: nothing to draw. Train longer.")
    width = max(1.1 * columns + 1.6, 4.8)  # wide enough for the legend
    figure = Figure((width, 1.15 * rows + 1.1), dpi=120, layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False)
    for r in range(rows):
        no_cell, cell = prototypes.sheet[r]
        vote = f"cell {cell:.2f}" if cell >= no_cell else f"no cell {no_cell:.2f}"
        label = f"{prototypes.number[r]}\n{vote}"
        axes[r, 0].set_ylabel(label, rotation=0, ha="right", va="center", fontsize=8)
        for axis, patch in zip(axes[r], prototypes.patches[r], strict=True):
            _draw_patch(axis, patch, cubes[patch.dataset])
    data = cubes[prototypes.patches[0][0].dataset]
    width_um = data.voxel_size[2] * data.grid.data_shape[2]
    draw_scale_bar(axes[0, 0], width_um / data.grid.cube_shape[2])
    _draw_legend(figure, rows, prototypes)
    with atomic_write(path, "wb") as file:
        file.write(png_bytes(figure))


def _draw_legend(figure: "Figure", rows: int, prototypes: Prototypes) -> None:
    """Say above the pictures what frames, boxes and numbers mean."""
    from matplotlib.patches import Patch as Frame

    total = len(prototypes.number)
    count = f"the {rows} weightiest of {total}" if rows < total else f"all {total}"
    text = (
        f"Prototypes, {count}. Left: number, and the larger of its weights for cell and no cell. "
        "Above each picture: presence of the prototype, 0 to 1. The pictures are xy planes. Beside "
        f"the prototypes the fixed contrast at the centre counts, {prototypes.contrast_weight:g} "
        "logits per e-fold."
    )
    title = "\n".join(textwrap.wrap(text, int(figure.get_figwidth() * 13)))
    meanings = {
        CELL_FRAME: "labelled cell",
        NO_CELL_FRAME: "labelled no cell",
        PATCH_FRAME: "the prototype",
    }
    frames = [Frame(fill=False, edgecolor=c, linewidth=2, label=m) for c, m in meanings.items()]
    legend = {"title": title, "title_fontsize": 8, "fontsize": 8, "frameon": False}
    figure.legend(handles=frames, loc="outside upper center", ncols=3, **legend)


def _draw_patch(axis: "Axes", patch: Patch, cubes: LabelledCubes) -> None:
    from matplotlib.patches import Rectangle

    z, y, x = patch.centre
    _, height, width = (side / 4 for side in cubes.grid.cube_shape)
    plane = cubes.cubes(slice(patch.row, patch.row + 1))[0, 0, round(z)]
    axis.imshow(plane, cmap="gray", vmin=plane.min(), vmax=np.percentile(plane, 99.8))
    corner = x - width / 2, y - height / 2
    axis.add_patch(Rectangle(corner, width, height, fill=False, color=PATCH_FRAME, lw=1))
    axis.set_xticks([])
    axis.set_yticks([])
    axis.set_title(f"{patch.presence:.2f}", fontsize=7, pad=2)
    for spine in axis.spines.values():
        spine.set_color(CELL_FRAME if cubes.labels[patch.row] else NO_CELL_FRAME)
        spine.set_linewidth(2)
