"""Claims: output folders that one run at a time writes to, and that a killed run leaves usable."""

from .claimed_folder import Claim, abandon_claims, claim_folder, hold_claims, release_claims
from .folder_lock import LOCK, FolderLock

__all__ = [
    "LOCK",
    "Claim",
    "FolderLock",
    "abandon_claims",
    "claim_folder",
    "hold_claims",
    "release_claims",
]
