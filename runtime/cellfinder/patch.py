"""Patch of the installed cellfinder that makes it accept artifacts as ``trained_model``.

Two functions get a wrapper: ``classify.main``, which scripts and brainmapper call, and
``core.main.main``, which napari calls; others go on as they were, and so does whatever is no
artifact. cellfinder and brainmapper ask for the default weights before they look at the model; now
these are fetched when keras really wants them.
"""

import functools
import inspect
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..artifact import bundled, find_model, is_remote
from ..errors import EnvironmentProblem
from . import classify_step

_SUFFIXES = (".onnx", ".json")
_HOLDERS = ("cellfinder", "brainglobe_workflows")  # packages that hold cellfinder's functions
_lock = threading.Lock()
_this_thread = threading.local()  # .keras: this thread's run of core.main has no artifact
_replacements: list[tuple[Callable, Callable]] = []  # cellfinder's functions and their wrappers


def enable() -> None:
    """Make cellfinder accept an ``.onnx`` artifact, an ensemble's file or a bundled name.

    Everywhere in this process: ``classify.main``, ``cellfinder.core.main.main`` and the napari
    plugin. Any other ``trained_model`` still goes to keras. Calling it again changes nothing.

    Raises
    ------
    EnvironmentProblem
        cellfinder is not installed.
    """
    try:
        from cellfinder.core import main as core
        from cellfinder.core.classify import classify
        from cellfinder.core.tools import prep
    except ImportError as error:
        raise EnvironmentProblem(f"{error}: pip install 'cfzoo[cellfinder]'.") from None
    with _lock:
        if not _replacements:
            for original, wrap in (
                (classify.main, _classify),
                (core.main, _run),
                (prep.prep_model_weights, _no_download),
            ):
                _replacements.append((original, wrap(original)))
                _replace(*_replacements[-1])


def disable() -> None:
    """Undo `enable` completely."""
    with _lock:
        while _replacements:
            original, wrapped = _replacements.pop()
            _replace(wrapped, original)


@contextmanager
def enabled() -> Iterator[None]:
    """Enable inside a ``with``; a patch that was enabled before stays enabled."""
    before = bool(_replacements)
    enable()
    try:
        yield
    finally:
        if not before:
            disable()


def find_artifact(model: Any) -> Path | None:
    """Return the file of the artifact or ensemble; None for a model of keras."""
    if model is None:
        return None
    if is_remote(model):
        return find_model(model)
    path = Path(model)
    if path.suffix in _SUFFIXES or (str(model) in bundled() and not path.exists()):
        return path if path.suffix == ".json" else find_model(model)
    return None


class _DeferredPath(os.PathLike):
    """Path of weights that are located, and downloaded, on first use of the path."""

    def __init__(self, find_path: Callable[[], Any]):
        self._find = functools.cache(find_path)

    def __fspath__(self) -> str:
        return os.fspath(self._find())

    def __str__(self) -> str:
        return self.__fspath__()

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):  # what copying asks for, of an object that has nothing yet
            raise AttributeError(name)
        return getattr(Path(self), name)


def _for_artifacts(original: Callable, instead: Callable, otherwise: Callable) -> Callable:
    """``original``, but ``instead`` where ``trained_model`` is an artifact; that gets its path.

    All three are called with the names and values of the arguments.
    """

    @functools.wraps(original)
    def main(*args: Any, **kwargs: Any) -> Any:
        arguments = inspect.signature(original).bind(*args, **kwargs).arguments
        path = find_artifact(arguments.get("trained_model"))
        if path is None:
            return otherwise(**arguments)
        return instead(**{**arguments, "trained_model": path})

    return main


def _classify(original: Callable) -> Callable:
    def classify(**arguments: Any) -> Any:
        return classify_step.main(**arguments)

    return _for_artifacts(original, classify, original)


def _run(original: Callable) -> Callable:
    def with_keras(**arguments: Any) -> Any:
        _this_thread.keras = True  # its weights are fetched before the long detection, as ever
        try:
            return original(**arguments)
        finally:
            del _this_thread.keras

    return _for_artifacts(original, original, with_keras)


def _no_download(original: Callable) -> Callable:
    @functools.wraps(original)
    def prep_model_weights(model_weights: Any, *args: Any, **kwargs: Any) -> Any:
        if model_weights is not None or getattr(_this_thread, "keras", False):
            return original(model_weights, *args, **kwargs)
        return _DeferredPath(lambda: original(None, *args, **kwargs))

    return prep_model_weights


def _replace(old: Any, new: Any) -> None:
    """Replace a function wherever a module of cellfinder or brainmapper holds it by name."""
    for module in list(sys.modules.values()):
        space = getattr(module, "__dict__", {})
        if str(space.get("__name__")).split(".")[0] in _HOLDERS:
            for key in [key for key, value in space.items() if value is old]:
                setattr(module, key, new)
