"""Draw the architectures of docs/explanation, with the actual shapes of the networks.

python docs/scripts/drawings.py
"""

from pathlib import Path

import matplotlib as mpl
import torch
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

from cfzoo.zoo.recipe import read_recipe, recipe_for
from cfzoo.zoo.registry import build

HERE = Path(__file__).resolve().parent.parent
RECIPES = HERE.parent / "benchmarks"
PAPER, INK, QUIET = "#fbfaf7", "#1d1f23", "#5b616b"  # paper colour, so that dark pages work too
FIXED, LEARNT, PLAIN = "#f6dfc4", "#d5e4f3", "#eceae5"
LEFT, MIDDLE, RIGHT = 15, 50, 85  # columns, of 100
STEP, HIGH = 12.5, 8.0  # distance of rows; height of a box


class Drawing:
    """A drawing of boxes in rows and columns, with arrows from top to bottom."""

    def __init__(self, rows: int):
        tall = rows * STEP
        self.figure = Figure((5.4, 5.4 * tall / 100), facecolor=PAPER)
        self.axis = self.figure.add_axes((0, 0, 1, 1))
        self.axis.set(xlim=(0, 100), ylim=(tall, 0))
        self.axis.axis("off")

    def box(self, x: float, row: float, title: str, note: str = "", colour: str = LEARNT, wide=30):
        """Draw a box with its middle at ``x`` in ``row``; return (x, row)."""
        y = (row + 0.5) * STEP
        corner = (x - wide / 2, y - HIGH / 2)
        self.axis.add_patch(
            FancyBboxPatch(
                corner, wide, HIGH, "round,pad=0,rounding_size=1.2", fc=colour, ec=INK, lw=0.8
            )
        )
        shift = 1.55 if note else 0
        self.axis.text(x, y - shift, title, ha="center", va="center", size=8.2, color=INK)
        if note:
            self.axis.text(x, y + 1.75, note, ha="center", va="center", size=7.2, color=QUIET)
        return x, row

    def down(self, start, end, label: str = ""):
        """Draw an arrow from the bottom of a box to the top of one below it, in any column."""
        (x0, r0), (x1, r1) = start, end
        y0, y1 = (r0 + 0.5) * STEP + HIGH / 2, (r1 + 0.5) * STEP - HIGH / 2
        self.path(
            [(x0, y0), (x0, y1 - 2.2), (x1, y1 - 2.2), (x1, y1)]
            if x0 != x1
            else [(x0, y0), (x1, y1)]
        )
        if label:
            self.axis.text(x1 + 1.2, (y0 + y1) / 2, label, va="center", size=7.2, color=QUIET)

    def across(self, start, end, wide=30, label: str = ""):
        """Draw an arrow from the side of a box to the side of its neighbour in the same row."""
        (x0, row), (x1, _) = start, end
        sign = 1 if x1 > x0 else -1
        y = (row + 0.5) * STEP
        self.path([(x0 + sign * wide / 2, y), (x1 - sign * 12.5, y)])
        if label:
            self.axis.text(
                (x0 + x1) / 2 + sign, y - 1, label, ha="center", va="bottom", size=7.2, color=QUIET
            )

    def path(self, points):
        """Draw a line through points, with an arrowhead at its end."""
        xs, ys = zip(*points, strict=True)
        self.axis.plot(xs[:-1], ys[:-1], color=INK, lw=0.9, solid_capstyle="round")
        head = {"arrowstyle": "-|>,head_width=0.18,head_length=0.35", "shrinkA": 0, "shrinkB": 0}
        self.axis.annotate("", points[-1], points[-2], arrowprops={"color": INK, "lw": 0.9, **head})

    def save(self, name: str):
        """Write the drawing as SVG; the same drawing gives the same bytes."""
        settings = {"svg.hashsalt": name, "svg.fonttype": "path"}
        with mpl.rc_context(settings):
            self.figure.savefig(
                HERE / "explanation" / f"{name}.svg",
                facecolor=PAPER,
                metadata={"Date": None, "Creator": None},
            )


