"""Make the two-channel training data of benchmarks/two_channels.py.

    python benchmarks/pairs.py --root FOLDER -o PAIRS [--synthetic 12]

FOLDER holds the blocks of stains.yaml. PAIRS/real gets a pair of each block, with a made
background and debris in both channels; PAIRS/synthetic drawn volumes, and PAIRS/synthetic-alone
the same ones of the signal alone. PAIRS needs 32 MB for a block and 18 MB for a drawn volume, and
must not lie in the repository. Takes two minutes of one core.
"""

from pathlib import Path

import click

from cfzoo.zoo.data import read_data
from cfzoo.zoo.data.synthetic import write_pairs, write_synthetic

HERE = Path(__file__).parent
FIRST_SEED = 1000  # of the synthetic volumes
SHAPE = (60, 220, 220)


@click.command()
@click.option("--root", required=True, type=click.Path(exists=True, path_type=Path))
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path))
@click.option("--synthetic", default=12, show_default=True, help="Number of drawn volumes.")
@click.option("--seed", default=0, show_default=True, help="Of the made backgrounds.")
@click.option("--overwrite", is_flag=True, help="Replace those that are there.")
def main(root, output, synthetic, seed, overwrite):
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


if __name__ == "__main__":
    main()
