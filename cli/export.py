"""``cfzoo export``: export a model of the zoo to an ONNX artifact, or an artifact to a hub."""

import click

from ..runtime.artifact import read_model
from ..runtime.errors import InputError
from . import raise_missing_package
from .terminal import echo, escape


@click.command()
@click.argument("name", required=False)
@click.option(
    "--weights",
    metavar="FILE",
    help="X.safetensors, next to its card X.json [the released weights of NAME].",
)
@click.option(
    "--ensemble",
    metavar="FILE",
    help="Fuse the members of an ensemble into one artifact, in place of NAME.",
)
@click.option(
    "--bioimageio",
    metavar="DIR",
    help="Write the artifact NAME as a model of the BioImage.IO zoo, to DIR or DIR.zip.",
)
@click.option(
    "--huggingface",
    metavar="DIR",
    help="Write the artifact NAME as a repository of the Hugging Face Hub, to DIR or DIR.zip.",
)
@click.option(
    "--author",
    "authors",
    multiple=True,
    metavar="WHO",
    help="Author of the model, for BioImage.IO; repeatable [bundled models: cfzoo's developers].",
)
@click.option("-o", "--output", default=".", show_default=True, metavar="DIR")
@click.option("--overwrite", is_flag=True, help="Replace the artifact or other files in DIR.")
def command(name, weights, ensemble, bioimageio, huggingface, authors, output, overwrite):
    """Export the model NAME of the zoo to DIR/NAME-VERSION.onnx (needs torch).

    With --bioimageio or --huggingface, NAME is an artifact, bundled or your own, that is published
    unchanged (needs no torch).
    """
    if bioimageio or huggingface:
        if not name or weights or ensemble:
            raise InputError("Expected NAME, a bundled artifact or a file, to publish on a hub.")
        _publish(name, bioimageio, huggingface, authors, overwrite)
        return
    if authors:
        raise InputError("--author is only for --bioimageio.")
    if bool(name) == bool(ensemble) or (ensemble and weights):
        raise InputError("Expected NAME, with or without --weights, or --ensemble alone.")
    from ..export.release import export_ensemble, export_release

    if ensemble:
        path = export_ensemble(ensemble, output, overwrite)
    else:
        path = export_release(name, output, weights, overwrite)
    echo(escape(path))


def _publish(name, bioimageio, huggingface, authors, overwrite) -> None:
    try:
        from ..export.hub import export_bioimageio, export_huggingface
    except ImportError as error:
        raise_missing_package(error, "publish")
    artifact = read_model(name).only_artifact
    if artifact is None:
        raise InputError(
            f"{name} is an ensemble: fuse it with --ensemble and publish the artifact."
        )
    if bioimageio:
        echo(escape(export_bioimageio(artifact, bioimageio, authors, overwrite)))
    if huggingface:
        echo(escape(export_huggingface(artifact, huggingface, overwrite)))