def read_shapes(name: str) -> dict[str, str]:
    """Return the output shape of every module, channels x z x y x x, for a cube of the recipe."""
    path = RECIPES / f"{name}-cellfinder.yaml"
    card = (read_recipe(path) if path.exists() else recipe_for(name)).card()
    network = build(card).eval()
    shapes = {"": " x ".join(map(str, (len(card.channels), *card.cube_shape)))}

    def make_hook(key):
        def hook(module, inputs, output):
            if isinstance(output, torch.Tensor) and key not in shapes:
                shapes[key] = " x ".join(map(str, output.shape[1:]))

        return hook

    for key, module in network.named_modules():
        if key:
            module.register_forward_hook(make_hook(key))
    if getattr(network, "head", None) is not None:
        shapes["head"] = f"{network.head.in_features} features to 2"
    with torch.no_grad():
        network(torch.rand(1, len(card.channels), *card.cube_shape) * 1000)
    return shapes


def draw_start(drawing: Drawing, shape: dict[str, str]):
    """Draw the common first part: the cube, its relative maps and the contrast next to it."""
    cube = drawing.box(MIDDLE, 0, "raw cube", shape[""], PLAIN)
    maps = drawing.box(MIDDLE, 1, "relative maps", shape["maps"], FIXED)
    drawing.down(cube, maps)
    contrast = drawing.box(LEFT, 1, "centre contrast", "w log(c / c0)", FIXED, 25)
    drawing.down(cube, contrast)
    return maps, contrast


def draw_end(drawing: Drawing, head, contrast, row: int):
    """Draw the common last part: the sum of the logits and the softmax."""
    total = drawing.box(MIDDLE, row, "sum: logits", "no cell, cell", PLAIN)
    drawing.down(head, total)
    x, first = contrast
    y = (row + 0.5) * STEP
    drawing.path([(x, (first + 0.5) * STEP + HIGH / 2), (x, y), (MIDDLE - 15, y)])
    answer = drawing.box(MIDDLE, row + 1, "softmax(logits / T + (0, b))", "probability", PLAIN, 42)
    drawing.down(total, answer)


def draw_attention3d() -> None:
    """Draw the trunk, and the two gates that its last map opens."""
    shape, drawing = read_shapes("attention3d"), Drawing(8)
    maps, contrast = draw_start(drawing, shape)
    above, stages = maps, []
    for number in (1, 2, 3):
        stage = drawing.box(MIDDLE, 1 + number, f"stage {number}: MBConv", shape[f"stage{number}"])
        drawing.down(above, stage)
        stages.append(stage)
        above = stage
    gates = []
    for number in (1, 2):
        places = shape[f"gate{number}.psi"].split(" x ", 1)[1]
        gate = drawing.box(RIGHT, 1 + number, f"gate {number}", f"alpha: {places}", LEARNT, 25)
        drawing.across(stages[number - 1], gate, label="x")
        gates.append(gate)
    # The coarse map opens both gates, from below.
    y = (4 + 0.5) * STEP
    drawing.path([(MIDDLE + 15, y), (RIGHT + 4, y), (RIGHT + 4, 3.5 * STEP + HIGH / 2)])
    drawing.path([(RIGHT + 4, 3.5 * STEP - HIGH / 2), (RIGHT + 4, 2.5 * STEP + HIGH / 2)])
    drawing.axis.text(RIGHT + 5.2, y - 2.2, "g", size=7.2, color=QUIET)
    head = drawing.box(MIDDLE, 5, "linear", shape["head"])
    drawing.down(stages[-1], head, "all places")
    for gate, x in zip(gates, (99, 80), strict=True):
        top = (gate[1] + 0.5) * STEP
        bend = 5.5 * STEP
        if x == 99:
            drawing.path(
                [(RIGHT + 12.5, top), (x, top), (x, bend + 1.5), (MIDDLE + 15, bend + 1.5)]
            )
        else:
            drawing.path([(x, top + HIGH / 2), (x, bend - 1.5), (MIDDLE + 15, bend - 1.5)])
    draw_end(drawing, head, contrast, 6)
    drawing.save("attention3d")


