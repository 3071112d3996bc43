"""Documents that users write by hand or get from others: YAML or JSON, within bounds.

YAML is read as its version 1.2 says and not as 1.1, in which an animal 0123 is the number 83, 12_3
is 123, 1:30 is 90, and 2026-05-01 a date: here they are text. There are no tags, and all keys are
text, each once. A few lines with aliases can stand for billions of values, so what they stand for
is counted before it is built.
"""

import re
from pathlib import Path
from typing import Any, ClassVar

import yaml

from ..runtime.artifact import read_json
from ..runtime.errors import ArtifactError, InputError

MAX_BYTES = 2**22
MAX_DEPTH = 16
MAX_VALUES = 100_000
MAX_NUMBER = 2.0**63
_TAG = "tag:yaml.org,2002:"
_RESOLVERS = {
    "null": r"~|null|Null|NULL|",
    "bool": r"true|True|TRUE|false|False|FALSE",
    "int": r"[-+]?(0|[1-9][0-9]{0,18})",
    "float": r"[-+]?(\.[0-9]+|(0|[1-9][0-9]*)(\.[0-9]*)?)([eE][-+]?[0-9]+)?",
    "merge": r"<<",
}


class _Loader(yaml.SafeLoader):
    """PyYAML's loader with the plain values of YAML 1.2 and a bound on its depth."""

    yaml_implicit_resolvers: ClassVar[dict[Any, Any]] = {}
    depth = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise ValueError(f"it is nested more than {MAX_DEPTH} deep")
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node


for _name, _pattern in _RESOLVERS.items():
    _Loader.add_implicit_resolver(_TAG + _name, re.compile(rf"(?:{_pattern})\Z"), None)
_Loader.add_constructor(_TAG + "int", lambda loader, node: int(loader.construct_scalar(node)))
_Loader.add_constructor(_TAG + "float", lambda loader, node: float(loader.construct_scalar(node)))


def read_document(path: Path, subject: str) -> Any:
    """Read a YAML or, by its suffix ``.json``, a JSON file.

    Parameters
    ----------
    path : Path
    subject : str
        What the file should be, such as "recipe", for messages.

    Returns
    -------
    dict, list, str, int, float, bool or None
        The keys of every dict are text.

    Raises
    ------
    InputError
        The file cannot be read, is not UTF-8 or UTF-16 text, is too large, too deep or of too many
        values, has a key twice or one that is not text, a tag, an endless alias, or a number that
        is not finite or is beyond 2^63.
    """
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise InputError(f"{path} cannot be read as a {subject} ({reason}).") from None
    try:
        return parse_document(raw, is_json=path.suffix == ".json")
    except InputError as error:
        raise InputError(f"{path} cannot be read as a {subject}: {error}") from None


def parse_document(raw: bytes, is_json: bool) -> Any:
    """Parse the bytes of a document; see `read_document`."""
    if len(raw) > MAX_BYTES:
        raise InputError(f"it has more than {MAX_BYTES} bytes.")
    encoding = "utf-16" if raw[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    try:
        text = raw.decode(encoding)
        return read_json(text, "document") if is_json else _read_yaml(text)
    except UnicodeError:
        raise InputError("it is not UTF-8 text; save it as such.") from None
    except (ArtifactError, ValueError, RecursionError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())  # in one line
        raise InputError(f"{reason:.300}" or type(error).__name__) from None


def _read_yaml(text: str) -> Any:
    loader = _Loader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return None
        _count_values(node, {})
        value = loader.construct_document(node)
    finally:
        loader.dispose()
    _check_value(value)
    return value


def _count_values(node: yaml.Node, counts: dict[int, int]) -> int:
    """Count the values that a node stands for, and check its tag and keys.

    ``counts`` holds the counts by the identity of the node, 0 for one that is being counted.
    """
    if (count := counts.get(id(node))) is not None:
        if count == 0:
            raise ValueError("an alias refers to what it is part of")
        return count
    counts[id(node)], count = 0, 1
    tag = node.tag.removeprefix(_TAG)
    if isinstance(node, yaml.MappingNode):
        _check_keys(node)
        count += sum(_count_values(n, counts) for pair in node.value for n in pair)
        expected = ("map",)
    elif isinstance(node, yaml.SequenceNode):
        count += sum(_count_values(n, counts) for n in node.value)
        expected = ("seq",)
    else:
        expected = ("str", *_RESOLVERS)
        if tag in _RESOLVERS and not re.fullmatch(_RESOLVERS[tag], node.value):
            raise ValueError(f"got {node.value!r:.60} for a value of type {tag}")
    if tag not in expected:
        raise ValueError(f"the tag {node.tag!r:.60} is not accepted; expected values without tags")
    if count > MAX_VALUES:
        raise ValueError(f"it has more than {MAX_VALUES} values")
    counts[id(node)] = count
    return count


def _check_keys(node: yaml.MappingNode) -> None:
    """Check that the keys of a mapping are text, and each is there once."""
    keys: set[str] = set()
    for key, _ in node.value:
        if not isinstance(key, yaml.ScalarNode) or key.tag not in (_TAG + "str", _TAG + "merge"):
            text = key.value if isinstance(key, yaml.ScalarNode) else "a list or mapping"
            raise ValueError(f"a key is {text!r:.60}; expected text")
        if key.value in keys:
            raise ValueError(
                f"the key {key.value!r:.60} is there twice (line {key.start_mark.line + 1}); "
                "which one holds?"
            )
        keys.add(key.value)


def _check_value(value: Any) -> None:
    """Check that numbers are finite and that text can be printed."""
    if isinstance(value, dict):
        value = [*value, *value.values()]
    if isinstance(value, list):
        for item in value:
            _check_value(item)
    elif isinstance(value, str):
        if not value.replace("\n", "").replace("\t", "").isprintable():
            raise ValueError(f"it holds text that cannot be printed: {value!r:.60}")
    elif isinstance(value, (int, float)) and not -MAX_NUMBER < value < MAX_NUMBER:
        raise ValueError(f"it holds the number {value!s:.30}; expected one below 2^63")
