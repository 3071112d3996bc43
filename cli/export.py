"""``cfzoo export``: a model of the zoo -> one sealed ONNX artifact, or an artifact -> a hub."""

import click

from ..runtime.artifact import read_model, show_progress
from ..runtime.errors import EnvironmentProblem, InputError


@click.command()
@click.argument("name", required=False)
@click.option(
    "--weights",
    metavar="FILE",
    help="X.safetensors, with its card X.json beside it [the released weights of NAME].",
)
@click.option("--ensemble", metavar="FILE", help="In place of NAME: fuse its members into one.")
@click.option(
    "--bioimageio",
    metavar="DIR",
    help="Write the artifact NAME as a model of the BioImage.IO zoo, into DIR or DIR.zip.",
)
@click.option(
    "--huggingface",
    metavar="DIR",
    help="Write the artifact NAME as a repository of the Hugging Face Hub, into DIR or DIR.zip.",
)
@click.option(
    "--author",
    "authors",
    multiple=True,
    metavar="WHO",
    help="Of the model, for BioImage.IO; repeatable [of bundled ones: cfzoo's developers].",
)
@click.option("-o", "--output", default=".", show_default=True, metavar="DIR")
@click.option("--overwrite", is_flag=True, help="Replace an artifact or other files in DIR.")
def command(name, weights, ensemble, bioimageio, huggingface, authors, output, overwrite):
    """Export the model NAME of the zoo to DIR/NAME-VERSION.onnx (needs torch).

    With --bioimageio or --huggingface NAME is an artifact, bundled or your own, and goes there as
    it is (needs no torch).
    """
    if bioimageio or huggingface:
        if not name or weights or ensemble:
            raise InputError("Expected NAME, a bundled artifact or a file, to go to a hub.")
        _to_hubs(name, bioimageio, huggingface, authors, overwrite)
        return
    if authors:
        raise InputError("--author is for --bioimageio.")
    if bool(name) == bool(ensemble) or (ensemble and weights):
        raise InputError("Expected NAME, with or without --weights, or --ensemble alone.")
    try:
        from ..export.release import export_ensemble, export_release
    except ImportError as error:
        raise EnvironmentProblem(f"{error}: pip install 'cfzoo[export]'.") from None
    if ensemble:
        path = export_ensemble(ensemble, output, overwrite)
    else:
        path = export_release(name, output, weights, overwrite)
    click.echo(path)


def _to_hubs(name, bioimageio, huggingface, authors, overwrite) -> None:
    try:
        from ..export.hub import export_bioimageio, export_huggingface
    except ImportError as error:  # of the light ones; see there for bioimageio.core
        raise EnvironmentProblem(f"{error}: pip install 'cfzoo[publish]'.") from None
    show_progress.set(True)
    artifact = read_model(name).only_artifact
    if artifact is None:
        raise InputError(f"{name} is an ensemble: fuse it with --ensemble, and publish that.")
    if bioimageio:
        click.echo(export_bioimageio(artifact, bioimageio, authors, overwrite))
    if huggingface:
        click.echo(export_huggingface(artifact, huggingface, overwrite))
