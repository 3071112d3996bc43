"""What a failed request means: nothing is there, it is refused, or it may succeed later."""

import re
from typing import Any, cast

from ..errors import CfzooError, EnvironmentProblem, InputError
from .address import Address

_NO_CREDENTIALS = ("NoCredentialsError", "PartialCredentialsError", "DefaultCredentialsError")
_BAD_CREDENTIALS = (
    "ProfileNotFound",
    "RefreshError",
    "TokenRetrievalError",
    "UnauthorizedSSOTokenError",
)
_BAD_ADDRESS = (
    "ParamValidationError",
    "InvalidRegionError",
    "InvalidURL",
    "InvalidUrlClientError",
)
_SECRET = re.compile(r"(?<=://)[^\s/]*@|\?[^\s'\"<>)]+")  # a password, a signature
_WAIT_AND_TRY = (408, 409, 425, 429)  # besides 5xx
_ENVIRONMENT = {
    "s3": "AWS_PROFILE, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or FSSPEC_S3_ANON=true for a "
    "public bucket; AWS_ENDPOINT_URL for another service than Amazon's",
    "gs": "GOOGLE_APPLICATION_CREDENTIALS or gcloud auth application-default login",
    "https": "~/.netrc",
    "http": "~/.netrc",
}


def is_absence(error: BaseException) -> bool:
    """Return whether an error says that nothing is at the address."""
    return isinstance(reveal(error), FileNotFoundError)


def reveal(error: BaseException) -> BaseException:
    """Return the cause of an error that fsspec reports as a missing file, whatever it was."""
    cause = error.__cause__
    if not isinstance(error, FileNotFoundError) or cause is None or _status(cause) == 404:
        return error
    return error if isinstance(cause, FileNotFoundError) else cause


def refuse(error: BaseException, address: Address) -> CfzooError | None:
    """Return the error to raise where another attempt is in vain; None where it may succeed.

    Parameters
    ----------
    error : exception
        Of fsspec, or of the library of a service.
    address : Address
        Of the zarr or file, for messages.
    """
    error = reveal(error)
    status, kind, advice = _status(error), type(error).__name__, _ENVIRONMENT[address.scheme]
    if kind in _NO_CREDENTIALS or kind in _BAD_CREDENTIALS:
        return EnvironmentProblem(
            f"{address.url} needs credentials, and those of the environment cannot be used "
            f"({line(error)}). Set {advice}."
        )
    if isinstance(error, PermissionError) or status in (401, 403, 407):
        return InputError(
            f"{address.url} may not be read: the server refuses permission ({line(error)}). Check "
            f"the address and the credentials ({advice}). S3 says the same of what is not there, "
            "where listing is not permitted."
        )
    if status is not None and 400 <= status < 500 and status not in _WAIT_AND_TRY:
        return InputError(
            f"{address.url} cannot be read: the server answers {status} ({line(error)}). Check the "
            "address."
        )
    if isinstance(error, ValueError | TypeError | NotImplementedError) or kind in _BAD_ADDRESS:
        return InputError(f"{address.url} cannot be read ({line(error)}). Check the address.")
    return None


def line(error: BaseException) -> str:
    """Return an error as one line of at most 160 characters, without passwords.

    It may name an address to which a server redirected, with a signature, or that of a service.
    """
    text = _SECRET.sub("...", " ".join(str(error).split()))
    return f"{type(error).__name__}: {text:.160}" if text else type(error).__name__


def _status(error: BaseException | None) -> int | None:
    """Return the HTTP status of an error of aiohttp, gcsfs or botocore; None if it has none."""
    response: Any = getattr(error, "response", None)  # of botocore
    if isinstance(response, dict):
        fields = cast(dict[str, Any], response)
        value: Any = fields.get("ResponseMetadata", {}).get("HTTPStatusCode")
    else:  # of aiohttp, and of gcsfs
        value = getattr(error, "status", None) or getattr(error, "code", None)
    return int(value) if isinstance(value, int) or str(value).isdigit() else None
