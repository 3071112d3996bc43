"""The installed cellfinder, taught to accept artifacts as ``trained_model``; and untaught again.

Two functions get a wrapper: ``classify.main``, which scripts and brainmapper call, and
``core.main.main``, which napari calls; others go on as they were, and so does whatever is no
artifact. While a run has an artifact, the default weights are not fetched.
"""

import functools
import inspect
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .artifact import bundled, find
from .errors import EnvironmentProblem
from .remote import is_remote

_SUFFIXES = (".onnx", ".json")
_HOLDERS = ("cellfinder", "brainglobe_workflows")  # packages that hold cellfinder's functions
_lock = threading.Lock()
_here = threading.local()  # .artifact: this thread's run of core.main has one
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
        return find(model)
    path = Path(model)
    if path.suffix in _SUFFIXES or (str(model) in bundled() and not path.exists()):
        return path if path.suffix == ".json" else find(model)
    return None


def _for_artifacts(original: Callable, instead: Callable[[dict[str, Any]], Any]) -> Callable:
    """``original``, but ``instead`` where ``trained_model`` is an artifact; that gets its path."""

    @functools.wraps(original)
    def main(*args: Any, **kwargs: Any) -> Any:
        given = inspect.signature(original).bind(*args, **kwargs).arguments
        path = ours(given.get("trained_model"))
        if path is None:
            return original(*args, **kwargs)
        return instead({**given, "trained_model": path})

    return main


def _classify(original: Callable) -> Callable:
    def classify(given: dict[str, Any]) -> Any:
        from .cellfinder import main

        return main(**given)

    return _for_artifacts(original, classify)


def _run(original: Callable) -> Callable:
    def run(given: dict[str, Any]) -> Any:
        _here.artifact = given["trained_model"]
        try:
            return original(**given)
        finally:
            del _here.artifact

    return _for_artifacts(original, run)


def _no_download(original: Callable) -> Callable:
    """Cellfinder looks for weights, and fetches its own, also where it has a trained model."""

    @functools.wraps(original)
    def prep_model_weights(*args: Any, **kwargs: Any) -> Any:
        return getattr(_here, "artifact", None) or original(*args, **kwargs)

    return prep_model_weights


def _swap(old: Any, new: Any) -> None:
    """Put one function in the place of another, wherever a module has imported it by name."""
    for module in list(sys.modules.values()):
        space = getattr(module, "__dict__", {})
        if str(space.get("__name__")).split(".")[0] in _HOLDERS:
            for key in [key for key, value in space.items() if value is old]:
                setattr(module, key, new)
