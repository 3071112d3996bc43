"""The installed cellfinder, taught to accept artifacts as ``trained_model``; and untaught again.

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
_here = threading.local()  # .keras: this thread's run of core.main has no artifact
_swapped: list[tuple[Callable, Callable]] = []  # cellfinder's functions and ours in their place


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
        if not _swapped:
            for original, wrap in (
                (classify.main, _classify),
                (core.main, _run),
                (prep.prep_model_weights, _no_download),
            ):
                _swapped.append((original, wrap(original)))
                _swap(*_swapped[-1])


def disable() -> None:
    """Undo `enable`; nothing of it is left."""
    with _lock:
        while _swapped:
            original, wrapped = _swapped.pop()
            _swap(wrapped, original)


@contextmanager
def enabled() -> Iterator[None]:
    """`enable` for a while; what was enabled before stays so."""
    before = bool(_swapped)
    enable()
    try:
        yield
    finally:
        if not before:
            disable()


def ours(model: Any) -> Path | None:
    """File of the artifact or ensemble that ``trained_model`` means; None for keras' models."""
    if model is None:
        return None
    if is_remote(model):
        return find_model(model)
    path = Path(model)
    if path.suffix in _SUFFIXES or (str(model) in bundled() and not path.exists()):
        return path if path.suffix == ".json" else find_model(model)
    return None


class _Later(os.PathLike):
    """The path of weights, which are looked for, and fetched, when somebody wants to know it."""

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
        given = inspect.signature(original).bind(*args, **kwargs).arguments
        path = ours(given.get("trained_model"))
        if path is None:
            return otherwise(**given)
        return instead(**{**given, "trained_model": path})

    return main


def _classify(original: Callable) -> Callable:
    def classify(**given: Any) -> Any:
        return classify_step.main(**given)

    return _for_artifacts(original, classify, original)


def _run(original: Callable) -> Callable:
    def with_keras(**given: Any) -> Any:
        _here.keras = True  # its weights are fetched before the long detection, as ever
        try:
            return original(**given)
        finally:
            del _here.keras

    return _for_artifacts(original, original, with_keras)


def _no_download(original: Callable) -> Callable:
    @functools.wraps(original)
    def prep_model_weights(model_weights: Any, *args: Any, **kwargs: Any) -> Any:
        if model_weights is not None or getattr(_here, "keras", False):
            return original(model_weights, *args, **kwargs)
        return _Later(lambda: original(None, *args, **kwargs))

    return prep_model_weights


def _swap(old: Any, new: Any) -> None:
    """Put one function in the place of another, wherever a module has imported it by name."""
    for module in list(sys.modules.values()):
        space = getattr(module, "__dict__", {})
        if str(space.get("__name__")).split(".")[0] in _HOLDERS:
            for key in [key for key, value in space.items() if value is old]:
                setattr(module, key, new)
