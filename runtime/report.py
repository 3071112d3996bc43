"""The output folder of one run: typed points in three formats, and what was run."""

import dataclasses
import json
import os
import platform
import time
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

from .. import __version__
from .ensemble import Ensemble
from .errors import InputError
from .files import atomic_write
from .job import Job
from .results import Results, write_csv, write_xml, write_yaml

# run.json comes last: where it is, the others are whole.
NAMES = ("points.xml", "points.csv", "points.yml", "run.json")


def check_output(
    folder: Path,
    overwrite: bool,
    inputs: Sequence[str | None] = (),
    names: Sequence[str] = NAMES,
) -> Path:
    """See that the files ``names`` can be written to ``folder``, before the long work.

    Raises
    ------
    InputError
        It is a file, cannot be written to, holds results already, or would overwrite an input.
    """
    try:
        targets = [(folder / name).resolve() for name in names]
        for source in inputs:
            if source and Path(source).resolve() in targets:
                raise InputError(
                    f"{source} is an input and would be overwritten: choose another -o."
                )
        there = [path.name for path in targets if path.exists()]
        if there and not overwrite:
            raise InputError(
                f"{folder} already holds {', '.join(there)}: give another -o, or --overwrite."
            )
        if wrong := [path for path in targets if path.exists() and not path.is_file()]:
            raise InputError(f"{wrong[0]} is no file and stands in the way: choose another -o.")
        parent = folder
        while not parent.exists():
            if parent.is_symlink():
                raise InputError(f"{parent} is a link that leads nowhere: choose another -o.")
            parent = parent.parent
        if not parent.is_dir() or not os.access(parent, os.W_OK | os.X_OK):
            raise InputError(
                f"{folder} cannot be written to: {parent} is no folder that you may write."
            )
    except (OSError, RuntimeError, ValueError) as error:  # a loop of links, a name too long, a NUL
        raise InputError(
            f"{folder} is no usable folder name ({error}). Choose another -o."
        ) from None
    return folder


def write_run(
    folder: Path, job: Job, results: Results, given: Mapping[str, object], started: float
) -> None:
    """Write all files of a run, each atomically.

    Parameters
    ----------
    folder : Path
        Made when missing.
    job, results
        Of `cfzoo.runtime.classify`.
    given : mapping
        The inputs as the user named them.
    started : float
        ``time.time()`` at the start, s.

    Raises
    ------
    InputError, EnvironmentProblem
        As `atomic_write`.
    """
    description = json.dumps(describe(job, results, given, started), indent=1)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "run.json").unlink(missing_ok=True)  # that of an earlier run, until all is new
    write_xml(folder / "points.xml", results)
    write_csv(folder / "points.csv", results)
    write_yaml(folder / "points.yml", results)
    with atomic_write(folder / "run.json") as file:
        file.write(f"{description}\n")


def describe(job: Job, results: Results, given: Mapping[str, object], started: float) -> dict:
    """What was run, as JSON: enough to repeat it and to tell two runs apart."""
    return {
        "cfzoo": __version__,
        **_model(job.model),
        "given": dict(given),
        "folder": _working_folder(),
        "parameters": {
            **dataclasses.asdict(job.options),
            "threshold": job.threshold,
            "voxel_size_um_zyx": job.voxel_size,
        },
        "volumes": [
            {"name": v.name, "shape_zyx": v.shape, "dtype": str(v.dtype)} for v in job.volumes
        ],
        "counts": results.counts(),
        "provider": job.sessions[0].provider,
        "threads": job.sessions[0].threads,
        "batch_size": job.sessions[0].batch_size,
        "versions": {
            "python": platform.python_version(),
            **{name: version(name) for name in ("numpy", "tifffile")},
            job.sessions[0].backend.library: job.sessions[0].backend.version,
        },
        "machine": f"{platform.system()} {platform.machine()}",
        "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(started)),
        "seconds": round(time.time() - started, 2),
    }


def _working_folder() -> str:
    try:
        return str(Path.cwd())
    except OSError:  # it was removed meanwhile
        return ""


def _model(model: Ensemble) -> dict:
    """An artifact with its card; of an ensemble its members, each so, and their weights."""
    described = [
        {
            "artifact": {"file": m.artifact.source, "digest": m.artifact.card.digest},
            "card": json.loads(m.artifact.card.to_json()),
            "weight": m.weight,
            "temperature": m.temperature,
        }
        for m in model.members
    ]
    if model.single:
        return {key: described[0][key] for key in ("artifact", "card")}
    known = {"name": model.name, "version": model.version, "digest": model.digest}
    known["file"] = model.source if model.digest else ""
    return {"ensemble": {k: v for k, v in known.items() if v}, "members": described}
