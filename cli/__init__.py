"""The command line: one file per verb, each a thin layer over one function.

A verb is imported only when it is called, so that ``cfzoo --help`` and ``cfzoo classify`` never
wait for torch.
"""

import os
import signal
import sys
from importlib import import_module
from typing import NamedTuple, NoReturn

import click

from .. import __version__
from .terminal import (
    Interruption,
    RunLog,
    echo,
    handle_signals,
    ignore_signals,
    output_error,
    safe_streams,
)

_STOPPED = {
    signal.SIGINT: "interrupted. Run it again.",
    signal.SIGTERM: "terminated. Run it again.",
    getattr(signal, "SIGHUP", 0): "the terminal was closed. Run it again.",
}


class Verb(NamedTuple):
    """A row of the table of verbs.

    Attributes
    ----------
    module : str
        File in this folder or one of its rooms.
    summary : str
        Line for ``cfzoo --help``.
    extra : str
        Optional dependencies that the verb needs: what to ``pip install`` if an import fails.
    prints : bool
        Whether what it prints is all that it does, so that it fails if that cannot be written.
    """

    module: str
    summary: str
    extra: str = ""
    prints: bool = False


VERBS = {
    "classify": Verb("classify", "Classify the candidates of a volume."),
    "gather": Verb("cohorts.gather", "Join the parts that shards of a classification computed."),
    "cohort": Verb("cohorts.cohort", "Classify many brains, here or on many machines."),
    "brainmapper": Verb("brainmapper", "Run brainmapper, which then accepts artifacts as models."),
    "label": Verb("labels.label", "Write a page on which to label candidates in a browser."),
    "adapt": Verb("labels.adapt", "Adapt a model to a few labels of your own, without torch."),
    "page": Verb("page", "Write a page that classifies candidates in a browser."),
    "sample": Verb("sample", "Write a small synthetic brain crop with candidates to try."),
    "models": Verb(
        "artifacts.models", "List the bundled and cached models, or one's versions.", prints=True
    ),
    "sign": Verb("artifacts.sign", "Sign artifacts with a key, or make one."),
    "verify": Verb("artifacts.verify", "Check who signed a model; trust a lab's key.", prints=True),
    "contribute": Verb(
        "artifacts.contribute", "Check a model against the zoo's bar, to propose it."
    ),
    "inspect": Verb(
        "inspect", "Print an artifact's card; --test runs its test vector.", prints=True
    ),
    "doctor": Verb("doctor", "Show what is installed and whether it loads.", prints=True),
    "cubes": Verb("cubes", "Write training cubes of labelled points, as cellfinder does.", "zoo"),
    "train": Verb("train", "Train or fine-tune a model on your labels (needs torch).", "export"),
    "compare": Verb("compare", "Compare models on your labels, in a report.", "analysis"),
    "ensemble": Verb("ensemble", "Combine models, weighted on your labels.", "analysis"),
    "calibrate": Verb(
        "calibrate",
        "Fit an artifact's probabilities and threshold to your labels.",
        "analysis,export",
    ),
    "explain": Verb("reasons.explain", "Show why a model classified points as it did.", "analysis"),
    "prototypes": Verb(
        "reasons.prototypes",
        "Draw the prototypes of a pipnet3d, print its scores (needs torch).",
        "zoo",
    ),
    "export": Verb(
        "export", "Write a released model, build one of weights, or publish one.", "export"
    ),
    "import": Verb(
        "import_weights", "Convert cellfinder's weights to an artifact (needs torch).", "export"
    ),
}


class Invocation(NamedTuple):
    """A call of `main`.

    Attributes
    ----------
    words : list of str
        The command line, without ``cfzoo``.
    ends_process : bool
        Whether the process ends with it, as it does but in tests.
    """

    words: list[str]
    ends_process: bool


class _Verbs(click.Group):
    def list_commands(self, ctx):
        return list(VERBS)

    def get_command(self, ctx, cmd_name):
        if cmd_name not in VERBS:
            return None
        command = import_module(f".{VERBS[cmd_name].module}", __name__).command
        command.name = cmd_name  # for the reference; the functions are all called `command`
        return command

    def invoke(self, ctx):
        # Imported here, since the runtime loads numpy and `cfzoo --help` need not wait for it.
        from ..runtime.artifact import show_progress
        from ..runtime.claim import hold_claims
        from ..runtime.trust import use_policy

        if ctx.obj is not None and ctx.obj.ends_process:
            hold_claims()
        show_progress.set(True)  # --quiet, where a verb has it, turns it off again
        use_policy.set("")  # and --require-signature, the environment's
        try:
            return super().invoke(ctx)
        except ImportError as error:
            extra = VERBS[ctx.invoked_subcommand].extra if ctx.invoked_subcommand else ""
            if not extra:
                raise
            raise_missing_package(error, extra)

    def format_commands(self, ctx, formatter):
        # From the table: asking each command for its help would import them all.
        with formatter.section("Commands"):
            formatter.write_dl([(name, verb.summary) for name, verb in VERBS.items()])


