"""A disk that fails at the Nth call that writes: opening, writing, syncing, renaming, closing."""

import io
import os
from contextlib import ExitStack
from pathlib import Path
from unittest.mock import patch

CALLS = ("write", "fsync", "mkdir", "rename", "replace", "unlink", "rmdir", "close")


class FailingDisk:
    """Context in which the Nth call that changes a folder fails; the rest of the time it counts.

    Parameters
    ----------
    folder : str
        Only files in it fail.
    number : int
        Call to fail, from 0; beyond the last, none does.
    error : int
        Its errno.
    """

    def __init__(self, folder, number, error):
        self.folder = os.fspath(folder)
        self.number, self.error = number, error
        self.calls = []
        self._handles = {}

    def __enter__(self):
        self._open, self._os_open, self._close = io.open, os.open, os.close
        self._stack = ExitStack()
        self._stack.enter_context(patch("io.open", self._open_file))
        self._stack.enter_context(patch("os.open", self._open_handle))
        for name in CALLS:
            self._stack.enter_context(patch(f"os.{name}", self._wrap(name, getattr(os, name))))
        return self

    def __exit__(self, *_):
        self._stack.close()

    def _count(self, name, path):
        self.calls.append(f"{name} {Path(path).name}")
        if len(self.calls) == self.number + 1:
            names = () if name in ("write", "fsync", "close") else (path,)  # as the system does
            raise OSError(self.error, os.strerror(self.error), *names)

    def _is_ours(self, path):
        return isinstance(path, (str, os.PathLike)) and os.fspath(path).startswith(self.folder)

    def _wrap(self, name, function):
        def call(target, *args, **options):
            path = self._handles.get(target) if isinstance(target, int) else target
            if self._is_ours(path):
                self._count(name, os.fspath(path))
            return function(target, *args, **options)

        def closing(target, *args, **options):
            path = self._handles.pop(target, None)
            function(target, *args, **options)  # a close that fails has closed nonetheless
            if self._is_ours(path):
                self._count(name, os.fspath(path))

        return closing if name == "close" else call

    def _open_handle(self, path, flags, *args, **options):
        is_written = flags & (os.O_WRONLY | os.O_RDWR)
        if is_written and self._is_ours(path):
            self._count("open", os.fspath(path))
        handle = self._os_open(path, flags, *args, **options)
        self._handles[handle] = os.fspath(path)
        return handle

    def _open_file(self, path, mode="r", *args, **options):
        if not self._is_ours(path) or not set(mode) & set("wxa+"):
            return self._open(path, mode, *args, **options)
        path = os.fspath(path)
        self._count("open", path)
        disk = self

        class Raw(io.FileIO):
            def write(self, data):
                disk._count("write", path)
                return super().write(data)

            def close(self):
                if not self.closed:
                    disk._handles.pop(self.fileno(), None)
                    super().close()
                    disk._count("close", path)

        raw = Raw(path, mode.replace("b", "").replace("t", ""))
        self._handles[raw.fileno()] = path
        buffered = io.BufferedWriter(raw)
        if "b" in mode:
            return buffered
        keys = ("encoding", "errors", "newline")
        return io.TextIOWrapper(buffered, **{k: options[k] for k in keys if k in options})
