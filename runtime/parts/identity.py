"""Identity of a classification: a hash of all that determines the answers to its points."""

import hashlib
import json

from ... import __version__
from ..job import Job
from ..volume import stamp_volume

FORMAT = 1  # of the files of parts


def identify_job(job: Job) -> str:
    """Compute the identity of a job.

    Threshold, weights and temperatures of an ensemble are left out, because they only combine the
    answers; batch size, threads and memory, because they change none.

    Parameters
    ----------
    job : Job

    Returns
    -------
    str
        SHA-256, hexadecimal.

    Raises
    ------
    InputError
        A volume is in no file; see `stamp_volume`.
    """
    content = {
        "cfzoo": __version__,
        "format": FORMAT,
        "artifacts": [member.artifact.card.digest for member in job.model.members],
        "statistics": {name: each.digest for name, each in (job.statistics or {}).items()},
        "volumes": [stamp_volume(volume) for volume in job.volumes],
        "voxel_size": job.voxel_size,
        "points": hashlib.sha256(job.points.zyx.astype("<f8").tobytes()).hexdigest(),
        "edges": job.options.edges,
        "device": job.options.device,
        "backend": job.options.backend,
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
