"""Manifest of a folder of parts: which classification they belong to, and how it was asked for."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..files import atomic_write, write_error
from .request import Request

_NAME = "manifest.json"


@dataclass(frozen=True)
class Manifest:
    """What the parts of a folder belong to, so that they can be gathered without asking again.

    Attributes
    ----------
    key : str
        Identity of the job.
    request : Request
    """

    key: str
    request: Request

    @classmethod
    def read(cls, folder: Path) -> "Manifest | None":
        """Read the manifest of a folder of parts; None if there is none.

        Raises
        ------
        InputError
            It is damaged, of another version of cfzoo, or cannot be read.
        """
        path = folder / _NAME
        try:
            content: Any = json.loads(path.read_text(encoding="utf-8"))
            return cls(str(content["key"]), Request.parse(content["request"]))
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise InputError(f"{path} cannot be read ({error.strerror}).") from None
        except (ValueError, KeyError, TypeError, IndexError):
            raise InputError(
                f"{path} is damaged, or of another version of cfzoo. Remove {folder} to start anew."
            ) from None

    def write(self, folder: Path) -> None:
        """Write the manifest, unless the one that is there belongs to the same classification.

        Raises
        ------
        InputError
            The folder holds parts of another classification, or cannot be written to.
        EnvironmentProblem
            The disk is full or fails.
        """
        if self.check(folder):
            return
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise write_error(error, str(folder)) from error
        with atomic_write(folder / _NAME) as file:
            json.dump(asdict(self), file, indent=1)

    def check(self, folder: Path) -> bool:
        """Return whether a folder has this manifest; an `InputError` if it has another."""
        earlier = self.read(folder)
        if earlier is not None:
            self._check_same(earlier, folder)
        return earlier is not None

    def _check_same(self, earlier: "Manifest", folder: Path) -> None:
        """Refuse parts that would be gathered as something else than was asked for now."""
        now, before = self.request, earlier.request
        if self.key != earlier.key:
            difference = "volume, points, model, voxel size, --edges, --device or cfzoo differ"
        elif now.models != before.models:
            difference = "the models or their weights differ"
        elif now.options.threshold != before.options.threshold:
            difference = "the threshold differs"
        else:
            return
        raise InputError(
            f"{folder} holds parts of another classification: {difference}. Give another -o, or "
            "remove that folder to start anew."
        )
