"""Trust: who signed a model's file, whether that key is trusted, and what was revoked."""

from .check import Verdict, check_signature
from .first_use import trust_key
from .keys import TrustedKey, config_folder, read_public_key, trusted_keys
from .policy import POLICIES, signature_policy, use_policy
from .revocations import Revocations, read_revocations
from .signature import SIGNATURE_SUFFIX, Signature, load_minisign, read_signature

__all__ = [
    "POLICIES",
    "SIGNATURE_SUFFIX",
    "Revocations",
    "Signature",
    "TrustedKey",
    "Verdict",
    "check_signature",
    "config_folder",
    "load_minisign",
    "read_public_key",
    "read_revocations",
    "read_signature",
    "signature_policy",
    "trust_key",
    "trusted_keys",
    "use_policy",
]