def raise_missing_package(error: ImportError, extra: str) -> NoReturn:
    """Name the extra that a failed import belongs to; raise the error itself if it is our bug.

    Raises
    ------
    EnvironmentProblem
        The import was of another package.
    ImportError
        The import was of a module or name of cfzoo.
    """
    from ..runtime.errors import EnvironmentProblem

    if (error.name or "").partition(".")[0] == __name__.partition(".")[0]:
        raise error
    raise EnvironmentProblem(f"{error}: pip install 'cfzoo[{extra}]'.") from None


@click.group(cls=_Verbs, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="cfzoo")
def group():
    """Classify whole-brain cell candidates with small, self-describing ONNX artifacts."""


def main(args: list[str] | None = None) -> None:
    """Run a verb, and turn an exception into one line and an exit code.

    0 success, 2 bad input or usage, 3 artifact rejected, 4 environment, 129, 130 and 143
    interrupted.
    """
    words = sys.argv[1:] if args is None else args
    invocation = Invocation(words, ends_process=args is None)
    with safe_streams(), handle_signals(_end) as signals:
        try:
            code = _run(invocation, signals)
        except (KeyboardInterrupt, Interruption) as error:
            code = _report(Interruption(signals[0]) if signals else error)
        RunLog.close(code)
        if invocation.ends_process:
            _leave(code, was_stopped=bool(signals))
    sys.exit(code)


def _run(invocation: Invocation, signals: list[int]) -> int:
    """Run a verb and return its exit code; from then on, no signal can change how it ended."""
    try:
        group(invocation.words, prog_name="cfzoo", standalone_mode=False, obj=invocation)
        code = _check_printed(invocation.words)
    except Exception as error:
        if signals:  # a library that was interrupted raised an error of its own
            raise Interruption(signals[0]) from None
        code = _report(error)
    ignore_signals()
    return code


def _leave(code: int, was_stopped: bool) -> None:
    """End the process at once if it has finished a claim; its libraries take their time to end."""
    claim = sys.modules.get(f"{__name__.partition('.')[0]}.runtime.claim")
    if claim is not None and claim.release_claims(was_stopped):
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        os._exit(code)


def _check_printed(words: list[str]) -> int:
    """Return 4 if what was asked for could not be printed; results in files are not lost."""
    error = output_error()
    verb = VERBS.get(words[0]) if words else None
    if error is None or verb is None or not verb.prints:
        return 0
    reason = getattr(error, "strerror", None) or error
    _print_error(f"Standard output cannot be written ({reason}). Choose another disk.")
    return 4


def _report(error: BaseException) -> int:
    """Print an expected error as one line and return its exit code; raise any other again."""
    from ..runtime.errors import CfzooError

    if isinstance(error, click.exceptions.Exit):
        return error.exit_code
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        echo(error.format_message())
        return 2
    if isinstance(error, click.UsageError):
        verb = error.ctx.command_path if error.ctx else "cfzoo"
        _print_error(f"{error.format_message()} See {verb} --help.")
        return 2
    if isinstance(error, CfzooError):
        _print_error(str(error))
        return error.exit_code
    if isinstance(error, Interruption):
        _print_error(_STOPPED.get(error.number, _STOPPED[signal.SIGTERM]))
        return 128 + error.number
    if isinstance(error, (click.Abort, KeyboardInterrupt)):
        _print_error(_STOPPED[signal.SIGINT])
        return 130
    if isinstance(error, MemoryError):
        _print_error("memory ran out. Use a smaller --batch-size, or a computer with more memory.")
        return 4
    if isinstance(error, BrokenPipeError):  # `cfzoo --help | head`
        return 0
    if isinstance(error, OSError):
        _print_error(f"{error.strerror or error}: {error.filename or 'a file'}.")
        return 4
    RunLog.write(f"{type(error).__name__}: {error}")
    raise error


def _print_error(message: str) -> None:
    RunLog.write(f"Error: {message}")
    echo(f"Error: {' '.join(message.split())}", err=True)


def _end(number: int) -> None:
    """Clean up in place of a run that a signal does not stop."""
    from ..runtime.claim import abandon_claims

    _print_error(_STOPPED[number])
    RunLog.close(128 + number)
    abandon_claims()
