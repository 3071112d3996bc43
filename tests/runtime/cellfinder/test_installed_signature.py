"""Arguments bound as the installed cellfinder does; releases are told apart by their source."""

import importlib.util
import inspect
from inspect import Parameter
from types import SimpleNamespace

import pytest

from cfzoo.runtime.cellfinder import installed_signature
from cfzoo.runtime.cellfinder.installed_signature import bind_as_installed, read_parameters
from cfzoo.runtime.errors import InputError

# The parameters of two releases, in short.
OLD = "def main(points, max_workers: int = 3, *, callback=None) -> list: ..."
NEW = "@named\ndef main(*, points, max_workers=3, dimensions=3, callback=None) -> list: ..."
LATER = "def main(*, points, max_workers=3, dimensions=3, callback=None, device='cpu'): ..."


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Return a function that installs a cellfinder with this source, or none."""

    def write(source: str | None):
        folder = tmp_path / "core" / "classify"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "classify.py").write_text(source or "")
        spec = SimpleNamespace(submodule_search_locations=[str(tmp_path)])
        monkeypatch.setattr(importlib.util, "find_spec", lambda name: spec if source else None)

    return write


def ours(points, max_workers=3, *, dimensions=3, callback=None, metadata=False):
    return {"dimensions": dimensions, "callback": callback, "metadata": metadata}


@pytest.mark.parametrize(
    ("source", "position"), [(OLD, None), (NEW, 3), (None, None)], ids=["old", "new", "none"]
)
def test_the_third_argument_means_what_it_means_to_the_release(install, source, position):
    install(source)
    function = bind_as_installed(ours)
    assert function([], 3, callback=len)["callback"] is len
    assert function(points=[], dimensions=2, metadata=True)["metadata"]
    if position is None:
        with pytest.raises(TypeError, match="takes 2 positional arguments but 4"):
            function([], 3, 3, len)
    else:
        assert function([], 3, 2, len) == {"dimensions": 2, "callback": len, "metadata": False}
        with pytest.raises(TypeError, match="multiple values for argument 'dimensions'"):
            function([], 3, 2, dimensions=3)


@pytest.mark.parametrize("source", [OLD, NEW])
def test_the_signature_begins_with_that_of_the_release(install, source):
    install(source)
    expected = read_parameters()
    actual = inspect.signature(bind_as_installed(ours)).parameters
    assert list(actual)[: len(expected)] == [p.name for p in expected]
    assert [actual[p.name].kind for p in expected] == [p.kind for p in expected]
    assert set(actual) == set(inspect.signature(ours).parameters)
    assert actual["metadata"].kind is Parameter.KEYWORD_ONLY


def test_an_option_of_a_later_release_is_taken_at_its_default_alone(install):
    install(LATER)
    function = bind_as_installed(ours)
    assert function(points=[], device="cpu") == function(points=[])
    with pytest.raises(InputError, match="device is 'cuda', an option of the installed cellfinder"):
        function(points=[], device="cuda")
    with pytest.raises(TypeError, match="colour"):
        function(points=[], colour="red")


def test_reads_the_release_that_is_installed():
    """As Python itself reports it, after an import."""
    from cellfinder.core.classify.classify import main

    expected = list(inspect.signature(main).parameters.values())
    parameters = read_parameters()
    assert [(p.name, p.kind, p.default) for p in parameters] == [
        (p.name, p.kind, p.default) for p in expected
    ]
    assert installed_signature.positional_names(parameters)[0] == "points"
