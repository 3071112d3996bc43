"""Accelerators that this computer lacks, as onnxruntime shows them: its CPU under other names.

For tests, and for the rehearsal of `benchmarks/gpu.py`. What happens around a network is real:
the sessions are onnxruntime's own, and so are the ways in which they fail.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest.mock import patch

from cfzoo.runtime.session import load_onnxruntime
from cfzoo.runtime.session.backends import onnxruntime_backend

CPU = "CPUExecutionProvider"
OUT_OF_MEMORY = "Failed to allocate memory for requested buffer of size 1073741824"


@contextmanager
def accelerator(
    *providers: str,
    most_cubes: int | None = None,
    loading: str = "",
    running: str = "",
) -> Iterator[list[dict[str, Any]]]:
    """Let onnxruntime have an accelerator while the context lasts.

    Parameters
    ----------
    *providers : str
        Its execution providers; CUDA if none is given.
    most_cubes : int, optional
        Largest batch for which its memory is enough.
    loading, running : str
        If not empty, what it says when a session is made, or run: it then fails.

    Yields
    ------
    list of dict
        Of each session: its provider, the provider's options, the session's options, the arguments
        and the sizes of its batches. It grows.
    """
    ort = load_onnxruntime()
    real, sessions = getattr(ort.InferenceSession, "real", ort.InferenceSession), []
    pretended = providers or ("CUDAExecutionProvider",)

    class Pretended(real):
        def __init__(self, model, options=None, providers=(CPU,), **arguments):
            first = providers[0]
            name, settings = first if isinstance(first, tuple) else (first, {})
            self._is_pretended = name in pretended
            self._record = {
                "provider": name, "settings": settings, "options": options, "sizes": [],
                "arguments": arguments,
            }  # fmt: skip
            sessions.append(self._record)
            super().__init__(model, options, providers=[CPU], **arguments)
            if self._is_pretended:
                self._providers = [name, CPU]
                if running:
                    self._sess = _Failing(self._sess, running)

        def _create_inference_session(self, *arguments, **named):
            if self._is_pretended and loading and not hasattr(self, "_fallback_providers"):
                self._fallback_providers = [CPU]
                raise RuntimeError(loading)
            super()._create_inference_session(*arguments, **named)

        def run(self, outputs, feeds, *arguments):
            (cubes,) = feeds.values()
            self._record["sizes"].append(len(cubes))
            if self._is_pretended and most_cubes is not None and len(cubes) > most_cubes:
                raise RuntimeError(OUT_OF_MEMORY)
            return super().run(outputs, feeds, *arguments)

    Pretended.real = real  # for a context within this one
    with ExitStack() as stack:
        for target, name, value in (
            (ort, "InferenceSession", Pretended),
            (ort, "get_available_providers", lambda: [*pretended, CPU]),
            (ort, "preload_dlls", lambda: None),
            (onnxruntime_backend, "installed_builds", lambda: {"onnxruntime-gpu": "1"}),
        ):
            stack.enter_context(patch.object(target, name, value))
        yield sessions


class _Failing:
    """A session of onnxruntime's core whose provider fails whenever it runs."""

    def __init__(self, session: Any, words: str):
        self._session, self._words = session, words

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session, name)

    def run(self, *_: Any) -> None:
        from onnxruntime.capi.onnxruntime_pybind11_state import EPFail

        raise EPFail(self._words)
