"""Output folder of a run: classified points in three formats, and a description of the run."""

import dataclasses
import json
import platform
import time
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from .. import __version__
from .artifact import Ensemble
from .feature_statistics import FeatureStatistics
from .files import atomic_write
from .job import Job
from .results import Results, write_csv, write_xml, write_yaml
from .shift import FeatureCounts

# run.json is written last: if it exists, the other files are complete.
RUN_FILES = ("points.xml", "points.csv", "points.yml", "run.json")


def write_run(
    folder: Path, job: Job, results: Results, inputs: Mapping[str, object], started: float
) -> None:
    """Write all files of a run, each atomically.

    Parameters
    ----------
    folder : Path
        Output folder, or the hidden folder of a claim; it is created if it does not exist.
    job : Job
        Job that was run.
    results : Results
        Results of the job.
    inputs : mapping
        Inputs as the user named them.
    started : float
        ``time.time()`` at the start of the run, s.

    Raises
    ------
    InputError, EnvironmentProblem
        See `atomic_write`.
    """
    description = json.dumps(describe_run(job, results, inputs, started), indent=1)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "run.json").unlink(missing_ok=True)  # no old one beside new files
    write_xml(folder / "points.xml", results)
    write_csv(folder / "points.csv", results)
    write_yaml(folder / "points.yml", results)
    with atomic_write(folder / "run.json") as file:
        file.write(f"{description}\n")


def describe_run(
    job: Job, results: Results, inputs: Mapping[str, object], started: float
) -> dict[str, Any]:
    """Return a description of a run, for JSON: enough to repeat it and to tell runs apart."""
    return {
        "cfzoo": __version__,
        **_describe_model(job.model),
        "given": dict(inputs),
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
        "notes": list(results.notes),
        "standardisation": [
            {
                "artifact": artifact,
                "standardised_by": statistics.candidates,
                "statistics": statistics.digest,
                "given": job.statistics is not None,
            }
            for artifact, statistics in results.statistics.items()
            if isinstance(statistics, FeatureStatistics)
        ],
        "shift": [
            {"artifact": artifact, **shift.describe()} for artifact, shift in results.shifts.items()
        ],
        "intercepts": _describe_intercepts(job, results),
        "memory": job.memory.describe(),
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


def _describe_intercepts(job: Job, results: Results) -> list[dict[str, object]]:
    """Describe what the volume's candidates added to the logits of each model that has any."""
    cards = {member.artifact.card.digest: member.artifact.card for member in job.model.members}
    intercepts: list[dict[str, object]] = []
    for digest, counts in results.statistics.items():
        training = cards[digest].training_features
        if training and isinstance(counts, FeatureCounts):
            intercepts.append(
                {
                    "artifact": digest,
                    "intercept": round(training.choose_intercept(counts), 4),
                    "candidates": counts.candidates,
                    "counts": counts.digest,
                    "given": job.statistics is not None,
                }
            )
    return intercepts


def _working_folder() -> str:
    try:
        return str(Path.cwd())
    except OSError:  # the folder was removed in the meantime
        return ""


def _describe_model(model: Ensemble) -> dict[str, Any]:
    """Describe an artifact by its card, and an ensemble by its members and their weights."""
    members: list[dict[str, Any]] = [
        {
            "artifact": {"file": m.artifact.source, "digest": m.artifact.card.digest},
            "card": json.loads(m.artifact.card.to_json()),
            "weight": m.weight,
            "temperature": m.temperature,
        }
        for m in model.members
    ]
    if model.only_artifact:
        return {key: members[0][key] for key in ("artifact", "card")}
    ensemble = {"name": model.name, "version": model.version, "digest": model.digest}
    ensemble["file"] = model.source if model.digest else ""
    return {"ensemble": {k: v for k, v in ensemble.items() if v}, "members": members}
