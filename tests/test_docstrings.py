"""Public names have numpydoc docstrings with shapes and units, as far as a machine can check."""

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
    p
    for d in ("runtime", "zoo", "export", "analysis", "workflows", "cli", "plugin")
    for p in (ROOT / d).rglob("*.py")
)
PUBLIC = [
    f"{module}.{name}"
    for module in ("cfzoo.runtime", "cfzoo.runtime.cellfinder")
    for name in importlib.import_module(module).__all__
]
# GL08 no docstring; PR01 undocumented, PR02 unknown parameters; RT01 no Returns.
REQUIRED = {"GL08", "PR01", "PR02", "RT01"}
# An array type gives its shape in brackets; a size or position gives its unit.
ARRAY = re.compile(r"\barrays?\b|\bndarray\b|\bu?int\d+\b|\bfloat\d+\b|\btensors?\b")
UNITS = {"voxel_size": "um", "voxel_sizes": "um", "zyx": "voxels", "cube_shape": "voxels"}


def public_definitions():
    """Yield (file, node) of every public function and class."""
    for path in SOURCES:
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and not node.name.startswith("_"):
                yield path.relative_to(ROOT), node


def entries(name: str):
    """Yield (name, type, text) of the documented parameters, attributes and returned values."""
    module, _, attribute = name.rpartition(".")
    item = getattr(importlib.import_module(module), attribute)
    document = (ClassDoc if isinstance(item, type) else FunctionDoc)(item)
    for section in ("Parameters", "Attributes", "Returns"):
        for entry in document[section]:
            if entry.type:
                yield entry.name, entry.type, " ".join(entry.desc)
            else:  # a lone line is the type
                yield "", entry.name, " ".join(entry.desc)


@pytest.mark.parametrize(
    "path, node", list(public_definitions()), ids=lambda x: getattr(x, "name", str(x))
)
def test_definitions_have_docstrings(path, node):
    assert ast.get_docstring(node), f"{path}: {node.name}"


@pytest.mark.parametrize("name", PUBLIC)
def test_public_names_document_all_parameters_and_results(name):
    module, _, attribute = name.rpartition(".")
    item = getattr(importlib.import_module(module), attribute)
    required = REQUIRED
    if isinstance(item, type) and issubclass(item, Enum):
        required = {"GL08"}
    elif dataclasses.is_dataclass(item):  # its fields are documented as attributes
        attributes = ClassDoc(item)["Attributes"]
        documented = {field for entry in attributes for field in entry.name.split(", ")}
        assert {field.name for field in dataclasses.fields(item)} <= documented
        required = {"GL08"}
    errors = [(code, text) for code, text in validate(name)["errors"] if code in required]
    assert not errors


@pytest.mark.parametrize("name", PUBLIC)
def test_docstrings_give_shapes_and_units(name):
    for entry, kind, text in entries(name):
        if ARRAY.search(kind):
            assert re.search(r"\([^)]*[,)]", kind), f"{entry or 'returned'}: {kind} has no shape"
        for part in entry.split(", "):
            unit = UNITS.get(part, "")
            assert unit in f"{kind} {text}", f"{part}: {kind}; add {unit}"
