"""A second reading of c-Fos candidates: draw them, make sheets to read, and judge the labels by it.

    python benchmarks/second_reading.py bins --root FOLDER
    python benchmarks/second_reading.py sheets --root FOLDER SHEETS
    python benchmarks/second_reading.py store --root FOLDER ANSWERS AGAIN
    python benchmarks/second_reading.py merge [--root FOLDER]

FOLDER holds the blocks of cfos.yaml, and beside each labelled.xml all of cellfinder's candidates.

1. ``bins`` writes results/second_reading/bins.json: all candidates of a block in eight bins of
   equal counts, by the mean of two ranks, that of the released attention3d's probability and that
   of the local contrast. It is stored because models change, and the draw must not.
2. ``sheets`` draws `PER_BIN` candidates of each bin, at most `UNLABELLED` of them without a
   published label, and writes sheets in an order that mixes the blocks, first-00.png and so on,
   and sheets of `AGAIN` of them in another order, again-00.png and so on.
3. Somebody reads the sheets and writes two CSV files, number,reading,confidence: a reading is one
   of `READINGS`, a confidence 1 (a guess) to 3. ``store`` puts them into results/second_reading,
   without any number of a sheet.
4. ``merge`` joins the readings with the published labels and with the margins of crossval, which
   are of models that did not see the block, and writes results/second_reading.json. With --root,
   it also draws the picture of the page.
"""

import csv
import json
import sys
from pathlib import Path

import click
import numpy as np
import tifffile
from scipy.stats import rankdata

sys.path.insert(0, str(Path(__file__).resolve().parent))
from reading_figures import (
    BLOCKS,
    READINGS,
    STORED,
    find_disagreements,
    labels_table,
    make_figures,
    scores_table,
)
from reading_sheets import VOXEL_SIZE, draw_examples, write_sheets

from cfzoo.runtime import classify, read_artifact, read_points
from cfzoo.runtime.files import atomic_write
from cfzoo.zoo.evaluation import local_contrast

HERE = Path(__file__).parent
PICTURE = HERE / "results" / "second_reading" / "examples.png"
EXAMPLES = 3  # of a block in the picture
MODEL = "attention3d"
BINS = 8
PER_BIN = 20
UNLABELLED = 3  # of a bin, at most
AGAIN = 60  # candidates read twice
PER_SHEET = 10  # which viewers show without reducing them
SEED = 18


def read_zyx(root: Path, block: str, name: str) -> np.ndarray:
    """Return the points of a file of a block, (N, 3) int64, z y x, voxels."""
    return read_points(root / "delivr_cfos" / block / name).zyx.astype(np.int64)


def read_signal(root: Path, block: str) -> np.ndarray:
    """Return the volume of a block, (Z, Y, X) uint16."""
    return tifffile.imread(root / "delivr_cfos" / block / "signal.tif")


