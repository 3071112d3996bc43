"""The command line: one file a verb, each a thin layer over one function.

Verbs are imported when they are called, so that ``cfzoo --help`` and ``cfzoo classify`` never
wait for torch.
"""

import signal
import sys
from importlib import import_module

import click

from .. import __version__

# verb -> (module, one line for --help)
VERBS = {
    "classify": ("classify", "Classify the candidates of a volume."),
    "sample": ("sample", "Write a small synthetic brain crop with candidates, to try things on."),
    "inspect": ("inspect", "Print an artifact's card; --test runs its test vector."),
    "doctor": ("doctor", "Show what is installed and what really loads."),
    "cubes": ("cubes", "Write training cubes of a volume's labelled points, as cellfinder does."),
    "train": ("train", "Train a model on your labels, or fine-tune one (needs torch)."),
    "compare": ("compare", "Models side by side on your labels, as a report."),
    "ensemble": ("ensemble", "Several models to one, weighed by your labels."),
    "calibrate": ("calibrate", "Fit an artifact's probabilities and threshold to your labels."),
    "explain": ("explain", "Show what the answers to some points are made of."),
    "prototypes": ("prototypes", "Draw what a pipnet3d looks for and how it scores (needs torch)."),
    "export": ("export", "Export a model to an ONNX artifact (needs torch), or one to a hub."),
    "import": ("import_weights", "Turn cellfinder's weights into an artifact (needs torch)."),
}


class _Verbs(click.Group):
    def list_commands(self, ctx):
        return list(VERBS)

    def get_command(self, ctx, cmd_name):
        if cmd_name not in VERBS:
            return None
        command = import_module(f".{VERBS[cmd_name][0]}", __name__).command
        command.name = cmd_name  # for the reference; the functions are all called `command`
        return command

    def format_commands(self, ctx, formatter):
        # From the table: asking each command for its help would import them all.
        with formatter.section("Commands"):
            formatter.write_dl([(verb, line) for verb, (_, line) in VERBS.items()])


@click.group(cls=_Verbs, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="cfzoo")
def group():
    """Classify whole-brain cell candidates with small, self-describing ONNX artifacts."""


def main(args: list[str] | None = None) -> None:
    """Entry point: run a verb and turn what it raises into a line and an exit code.

    0 done, 2 bad input or usage, 3 artifact rejected, 4 environment, 130 and 143 interrupted.
    """
    signal.signal(signal.SIGTERM, _terminate)
    try:
        group(args, prog_name="cfzoo", standalone_mode=False)
    except (Exception, KeyboardInterrupt, _Terminated) as error:
        sys.exit(_report(error))
    sys.exit(0)


def _report(error: BaseException) -> int:
    """Say in one line what is wrong; the exit code. What is not foreseen is raised again."""
    # Here, since the runtime loads numpy and `cfzoo --help` need not wait for it.
    from ..runtime.errors import CfzooError

    if isinstance(error, click.exceptions.Exit):
        return error.exit_code
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        click.echo(error.format_message())
        return 2
    if isinstance(error, click.UsageError):
        verb = error.ctx.command_path if error.ctx else "cfzoo"
        _say(f"{error.format_message()} See {verb} --help.")
        return 2
    if isinstance(error, CfzooError):
        _say(str(error))
        return error.exit_code
    if isinstance(error, _Terminated):
        _say("terminated. Run it again.")
        return 143
    if isinstance(error, (click.Abort, KeyboardInterrupt)):
        _say("interrupted. Run it again.")
        return 130
    if isinstance(error, MemoryError):
        _say("memory ran out. Give a smaller --batch-size, or use a computer with more.")
        return 4
    if isinstance(error, OSError):
        _say(f"{error.strerror or error}: {error.filename or 'a file'}.")
        return 4
    raise error


def _say(message: str) -> None:
    click.echo(f"Error: {' '.join(message.split())}", err=True)


class _Terminated(BaseException):
    """SIGTERM, which unwinds like Ctrl-C, so that temporary files are removed."""


def _terminate(signum, frame):
    raise _Terminated
