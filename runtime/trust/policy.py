"""What is done about signatures: ignore them, check those that are there, or require them."""

import os
from contextvars import ContextVar

from ..errors import InputError

POLICIES = ("ignore", "check", "require")
VARIABLE = "CFZOO_SIGNATURES"
use_policy: ContextVar[str] = ContextVar("use_policy", default="")  # "": that of the environment


def signature_policy() -> str:
    """Return the policy that holds, one of `POLICIES`.

    It is that of `use_policy`, else of the environment variable CFZOO_SIGNATURES, else ``check``.

    Raises
    ------
    InputError
        The variable has another value: it must not silently mean less than was meant.
    """
    policy = use_policy.get() or os.environ.get(VARIABLE, "") or "check"
    if policy not in POLICIES:
        raise InputError(f"{VARIABLE} is {policy!r:.40}; expected one of {', '.join(POLICIES)}.")
    return policy
