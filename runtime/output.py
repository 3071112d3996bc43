"""The output folder of one run: typed points in three formats, and what was run."""

import dataclasses
import json
import platform
import time
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

from .. import __version__
from .artifact import Ensemble
from .files import atomic_write
from .job import Job
from .results import Results, write_csv, write_xml, write_yaml

# run.json comes last: where it is, the others are whole.
RUN_FILES = ("points.xml", "points.csv", "points.yml", "run.json")


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
    if model.only_artifact:
        return {key: described[0][key] for key in ("artifact", "card")}
    known = {"name": model.name, "version": model.version, "digest": model.digest}
    known["file"] = model.source if model.digest else ""
    return {"ensemble": {k: v for k, v in known.items() if v}, "members": described}