def draw_wavemix3d() -> None:
    """Draw the trunk on the left, and one of its blocks in detail on the right."""
    shape, drawing = read_shapes("wavemix3d"), Drawing(8)
    maps, contrast = draw_start(drawing, shape)
    stem = drawing.box(MIDDLE, 2, "stem", shape["stem"])
    drawing.down(maps, stem)
    blocks = drawing.box(MIDDLE, 3, "3 wavelet blocks", shape["blocks.2"])
    drawing.down(stem, blocks)
    down = drawing.box(MIDDLE, 4, "two strided", shape["down"])
    drawing.down(blocks, down)
    head = drawing.box(MIDDLE, 5, "linear", shape["head"])
    drawing.down(down, head, "all places")
    draw_end(drawing, head, contrast, 6)
    inside = [
        ("1 x 1 x 1 conv", shape["blocks.0.reduce"]),
        ("Haar: 8 bands", shape["blocks.0.haar"]),
        ("MLP of channels", shape["blocks.0.mix"]),
        ("transposed conv", shape["blocks.0.expand"]),
        ("batch norm, + x", shape["blocks.0"]),
    ]
    drawing.axis.plot([71.5, 65], [1.15 * STEP, 3.5 * STEP - HIGH / 2], color=QUIET, lw=0.7, ls=":")
    drawing.axis.plot([71.5, 65], [5.88 * STEP, 3.5 * STEP + HIGH / 2], color=QUIET, lw=0.7, ls=":")
    drawing.axis.text(RIGHT, 0.98 * STEP, "one block", ha="center", size=8.2, color=QUIET)
    above = None
    for number, (title, note) in enumerate(inside):
        box = drawing.box(
            RIGHT, 1 + number * 0.95, title, note, LEARNT if number != 1 else FIXED, 26
        )
        if above:
            drawing.down(above, box)
        above = box
    drawing.save("wavemix3d")


def draw_pipnet3d() -> None:
    """Draw the path from prototypes at each position to the scoring sheet."""
    shape, drawing = read_shapes("pipnet3d"), Drawing(9)
    maps, contrast = draw_start(drawing, shape)
    above = maps
    for row, (title, key) in enumerate(
        (("three convolutions", "features.2"), ("1 x 1 x 1, softmax", "features")), start=2
    ):
        box = drawing.box(MIDDLE, row, title, shape[key])
        drawing.down(above, box)
        above = box
    near = drawing.box(MIDDLE, 4, "near the centre", shape["near"], FIXED)
    drawing.down(above, near)
    present = drawing.box(MIDDLE, 5, "largest of each", "64 presences", PLAIN)
    drawing.down(near, present)
    sheet = drawing.box(MIDDLE, 6, "sheet: log(1 + s²)", "2 x 64, not negative")
    drawing.down(present, sheet)
    for row, text in (
        (3, "prototypes share\neach place: sum 1"),
        (4, "neighbours in the\ncube do not count"),
        (5, "below 0.1: absent"),
        (6, "read it: which patch\nspeaks for what"),
    ):
        drawing.axis.text(68, (row + 0.5) * STEP, text, va="center", size=7.4, color=QUIET)
    draw_end(drawing, sheet, contrast, 7)
    drawing.save("pipnet3d")


def draw_resnet50() -> None:
    """Draw cellfinder's ResNet-50 on its own grid."""
    shape, drawing = read_shapes("resnet50"), Drawing(9)
    rows = [
        ("raw cube", shape[""], PLAIN, "channels, z, y, x"),
        ("7 x 7 x 3 conv, stride 2", shape["conv1"], LEARNT, "padded by 3, along\nz as well"),
        ("max pool 3 x 3 x 2", shape["max_pool"], FIXED, ""),
        *(
            (f"unit {unit}: {number} bottlenecks", shape[f"resunit{unit}"], LEARNT, note)
            for unit, number, note in (
                (2, 3, "batch norm of each\nplane, not channel"),
                (3, 4, "Grad-CAM is\nof this one"),
                (4, 6, ""),
                (5, 3, "too coarse to say\nwhere"),
            )
        ),
        ("mean over places, linear", "2048 features to 2", LEARNT, ""),
        ("softmax", "probability", PLAIN, ""),
    ]
    above = None
    for row, (title, note, colour, aside) in enumerate(rows):
        box = drawing.box(42, row, title, note, colour, 42)
        if above:
            drawing.down(above, box)
        if aside:
            drawing.axis.text(66, (row + 0.5) * STEP, aside, va="center", size=7.4, color=QUIET)
        above = box
    drawing.save("resnet50")


def main() -> None:
    """Draw all four networks."""
    for draw in (draw_attention3d, draw_wavemix3d, draw_pipnet3d, draw_resnet50):
        draw()


if __name__ == "__main__":
    main()
