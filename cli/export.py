"""``cfzoo export``: a model of the zoo -> one sealed ONNX artifact."""

import click

from ..runtime.errors import EnvironmentProblem


@click.command()
@click.argument("name")
@click.option(
    "--weights",
    metavar="FILE",
    help="X.safetensors, with its card X.json beside it [the released weights of NAME].",
)
@click.option("-o", "--output", default=".", show_default=True, metavar="DIR")
@click.option("--overwrite", is_flag=True, help="Replace an artifact that is in DIR.")
def command(name, weights, output, overwrite):
    """Export the model NAME of the zoo to DIR/NAME-VERSION.onnx."""
    try:
        from ..export.release import export_release
    except ImportError as error:
        raise EnvironmentProblem(f"{error}: pip install 'cfzoo[export]'.") from None
    path = export_release(name, output, weights, overwrite)
    click.echo(path)
