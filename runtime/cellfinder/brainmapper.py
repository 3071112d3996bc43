"""Run the installed brainmapper with artifacts allowed as its ``--trained-model``."""

import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from ..artifact import find_model, read_model
from ..errors import EnvironmentProblem
from .patch import enabled, find_artifact

_PACKAGE = "brainglobe_workflows.brainmapper"


def run_brainmapper(arguments: Sequence[str]) -> None:
    """Run brainmapper, which then accepts artifacts, ensembles and bundled names as models.

    The model is read before brainmapper begins, since it uses it only after hours of registration
    and detection.

    Parameters
    ----------
    arguments : sequence of str
        Command line of brainmapper, without its name.

    Raises
    ------
    InputError, ArtifactError
        The model does not exist, or is damaged or invalid.
    EnvironmentProblem
        brainmapper is not installed.
    SystemExit
        brainmapper refuses the arguments, or only prints its help or version.
    """
    try:
        run = import_module(f"{_PACKAGE}.main").main
        make_parser = import_module(f"{_PACKAGE}.parser").brainmapper_parser
    except ImportError as error:
        raise EnvironmentProblem(f"{error}: pip install 'cfzoo[brainmapper]'.") from None
    command_line = sys.argv
    sys.argv = ["cfzoo brainmapper", *arguments]  # brainmapper reads it, and its log quotes it
    try:
        options = make_parser().parse_args()
        if not options.no_classification:
            _check_model(options.trained_model)
        with enabled():
            run()
    finally:
        sys.argv = command_line


def _check_model(model: str | None) -> None:
    """Check that the model can be used; an artifact is read, a file of keras must exist."""
    if model is None:
        return
    path = find_artifact(model)
    if path is not None:
        read_model(path)
    elif not Path(model).exists():
        find_model(model)  # raises, and lists the bundled names
