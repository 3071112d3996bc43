"""Parts: a classification cut into pieces whose answers are files, for many processes and kills.

Each part is a run of candidates that lie near each other, in the order in which the volume is read.
Its answers are one file, written atomically under a name that is a hash of all that determines
them. Processes on several computers compute different parts, a run that was killed goes on with
those that are missing, and the gathered results are those of `classify`, bit by bit.
"""

from .computing import compute_parts
from .gathering import gather_parts
from .manifest import Manifest
from .parts import FOLDER, Parts, Shard
from .request import Request, no_sessions

__all__ = [
    "FOLDER",
    "Manifest",
    "Parts",
    "Request",
    "Shard",
    "compute_parts",
    "gather_parts",
    "no_sessions",
]
