"""Objects at an address (https, S3, Google Cloud Storage): read with retries and a bounded cache.

Only what is read is fetched. Credentials are those of the environment, as each service's own tools
take them; an address that holds some is refused, because it would be written to results.
"""

from .address import Address, find_address
from .object_store import CACHE_BYTES, MOST_BYTES, ObjectState, ObjectStore, Span
from .remote_folder import RemoteFolder
from .single_object import read_object

__all__ = [
    "CACHE_BYTES",
    "MOST_BYTES",
    "Address",
    "ObjectState",
    "ObjectStore",
    "RemoteFolder",
    "Span",
    "find_address",
    "read_object",
]
