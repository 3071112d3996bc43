"""A reader of JSON from an unknown writer, with bounds on its size, depth and numbers."""

import json
from typing import Any, cast

from ..errors import ArtifactError

MAX_CARD = 10**6  # bytes
MAX_DEPTH = 8
MAX_VALUES = 50_000
_MAX_NUMBER = 2.0**63


def read_json(text: str, subject: str, limit: int = MAX_CARD) -> Any:
    """Parse JSON from an unknown writer.

    Parameters
    ----------
    text : str
    subject : str
        What the text should be, for error messages.
    limit : int
        The largest number of characters.

    Raises
    ------
    ArtifactError
        The text is not JSON, is longer than ``limit``, has more than 50,000 values or is nested
        more than 8 deep; an object has a key twice, of which Python would keep the last; or it
        holds NaN, infinite or huge numbers or text that cannot be printed.
    """
    if len(text) > limit:
        raise ArtifactError(f"The {subject} has {len(text)} characters; expected at most {limit}.")
    # A comma precedes each value of a list or object but the first; those in text count as well.
    if text.count(",") + text.count("[") + text.count("{") > MAX_VALUES:
        raise ArtifactError(f"The {subject} has more than {MAX_VALUES} values; refused.")

    def check_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        fields = dict(pairs)
        if len(fields) < len(pairs):
            keys = [key for key, _ in pairs]
            double = next(key for key in keys if keys.count(key) > 1)
            raise ArtifactError(f"The {subject} has {double!r:.60} twice; which one holds?")
        return fields

    try:
        value = json.loads(text, object_pairs_hook=check_keys)
    except (ValueError, RecursionError) as error:
        raise ArtifactError(f"The {subject} is not valid JSON ({error}).") from None
    _check_json(value, subject, MAX_DEPTH)
    return value


def _check_json(value: Any, subject: str, depth: int) -> None:
    if depth == 0:
        raise ArtifactError(f"The {subject} is nested more than {MAX_DEPTH} deep.")
    if isinstance(value, dict):
        value = [*value, *value.values()]
    if isinstance(value, list):
        for item in cast(list[Any], value):
            _check_json(item, subject, depth - 1)
    elif isinstance(value, str):
        if not value.replace("\n", "").isprintable():
            raise ArtifactError(f"The {subject} holds text that cannot be printed: {value!r:.60}.")
    elif isinstance(value, (int, float)) and not -_MAX_NUMBER < value < _MAX_NUMBER:
        raise ArtifactError(
            f"The {subject} holds the number {str(value)[:20]}; expected finite ones."
        )
