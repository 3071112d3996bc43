"""``cfzoo gather``: join the parts that shards have computed to the results of one run."""

import dataclasses
import time
from pathlib import Path

import click

from ...runtime.claim import claim_folder
from ...runtime.errors import InputError
from ...runtime.output import RUN_FILES, write_run
from ...runtime.parts import FOLDER, Manifest, Parts, gather_parts, no_sessions
from .. import options
from ..classify import summarise
from ..terminal import RunLog, echo, escape


@click.command()
@click.argument("output", metavar="DIR")
@options.threshold
@click.option("--remove-parts", is_flag=True, help="Remove DIR/parts when the results are written.")
@click.option("--overwrite", is_flag=True, help="Replace the results in DIR.")
@options.require_signature
@options.quiet
@options.log
def command(output, threshold, remove_parts, overwrite, quiet):
    """Join the parts that `cfzoo classify --shard I/N -o DIR` has computed.

    Writes points.xml, points.csv, points.yml and run.json to DIR: the bytes that one run without
    --shard would have written. Needs no network, and a threshold may be tried without computing
    anything again.
    """
    started, folder = time.time(), Path(output) / FOLDER
    manifest = Manifest.read(folder)
    if manifest is None:
        raise InputError(
            f"{folder} holds no parts; expected the -o of cfzoo classify --shard. Check the name."
        )
    request = manifest.request
    if threshold is not None:
        run_options = dataclasses.replace(request.options, threshold=threshold)
        request = dataclasses.replace(request, options=run_options)
    with claim_folder(Path(output), RUN_FILES, overwrite, request.paths) as claim:
        with request.prepare(no_sessions) as job:
            parts = Parts.of(job, folder)
            if parts.key != manifest.key:
                raise InputError(
                    f"The parts in {folder} were computed by another cfzoo, or the volume, points "
                    f"or model has changed since. Remove {folder} and compute them again."
                )
            results, circumstances = gather_parts(job, parts)
        write_run(claim.open_part(), job, results, request.describe(), started, circumstances)
        claim.publish()
        # Within the claim: a run that is stopped here may be run again.
        summary = summarise(results, job, escape(output))
        RunLog.write(summary)
        if not quiet:
            echo(summary)
    if remove_parts:
        parts.remove()
