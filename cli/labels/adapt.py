"""``cfzoo adapt``: adapt a model's head to your labels, without torch."""

from pathlib import Path

import click

from ...runtime.adapt import CONFIDENCE, Estimate, LabelledVolume, Range, adapt, match_labels
from ...runtime.errors import InputError
from ...runtime.files import atomic_write, check_output
from ...runtime.options import Options
from ...runtime.points import read_points
from .. import options
from ..terminal import Progress, RunLog, echo, escape

NO_GAIN = 0.0005  # of the AUC, which three decimals do not show


@click.command()
@click.argument("model")
@click.argument("volume")
@click.argument("points")
@click.option(
    "--labels",
    multiple=True,
    metavar="FILE",
    help="Labels (XML, YAML or CSV): points of type 2, a cell, or 1, no cell, at the positions of "
    "POINTS [the types in POINTS]. With --also once for each volume, in their order.",
)
@click.option(
    "--also",
    nargs=2,
    multiple=True,
    metavar="VOLUME POINTS",
    help="A further volume and its points; repeatable.",
)
@click.option(
    "--background",
    "backgrounds",
    multiple=True,
    metavar="VOLUME",
    help="Background channel; with --also once for each volume, in their order.",
)
@options.points_from
@options.voxel_size
@options.channel
@options.background_channel
@click.option(
    "-o", "--output", required=True, metavar="FILE", help="The new artifact, such as lab.onnx."
)
@click.option("--name", default="", help="Name of the new artifact [MODEL's, with -adapted].")
@click.option(
    "--model-version", "version", default="", help="Version of the new artifact [MODEL's]."
)
@click.option(
    "--description", default="", help="A sentence for the card [what was adapted to which labels]."
)
@options.edges("pad", "use")
@options.outside
@options.device
@options.backend
@options.batch_size()
@options.threads
@options.memory
@click.option("--overwrite", is_flag=True, help="Replace FILE.")
@options.require_signature
@options.quiet
@options.log
@options.gather("run_options", Options)
def command(
    model,
    volume,
    points,
    labels,
    also,
    backgrounds,
    points_from,
    voxel_size,
    channel,
    background_channel,
    output,
    name,
    version,
    description,
    run_options,
    overwrite,
    quiet,
):
    """Adapt MODEL to labels of some of the candidates POINTS of VOLUME, and write the artifact.

    MODEL's network stays, and its head is fitted again; twenty labels are a good start. POINTS hold
    all candidates (cellfinder XML, YAML or CSV).
    """
    pairs = [(volume, points), *also]
    for option, values in (("--labels", labels), ("--background", backgrounds)):
        if values and len(values) != len(pairs):
            raise InputError(
                f"There are {len(pairs)} volumes and {len(values)} {option}; expected {option} "
                "once for each volume, in their order."
            )
    path = Path(output)
    inputs = [model, *labels, *backgrounds, *(file for pair in pairs for file in pair)]
    check_output(path.parent, [path.name], overwrite, inputs)
    volumes = []
    for number, (signal, file) in enumerate(pairs):
        candidates = read_points(file, points_from)
        typed = read_points(labels[number]) if labels else None
        volumes.append(
            LabelledVolume(
                signal,
                candidates,
                match_labels(candidates, typed),
                backgrounds[number] if backgrounds else None,
                channel,
                background_channel,
                voxel_size,
            )
        )
    with Progress("points", quiet) as progress:
        adaptation = adapt(
            model,
            volumes,
            name=name,
            version=version,
            description=description,
            options=run_options,
            source=path.name,
            progress=progress.update,
            expect=progress.expect,
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path, "wb") as file:
        file.write(adaptation.content)
    summary = "\n".join(
        [
            _summarise(adaptation.estimate, adaptation.candidates, adaptation.left_out),
            *(f"Note: {note}" for note in adaptation.notes),
        ]
    )
    RunLog.write(summary)
    if not quiet:
        echo(f"{summary}\n{escape(output)}")


def _summarise(estimate: Estimate, candidates: int, left_out: int) -> str:
    lines = [
        f"{estimate.cells} cells and {estimate.no_cells} no cells labelled, of {candidates} "
        f"candidates; threshold {estimate.threshold:.3f}",
        f"to expect on the others, with intervals of {CONFIDENCE:.0%}: AUC {_say(estimate.auc)}, "
        f"F1 {_say(estimate.f1)}, calibration error {_say(estimate.calibration_error)}",
    ]
    if left_out:
        lines.insert(1, f"{left_out} labels left out: outside the data, or with NaN")
    if estimate.gain is None:
        lines.append(f"what ten more labels would bring cannot be said: {estimate.reason}")
    elif estimate.gain.high < NO_GAIN:
        lines.append("ten more labels: no rise of the AUC that these labels could show")
    else:
        lines.append(f"ten more labels: AUC {_say(estimate.gain, '+.3f')} or so")
    return "\n".join(lines)


def _say(interval: Range, form: str = ".3f") -> str:
    return f"{interval.value:{form}} ({interval.low:{form}} to {interval.high:{form}})"
