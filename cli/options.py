"""Options that several verbs share, and the objects that hold their values."""

import functools
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, fields
from typing import Any

import click

from ..runtime.artifact import show_progress
from ..runtime.options import EDGES, OUTSIDE
from ..runtime.session import BACKENDS, DEVICES
from ..runtime.trust import use_policy
from ..runtime.volume import Volume, open_volume
from .terminal import RunLog


@dataclass(frozen=True)
class BrainOptions:
    """Background, channels and voxel size of a brain.

    Attributes
    ----------
    background : str, optional
        File of the background channel.
    channel, background_channel : int, optional
        Channels to read from the two files.
    voxel_size : (z, y, x), um, optional
        Read from the metadata of the volume if None.
    """

    background: str | None
    channel: int | None
    background_channel: int | None
    voxel_size: tuple[float, float, float] | None

    @contextmanager
    def open(self, volume: str) -> Iterator[list[Volume]]:
        """Open the signal, and the background if there is one."""
        with ExitStack() as stack:
            volumes = [stack.enter_context(open_volume(volume, channel=self.channel))]
            if self.background:
                background = open_volume(self.background, channel=self.background_channel)
                volumes.append(stack.enter_context(background))
            yield volumes


def gather(name: str, kind: type) -> Callable[[Callable], Callable]:
    """Pass the values of the options that are fields of a dataclass as one object.

    Parameters
    ----------
    name : str
        Parameter of the command that receives the object.
    kind : type
        The dataclass.
    """
    names = {field.name for field in fields(kind)}

    def decorate(command: Callable) -> Callable:
        @functools.wraps(command)  # keeps click's list of options
        def gathered(**values: Any) -> Any:
            options = kind(**{key: values.pop(key) for key in names & values.keys()})
            return command(**values, **{name: options})

        return gathered

    return decorate


def _set_progress(ctx: click.Context, parameter: click.Parameter, quiet: bool) -> bool:
    show_progress.set(not quiet)
    return quiet


def _open_log(ctx: click.Context, parameter: click.Parameter, path: str | None) -> None:
    if path and not ctx.resilient_parsing:
        invocation = ctx.find_root().obj  # None if a program calls the group
        RunLog.open(path, invocation.words if invocation else [])


def _require_signature(ctx: click.Context, parameter: click.Parameter, required: bool) -> bool:
    if required:
        use_policy.set("require")
    return required


require_signature = click.option(
    "--require-signature",
    is_flag=True,
    help="Refuse a model that is not signed by a key that you trust; see `cfzoo verify`.",
    callback=_require_signature,
    expose_value=False,
    is_eager=True,
)
background = click.option(
    "--background", metavar="VOLUME", help="Background channel, of the same shape as VOLUME."
)
points_from = click.option(
    "--points-from",
    metavar="WHAT",
    help="cell-counter: POINTS is an XML of Fiji's Cell Counter; cell-counter:channels=N for a "
    "stack of N channels, and cell=A,no-cell=B if its types are labels. cellfinder: as it is.",
)


class Length(click.ParamType):
    """One of the three numbers of a voxel size, um."""

    name = "length"

    def convert(self, value, param, ctx):
        try:
            return float(value)
        except ValueError:
            self.fail(
                f"{value!r} is no number; expected three, z y x, in um, with spaces between them, "
                "such as 5 2 2.",
                param,
                ctx,
            )


voxel_size = click.option(
    "--voxel-size",
    nargs=3,
    type=Length(),
    metavar="Z Y X",
    help="Voxel size in um [from the metadata of VOLUME].",
    callback=lambda ctx, parameter, size: size or None,  # click gives () for no value
)
channel = click.option("--channel", type=int, help="Channel of VOLUME, if it has several.")
background_channel = click.option(
    "--background-channel", type=int, help="Channel of the background file, if it has several."
)
threshold = click.option(
    "--threshold", type=float, help="Lowest probability that counts as a cell [the card's]."
)
outside = click.option(
    "--outside",
    type=click.Choice(OUTSIDE),
    default="auto",
    show_default=True,
    help="Points outside the volume: auto stops with an error if they are more than half, refuse "
    "if there are any, flag never. Those by less than half a cube are treated as near a face "
    "(--edges), others are kept unclassified.",
)
device = click.option(
    "--device",
    type=click.Choice(DEVICES),
    default="auto",
    show_default=True,
    help="Device that runs the network; auto is CUDA where it loads, else CPU; dml is DirectML.",
)
backend = click.option(
    "--backend",
    type=click.Choice(BACKENDS),
    default="auto",
    show_default=True,
    help="Library that runs the network; auto is OpenVINO on the CPU if it is installed.",
)
threads = click.option(
    "--threads", type=click.IntRange(1, 1024), help="CPU threads [all available]."
)
memory = click.option(
    "--memory",
    type=click.FloatRange(0, min_open=True),
    metavar="GB",
    help="Memory that the run may take [what the computer, cgroups, SLURM and ulimit allow].",
)
root = click.option(
    "--root", metavar="DIR", help="Folder of the relative paths in DATA [DATA's folder]."
)
quiet = click.option(
    "-q", "--quiet", is_flag=True, help="Print only errors.", callback=_set_progress
)
log = click.option(
    "--log",
    metavar="FILE",
    help="Append start, progress, end and errors to FILE, also with -q.",
    callback=_open_log,
    expose_value=False,
    is_eager=True,
)


def edges(default: str, pad: str) -> Callable[[Callable], Callable]:
    """Return the option for points near a face; ``pad`` is the verb for padded cubes."""
    return click.option(
        "--edges",
        type=click.Choice(EDGES),
        default=default,
        show_default=True,
        help=f"Points near a face: {pad} a padded cube, or drop them as cellfinder does.",
    )


def batch_size(default: int | None = None) -> Callable[[Callable], Callable]:
    """Return the option for the number of cubes in a batch."""
    text = "Cubes per batch." if default else "Cubes per batch [chosen for the model]."
    size = click.IntRange(1, 4096)
    return click.option(
        "--batch-size", type=size, default=default, show_default=bool(default), help=text
    )


def data(required: bool = True) -> Callable[[Callable], Callable]:
    """Return the option for labelled data."""
    text = "Labelled data, a YAML file as for train; repeatable."
    return click.option("--data", multiple=True, required=required, metavar="DATA", help=text)


def threshold_by(default: str) -> Callable[[Callable], Callable]:
    """Return the option for the rule that sets the threshold."""
    text = f"Rule for the threshold: f1, recall=R or fpr=R [{default}]."
    return click.option("--threshold-by", "rule", default="", help=text)
