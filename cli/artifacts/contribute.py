"""``cfzoo contribute``: check a model against the zoo's bar, and write the folder to propose."""

import click

from ...export.contribution import check_contribution, write_contribution
from ..terminal import echo, escape


@click.command()
@click.argument("model")
@click.option("-o", "--output", metavar="DIR", help="Folder to write [only check].")
@click.option("--overwrite", is_flag=True, help="Replace files in DIR.")
def command(model, output, overwrite):
    """Check MODEL, a file signed by your key, against the zoo's bar; exit 3 if it falls short.

    The bar: a card that says where the data are from and how they were split, an open licence,
    figures on brains that the training did not see, a file of at most 8 MB, a test vector that it
    gives, and a signature. DIR then has the artifact, its signature and its page.
    """
    contribution = check_contribution(model)
    card = contribution.artifact.card
    aucs = ", ".join(f"{name} {auc:.3f}" for name, auc in contribution.held_out.items())
    echo(f"{card.name} {card.version} passes: AUC {aucs}; key {contribution.signature.key_id}")
    for note in contribution.notes:
        echo(f"Note: {note}")
    if output:
        echo(escape(write_contribution(contribution, output, overwrite)))
