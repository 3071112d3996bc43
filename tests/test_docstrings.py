"""Public names have docstrings, in numpydoc, with shapes and units as far as a machine can tell."""

import ast
import dataclasses
import importlib
import re
from enum import Enum
from pathlib import Path

import pytest
from numpydoc.docscrape import ClassDoc, FunctionDoc
from numpydoc.validate import validate

ROOT = Path(__file__).resolve().parent.parent
SOURCES = sorted(
    p for d in ("runtime", "zoo", "export", "analysis") for p in (ROOT / d).rglob("*.py")
)
PUBLIC = [
    f"{module}.{name}"
    for module in ("cfzoo.runtime", "cfzoo.runtime.cellfinder")
    for name in importlib.import_module(module).__all__
]
# GL08 none at all; PR01 undocumented, PR02 unknown parameters; RT01 no Returns.
REQUIRED = {"GL08", "PR01", "PR02", "RT01"}
# A type that is an array says its shape, in brackets; a size or place says its unit.
ARRAY = re.compile(r"\barrays?\b|\bndarray\b|\bu?int\d+\b|\bfloat\d+\b|\btensors?\b")
UNITS = {"voxel_size": "um", "voxel_sizes": "um", "zyx": "voxels", "cube_shape": "voxels"}


def public_definitions():
    """(file, node) of every function and class that other files may use."""
    for path in SOURCES:
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and not node.name.startswith("_"):
                yield path.relative_to(ROOT), node


def entries(name: str):
    """(name, type and text) of the documented parameters, attributes and returned values."""
    module, _, attribute = name.rpartition(".")
    found = getattr(importlib.import_module(module), attribute)
    document = (ClassDoc if isinstance(found, type) else FunctionDoc)(found)
    for section in ("Parameters", "Attributes", "Returns"):
        for entry in document[section]:
            if entry.type:
                yield entry.name, entry.type, " ".join(entry.desc)
            else:  # a lone line is the type
                yield "", entry.name, " ".join(entry.desc)


@pytest.mark.parametrize(
    "path, node", public_definitions(), ids=lambda x: getattr(x, "name", str(x))
)
def test_definitions_have_docstrings(path, node):
    assert ast.get_docstring(node), f"{path}: {node.name}"


@pytest.mark.parametrize("name", PUBLIC)
def test_public_names_document_all_that_they_take_and_give(name):
    module, _, attribute = name.rpartition(".")
    found = getattr(importlib.import_module(module), attribute)
    required = REQUIRED
    if isinstance(found, type) and issubclass(found, Enum):
        required = {"GL08"}
    elif dataclasses.is_dataclass(found):  # its fields are documented as attributes
        told = {one for entry in ClassDoc(found)["Attributes"] for one in entry.name.split(", ")}
        assert {field.name for field in dataclasses.fields(found)} <= told
        required = {"GL08"}
    errors = [(code, text) for code, text in validate(name)["errors"] if code in required]
    assert not errors


@pytest.mark.parametrize("name", PUBLIC)
def test_arrays_have_shapes_and_sizes_have_units(name):
    for entry, kind, text in entries(name):
        if ARRAY.search(kind):
            assert re.search(r"\([^)]*[,)]", kind), f"{entry or 'returned'}: {kind} has no shape"
        for part in entry.split(", "):
            unit = UNITS.get(part, "")
            assert unit in f"{kind} {text}", f"{part}: {kind}; say {unit}"
