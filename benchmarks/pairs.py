"""Make the two-channel training data of benchmarks/two_channels.py.

    python benchmarks/pairs.py --root FOLDER -o PAIRS [--synthetic 12]

FOLDER holds the blocks of stains.yaml. PAIRS/real gets a pair of each block, with a made
background and debris in both channels; PAIRS/synthetic drawn volumes, and PAIRS/synthetic-alone
the same ones of the signal alone. PAIRS needs 32 MB for a block and 18 MB for a drawn volume, and
must not lie in the repository. Takes two minutes of one core. The released filters3d-2ch is from

    python benchmarks/pairs.py --root FOLDER -o PAIRS --most 250
    cfzoo train filters3d PAIRS/real/data.yaml PAIRS/synthetic/data.yaml --seed 0 -o DIR
        --recipe zoo/recipes/filters3d-2ch.yaml --threshold-by fpr=0.02
"""

from pathlib import Path

import click
import numpy as np

from cfzoo.runtime.points import CELL, NO_CELL, read_points
from cfzoo.runtime.results import Results, write_xml
from cfzoo.zoo.data import read_data
from cfzoo.zoo.data.synthetic import write_pairs, write_synthetic

HERE = Path(__file__).parent
FIRST_SEED = 1000  # of the synthetic volumes
SHAPE = (60, 220, 220)


def thin_points(data_file: Path, most: int) -> None:
    """Leave at most so many labelled candidates of each volume of a data file, drawn at random."""
    for number, source in enumerate(read_data([data_file])):
        points = read_points(source.points, source.points_from)
        rows = np.flatnonzero(np.isin(points.types, (CELL, NO_CELL)))
        rows = np.sort(np.random.default_rng(number).permutation(rows)[:most])
        ones, zeros = np.ones(len(rows), np.float32), np.zeros(len(rows), np.uint8)
        chosen = Results(points.zyx[rows], points.types[rows].astype(np.int8), ones, zeros)
        write_xml(source.points, chosen)


@click.command()
@click.option("--root", required=True, type=click.Path(exists=True, path_type=Path))
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path))
@click.option("--synthetic", default=12, show_default=True, help="Number of drawn volumes.")
@click.option("--seed", default=0, show_default=True, help="Of the made backgrounds.")
@click.option("--most", type=int, help="Candidates of a volume, so that all fit into memory.")
@click.option("--overwrite", is_flag=True, help="Replace those that are there.")
def main(root, output, synthetic, seed, most, overwrite):
    """Write both folders."""
    if output.resolve().is_relative_to(HERE.parent.resolve()):
        raise click.UsageError("Data stay out of the repository: give a folder outside of it.")
    output.mkdir(parents=True, exist_ok=True)
    sources = read_data([HERE / "stains.yaml"], root)
    write_pairs(output / "real", sources, seed, overwrite, say=click.echo)
    if synthetic:
        seeds = range(FIRST_SEED, FIRST_SEED + synthetic)
        for name, channels in (("synthetic", 2), ("synthetic-alone", 1)):
            write_synthetic(output / name, seeds, channels, SHAPE, overwrite)
    if most is not None:
        for data_file in sorted(output.glob("*/data.yaml")):
            thin_points(data_file, most)


if __name__ == "__main__":
    main()
