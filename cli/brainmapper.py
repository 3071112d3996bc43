"""``cfzoo brainmapper``: run the installed brainmapper with artifacts as its models."""

import click


@click.command(
    # No -h, which brainmapper has, and which click would read into -s/home.
    context_settings={"ignore_unknown_options": True, "help_option_names": ["--help"]},
    options_metavar="",
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED, metavar="[OPTIONS OF BRAINMAPPER]")
def command(arguments):
    r"""Run the installed brainmapper; its --trained-model may then be an artifact.

    That is an .onnx file, an ensemble (.json), a bundled name such as attention3d, or an address
    with a checksum. All options are brainmapper's, and -h lists them. Its log says which model,
    with its version and SHA-256, classified the candidates.

    \b
    cfzoo brainmapper -s SIGNAL -b BACKGROUND -o OUTPUT -v 5 2 2 \
    --orientation asr --trained-model attention3d
    """
    from ..runtime.cellfinder import run_brainmapper

    run_brainmapper(arguments)
