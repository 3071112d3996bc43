"""Sheets of `second_reading.py`: candidates in five planes, with a number and nothing else."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

VOXEL_SIZE = (6.0, 1.62, 1.62)  # z y x, um, of the c-Fos blocks
SIDE_UM = 60.0  # of a panel
PANEL = 150  # pixels of a panel
GAP = 3  # pixels between panels
MARGIN = 36  # pixels on the left, for the number
FOOT = 20  # pixels below, for the scale bar
GREY, WHITE, YELLOW, BLUE = (40, 40, 40), (255, 255, 255), (255, 220, 0), (0, 0, 90)
PANELS = ("xy, 1 plane up", "xy", "xy, 1 plane down", "xz", "yz")
PERCENTILES = (1, 99.8)  # of the surround, drawn black and white
SMALLEST_RANGE = 0.4  # of the surround's median, so that noise is not drawn as bright as nuclei
GAMMA = 0.7
FREE_UM = 11.0  # around the centre without a mark


def cut_surround(block: np.ndarray, zyx: Sequence[int]) -> np.ndarray:
    """Return the voxels of a cube of 60 um around a voxel, NaN outside the block."""
    half = [round(SIDE_UM / size / 2) for size in VOXEL_SIZE]
    cube = np.full([2 * h + 1 for h in half], np.nan, np.float32)
    inside, outside = [], []
    for centre, h, length in zip(map(int, zyx), half, block.shape, strict=True):
        low, high = max(0, centre - h), min(length, centre + h + 1)
        outside.append(slice(low, high))
        inside.append(slice(low - centre + h, high - centre + h))
    cube[tuple(inside)] = block[tuple(outside)]
    return cube


def draw_panels(block: np.ndarray, zyx: Sequence[int]) -> list[Image.Image]:
    """Draw the planes of `PANELS` through a candidate; blue is outside the block."""
    cube = cut_surround(block, zyx)
    low, high = np.nanpercentile(cube, PERCENTILES)
    high = max(high, low + SMALLEST_RANGE * float(np.nanmedian(cube)))
    shown = np.clip((cube - low) / (high - low), 0, 1)
    z, y, x = (n // 2 for n in cube.shape)
    planes = (shown[z - 1], shown[z], shown[z + 1], shown[:, y], shown[:, :, x].T)
    steps = ((1, 2), (1, 2), (1, 2), (0, 2), (1, 0))  # axes of a plane's rows and columns
    return [
        draw_plane(plane, [VOXEL_SIZE[axis] for axis in axes])
        for plane, axes in zip(planes, steps, strict=True)
    ]


def draw_plane(plane: np.ndarray, voxel_size: Sequence[float]) -> Image.Image:
    """Draw a plane, centred, at `PANEL` pixels per `SIDE_UM`, with marks around its centre."""
    missing = np.isnan(plane)
    scale = PANEL / SIDE_UM
    height, width = (
        round(n * size * scale) for n, size in zip(plane.shape, voxel_size, strict=True)
    )
    grey = Image.fromarray(np.where(missing, 0, plane).astype(np.float32))
    grey = np.clip(np.asarray(grey.resize((width, height), Image.Resampling.BICUBIC)), 0, 1)
    outside = Image.fromarray(missing.astype(np.uint8) * 255)
    outside = np.asarray(outside.resize((width, height), Image.Resampling.NEAREST)) > 0
    pixels = np.repeat((255 * grey**GAMMA).astype(np.uint8)[..., None], 3, axis=2)
    pixels[outside] = BLUE
    top, left = (height - PANEL) // 2, (width - PANEL) // 2
    image = Image.fromarray(pixels).crop((left, top, left + PANEL, top + PANEL))
    draw, middle, free = ImageDraw.Draw(image), PANEL // 2, round(FREE_UM * scale)
    for start, end in ((0, middle - free), (middle + free, PANEL)):
        draw.line((start, middle, end, middle), YELLOW)
        draw.line((middle, start, middle, end), YELLOW)
    return image


def draw_sheet(
    blocks: Sequence[np.ndarray], points: Sequence[Sequence[int]], numbers: Sequence[int]
) -> Image.Image:
    """Draw candidates, each from its own block, beside their numbers.

    Parameters
    ----------
    blocks : sequence of (Z, Y, X) array
        One per candidate.
    points : sequence of z y x, voxels
    numbers : sequence of int
    """
    step = PANEL + GAP
    sheet = Image.new("RGB", (MARGIN + len(PANELS) * step, len(numbers) * step + FOOT), GREY)
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(size=16)
    for row, (block, point, number) in enumerate(zip(blocks, points, numbers, strict=True)):
        draw.text((2, row * step + PANEL // 2 - 8), str(number), WHITE, font)
        for column, panel in enumerate(draw_panels(block, point)):
            sheet.paste(panel, (MARGIN + column * step, row * step))
    bar, foot = round(20 * PANEL / SIDE_UM), len(numbers) * step
    draw.line((8, foot + 9, 8 + bar, foot + 9), WHITE, 3)
    draw.text((bar + 16, foot), f"20 um; {'; '.join(PANELS)}", WHITE, font)
    return sheet


def write_sheets(folder: Path, name: str, per_sheet: int, blocks, points, numbers) -> list[Path]:
    """Write sheets of ``per_sheet`` candidates each, NAME-00.png and so on."""
    paths = []
    for k, start in enumerate(range(0, len(numbers), per_sheet)):
        part = slice(start, start + per_sheet)
        paths.append(folder / f"{name}-{k:02d}.png")
        draw_sheet(blocks[part], points[part], numbers[part]).save(paths[-1])
    return paths


def draw_examples(
    columns: Sequence[tuple[str, np.ndarray, Sequence[Sequence[int]]]], side: int = 100
) -> Image.Image:
    """Draw candidates for a page: xy, xz and yz, a column per block with its name above.

    Parameters
    ----------
    columns : sequence of name, (Z, Y, X) array, points (z y x, voxels)
    side : int
        Pixels of a panel.
    """
    step, rows = side + 2, max(len(points) for _, _, points in columns)
    width = 3 * step + 10
    sheet = Image.new("RGB", (width * len(columns) - 10, FOOT + rows * step), GREY)
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(size=14)
    for column, (name, block, points) in enumerate(columns):
        left = column * width
        draw.text((left + 4, 1), f"{name}: xy, xz, yz", WHITE, font)
        for row, point in enumerate(points):
            for k, panel in enumerate(draw_panels(block, point)[i] for i in (1, 3, 4)):
                sheet.paste(panel.resize((side, side)), (left + k * step, FOOT + row * step))
    return sheet.quantize(64, dither=Image.Dither.NONE)
