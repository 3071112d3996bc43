"""``cfzoo export``: export a model of the zoo to an ONNX artifact, or an artifact to a hub."""

import click

from ..runtime.artifact import read_model
from ..runtime.errors import InputError
from . import options, raise_missing_package
from .terminal import echo, escape


@click.command()
@click.argument("name", required=False)
@click.option(
    "--weights",
    metavar="FILE",
    help="Build the model of the architecture NAME: X.safetensors, next to its card X.json.",
)
@click.option(
    "--rebuild",
    is_flag=True,
    help="Build the released model again from its weights, and say whether the bytes are equal.",
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
@options.require_signature
def command(name, weights, rebuild, ensemble, bioimageio, huggingface, authors, output, overwrite):
    """Write the released model NAME to DIR/NAME-VERSION.onnx, the bytes that come with cfzoo.

    With --weights, --rebuild or --ensemble, a model is built instead, which needs the export extra.
    With --bioimageio or --huggingface, NAME is an artifact, bundled or your own, that is published
    unchanged (publish extra).
    """
    if bioimageio or huggingface:
        if not name or weights or ensemble or rebuild:
            raise InputError("Expected NAME, a bundled artifact or a file, to publish on a hub.")
        _publish(name, bioimageio, huggingface, authors, overwrite)
        return
    if authors:
        raise InputError("--author is only for --bioimageio.")
    if bool(name) == bool(ensemble) or sum(map(bool, (weights, rebuild, ensemble))) > 1:
        raise InputError(
            "Expected NAME, with or without one of --weights and --rebuild, or --ensemble alone."
        )
    for line in _write(name, weights, rebuild, ensemble, output, overwrite):
        echo(escape(line))


def _write(name, weights, rebuild, ensemble, output, overwrite) -> tuple:
    """Write the artifact; return the lines to print, of which the first is its path."""
    if rebuild:
        from ..export.rebuild import rebuild_release

        return rebuild_release(name, output, overwrite)
    if weights or ensemble:
        from ..export.release import export_ensemble, export_release

        if ensemble:
            return (export_ensemble(ensemble, output, overwrite),)
        return (export_release(name, output, weights, overwrite),)
    from ..export.released import export_released

    return (export_released(name, output, overwrite),)


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
