"""``cfzoo export``: a model of the zoo -> one sealed ONNX artifact."""

import click

from ..runtime.errors import EnvironmentProblem, InputError


@click.command()
@click.argument("name", required=False)
@click.option(
    "--weights",
    metavar="FILE",
    help="X.safetensors, with its card X.json beside it [the released weights of NAME].",
)
@click.option("--ensemble", metavar="FILE", help="In place of NAME: fuse its members into one.")
@click.option("-o", "--output", default=".", show_default=True, metavar="DIR")
@click.option("--overwrite", is_flag=True, help="Replace an artifact that is in DIR.")
def command(name, weights, ensemble, output, overwrite):
    """Export the model NAME of the zoo to DIR/NAME-VERSION.onnx."""
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
