"""Patch of the installed cellfinder that makes it accept artifacts as ``trained_model``.

Two functions get a wrapper: ``classify.main``, which scripts and brainmapper call, and
``core.main.main``, which napari calls. Other functions and other models are not affected.
cellfinder and brainmapper fetch the default weights before they look at the model; a third wrapper
defers this until keras uses them.
"""

import functools
import inspect
import os
import sys
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

from ..artifact import find_model, is_model_name, is_remote, read_model
from ..errors import EnvironmentProblem
from . import classify_step
from .installed_signature import name_arguments, positional_names

_Function = Callable[..., Any]

_SUFFIXES = (".onnx", ".json")
_HOLDERS = ("cellfinder", "brainglobe_workflows")  # packages that use cellfinder's functions
_lock = threading.Lock()
_this_thread = threading.local()  # .keras: this thread runs core.main with a model of keras
_replacements: list[tuple[_Function, _Function]] = []  # cellfinder's functions, their wrappers


def enable() -> None:
    """Make cellfinder accept an ``.onnx`` artifact, an ensemble file or a bundled name as a model.

    This holds everywhere in this process: for ``classify.main``, ``cellfinder.core.main.main`` and
    the napari plugin. Any other ``trained_model`` still goes to keras. A second call has no effect.

    Raises
    ------
    EnvironmentProblem
        cellfinder is not installed.
    """
    try:
        core = import_module("cellfinder.core.main")
        classify = import_module("cellfinder.core.classify.classify")
        prep = import_module("cellfinder.core.tools.prep")
    except ImportError as error:
        raise EnvironmentProblem(f"{error}: pip install 'cfzoo[cellfinder]'.") from None
    with _lock:
        if not _replacements:
            for original, wrap in (
                (classify.main, _wrap_classify),
                (core.main, _wrap_run),
                (prep.prep_model_weights, _wrap_download),
            ):
                _replacements.append((original, wrap(original)))
                _replace(*_replacements[-1])


def disable() -> None:
    """Undo `enable` completely."""
    with _lock:
        while _replacements:
            original, wrapper = _replacements.pop()
            _replace(wrapper, original)


def is_enabled() -> bool:
    """Return whether cellfinder accepts artifacts in this process.

    Returns
    -------
    bool
    """
    return bool(_replacements)


@contextmanager
def enabled() -> Generator[None]:
    """Enable the patch inside a ``with`` statement; if it was enabled before, it stays enabled."""
    was_enabled = is_enabled()
    enable()
    try:
        yield
    finally:
        if not was_enabled:
            disable()


def find_artifact(model: Any) -> Path | None:
    """Return the file of an artifact or ensemble, or None for a model of keras."""
    if model is None:
        return None
    if is_remote(model):
        return find_model(model)
    path = Path(model)
    if not path.exists() and path.parent == Path.cwd():
        path = Path(path.name)  # cellfinder's widget puts this folder before whatever is typed
    if path.suffix in _SUFFIXES or (is_model_name(str(path)) and not path.exists()):
        return path if path.suffix == ".json" else find_model(path)
    return None


class _DeferredPath(os.PathLike[str]):
    """Path of weights that are located, and if necessary downloaded, on its first use."""

    def __init__(self, find_path: Callable[[], str | os.PathLike[str]]):
        self._find: Callable[[], str | os.PathLike[str]] = functools.cache(find_path)

    def __fspath__(self) -> str:
        return os.fspath(self._find())

    def __str__(self) -> str:
        return self.__fspath__()

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):  # copying looks these up before the object has its attributes
            raise AttributeError(name)
        return getattr(Path(self), name)


def _wrap(original: _Function, with_artifact: _Function, with_keras: _Function) -> _Function:
    """Return a wrapper of ``original`` that chooses a function by the kind of ``trained_model``.

    The function gets all arguments by name, and ``with_artifact`` the path of the artifact.
    """
    order = positional_names(list(inspect.signature(original).parameters.values()))

    @functools.wraps(original)
    def main(*args: Any, **kwargs: Any) -> Any:
        arguments = name_arguments(original.__name__, order, args, kwargs)
        path = find_artifact(arguments.get("trained_model"))
        if path is None:
            return with_keras(**arguments)
        return with_artifact(**{**arguments, "trained_model": path})

    return main


def _wrap_classify(original: _Function) -> _Function:
    def classify(**arguments: Any) -> Any:
        return classify_step.main(**arguments)

    return _wrap(original, classify, original)


def _wrap_run(original: _Function) -> _Function:
    def with_artifact(**arguments: Any) -> Any:
        if not arguments.get("skip_classification"):  # checked before the long detection
            model = read_model(arguments["trained_model"])
            classify_step.check_channels(model, arguments.get("background_array"))
        return original(**arguments)

    def with_keras(**arguments: Any) -> Any:
        _this_thread.keras = True  # fetch its weights before the long detection
        try:
            return original(**arguments)
        finally:
            del _this_thread.keras

    return _wrap(original, with_artifact, with_keras)


def _wrap_download(original: _Function) -> _Function:
    @functools.wraps(original)
    def prep_model_weights(model_weights: Any, *args: Any, **kwargs: Any) -> Any:
        if model_weights is not None or getattr(_this_thread, "keras", False):
            return original(model_weights, *args, **kwargs)
        return _DeferredPath(lambda: original(None, *args, **kwargs))

    return prep_model_weights


def _replace(old: _Function, new: _Function) -> None:
    """Replace a function in all modules of cellfinder and brainmapper that hold it by name."""
    for module in list(sys.modules.values()):
        attributes: dict[str, Any] = getattr(module, "__dict__", {})
        if str(attributes.get("__name__")).split(".")[0] in _HOLDERS:
            for key in [key for key, value in attributes.items() if value is old]:
                setattr(module, key, new)
