"""Output folder of a run: classified points in three formats, and a description of the run."""

import dataclasses
import json
import platform
import time
from collections.abc import Mapping
from dataclasses import dataclass
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


@dataclass(frozen=True)
class Circumstances:
    """What ran the networks of a job: it may change the last bits of a probability.

    Attributes
    ----------
    provider : str
        The hardware and execution provider.
    library, version : str
        The package, and its version.
    threads, batch_size : int
        Which change nothing.
    """

    provider: str
    library: str
    version: str
    threads: int
    batch_size: int

    @classmethod
    def of(cls, job: Job) -> "Circumstances":
        """Return those of the sessions of a job."""
        session = job.sessions[0]
        library, version = session.backend.library, session.backend.version
        return cls(session.provider, library, version, session.threads, session.batch_size)


def write_run(
    folder: Path,
    job: Job,
    results: Results,
    inputs: Mapping[str, object],
    started: float,
    circumstances: Circumstances | None = None,
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
    circumstances : Circumstances, optional
        If None, those of the job's sessions.

    Raises
    ------
    InputError, EnvironmentProblem
        See `atomic_write`.
    """
    description = json.dumps(describe_run(job, results, inputs, started, circumstances), indent=1)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "run.json").unlink(missing_ok=True)  # no old one beside new files
    write_xml(folder / "points.xml", results)
    write_csv(folder / "points.csv", results)
    write_yaml(folder / "points.yml", results)
    with atomic_write(folder / "run.json") as file:
        file.write(f"{description}\n")


def describe_run(
    job: Job,
    results: Results,
    inputs: Mapping[str, object],
    started: float,
    circumstances: Circumstances | None = None,
) -> dict[str, Any]:
    """Return a description of a run, for JSON: enough to repeat it and to tell runs apart."""
    ran = circumstances or Circumstances.of(job)
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
        "provider": ran.provider,
        "threads": ran.threads,
        "batch_size": ran.batch_size,
        "versions": {
            "python": platform.python_version(),
            **{name: version(name) for name in ("numpy", "tifffile")},
            ran.library: ran.version,
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