def find_bins(root: Path, block: str) -> str:
    """Return the bin of each candidate of a block, a digit each, in the order of the file."""
    zyx = read_zyx(root, block, "candidates.xml")
    signal = read_signal(root, block)
    probability = classify(
        zyx, signal, model=read_artifact(MODEL), voxel_size=VOXEL_SIZE
    ).probability
    contrast = local_contrast(signal, zyx, VOXEL_SIZE)
    # Ties are broken by the order of the file, so that bins have equal counts.
    rank = rankdata(rankdata(probability) + rankdata(contrast), method="ordinal") - 1
    return "".join(str(int(r) * BINS // len(zyx)) for r in rank)


def draw_candidates(bins: str, labelled: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Draw candidates of a block, an equal number from each bin.

    Parameters
    ----------
    bins : str
        The digit of each of N candidates.
    labelled : (N,) bool
        Whether the candidate has a published label.
    rng : numpy.random.Generator

    Returns
    -------
    (BINS * PER_BIN,) int64
        Rows of the candidates.
    """
    digits = np.array(list(bins), np.int64)
    drawn = []
    for number in range(BINS):
        rows = rng.permutation(np.flatnonzero(digits == number))
        other = np.cumsum(~labelled[rows])
        rows = rows[labelled[rows] | (other <= UNLABELLED)]
        drawn.append(rows[:PER_BIN])
    return np.concatenate(drawn)


def draw_all(root: Path) -> tuple[np.ndarray, np.ndarray]:
    """Draw the candidates of all blocks, in the order of the sheets.

    Returns
    -------
    (N,) int64
        Index into `BLOCKS`.
    (N, 3) int64, z y x, voxels
    """
    bins = json.loads((STORED / "bins.json").read_text(encoding="utf-8"))["bins"]
    rng = np.random.default_rng(SEED)
    block, points = [], []
    for number, name in enumerate(BLOCKS):
        zyx = read_zyx(root, name, "candidates.xml")
        in_labels = set(map(tuple, read_zyx(root, name, "labelled.xml").tolist()))
        labelled = np.array([tuple(point) in in_labels for point in zyx.tolist()])
        points.append(zyx[draw_candidates(bins[name], labelled, rng)])
        block.append(np.full(len(points[-1]), number))
    order = rng.permutation(sum(map(len, block)))
    return np.concatenate(block)[order], np.concatenate(points)[order]


def draw_again(count: int) -> np.ndarray:
    """Return the rows of `draw_all` that are read again, in their order on the new sheets."""
    return np.random.default_rng(SEED + 1).choice(count, AGAIN, replace=False)


@click.group()
def main():
    """Draw candidates, make sheets to read, and judge the labels by the readings."""


root_option = click.option("--root", required=True, type=click.Path(exists=True, path_type=Path))


@main.command("bins")
@root_option
def store_bins(root):
    """Store the bin of each candidate by today's model and contrast."""
    document = {
        "model": f"{MODEL} {read_artifact(MODEL).card.version}",
        "bins": {block: find_bins(root, block) for block in BLOCKS},
    }
    with atomic_write(STORED / "bins.json") as file:
        file.write(json.dumps(document, indent=1) + "\n")


@main.command("sheets")
@root_option
@click.argument("folder", type=click.Path(path_type=Path))
def make_sheets(root, folder):
    """Write the sheets to read into FOLDER."""
    block, points = draw_all(root)
    volumes = [read_signal(root, name) for name in BLOCKS]
    folder.mkdir(parents=True, exist_ok=True)
    for name, rows in (("first", np.arange(len(block))), ("again", draw_again(len(block)))):
        paths = write_sheets(
            folder,
            name,
            PER_SHEET,
            [volumes[number] for number in block[rows]],
            points[rows],
            range(1, len(rows) + 1),
        )
        click.echo(f"{len(paths)} sheets {name}-*.png")


def read_answers(path: Path, count: int) -> list[tuple[str, int]]:
    """Return the reading and confidence of each number of the sheets.

    Raises
    ------
    click.ClickException
        The file does not answer each number once, with words of `READINGS` and 1 to 3.
    """
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    if [row.get("number") for row in rows] != [str(i) for i in range(1, count + 1)]:
        raise click.ClickException(f"{path} has {len(rows)} lines; expected numbers 1 to {count}.")
    for row in rows:
        if row.get("reading") not in READINGS or row.get("confidence") not in ("1", "2", "3"):
            raise click.ClickException(
                f"{path} answers {row}; expected a reading of {', '.join(READINGS)} and a "
                "confidence of 1, 2 or 3."
            )
    return [(row["reading"], int(row["confidence"])) for row in rows]


def write_readings(path: Path, header: tuple[str, ...], rows: list[tuple]) -> None:
    """Write readings in the order of their coordinates, which hides that of the sheets."""
    with atomic_write(path) as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(sorted(rows))


@main.command("store")
@root_option
@click.argument("answers", type=click.Path(exists=True, path_type=Path))
@click.argument("again", type=click.Path(exists=True, path_type=Path))
def store_readings(root, answers, again):
    """Store the ANSWERS to the first sheets and to those that show some of them AGAIN."""
    block, points = draw_all(root)
    read = read_answers(answers, len(block))
    for number, name in enumerate(BLOCKS):
        rows = [(*points[i].tolist(), *read[i]) for i in np.flatnonzero(block == number)]
        write_readings(STORED / f"{name}.csv", ("z", "y", "x", "reading", "confidence"), rows)
    order = draw_again(len(block))
    second = read_answers(again, len(order))
    rows = [
        (int(BLOCKS[block[i]]), *points[i].tolist(), *answer)
        for i, answer in zip(order, second, strict=True)
    ]
    header = ("block", "z", "y", "x", "reading", "confidence")
    write_readings(STORED / "again.csv", header, rows)


@main.command("merge")
@click.option("--root", type=click.Path(exists=True, path_type=Path), help="Draw the picture too.")
def merge_readings(root):
    """Store the figures of the readings beside labels and held-out scores."""
    figures = make_figures()
    with atomic_write(HERE / "results" / "second_reading.json") as file:
        file.write(json.dumps(figures, indent=1) + "\n")
    click.echo(f"{labels_table(figures)}\n{scores_table(figures)}\n{figures['again']}")
    if root:
        rng = np.random.default_rng(SEED)
        columns = []
        for name in BLOCKS:
            points = rng.permutation(find_disagreements(name))[:EXAMPLES]
            columns.append((name, read_signal(root, name), points))
        draw_examples(columns).save(PICTURE, optimize=True)


if __name__ == "__main__":
    main()
