"""Points/s of the network alone: each configuration, batch size and way to feed the GPU."""

import ctypes
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from configurations import CONFIGURATIONS, count_elsewhere, open_session

from cfzoo.analysis.cost import count_flop
from cfzoo.runtime.artifact import INPUT, OUTPUT, read_artifact
from cfzoo.runtime.session import load_onnxruntime

WARM_UPS = 3  # runs, in which convolutions are tuned and memory is taken
LEAST = 3  # runs that count
CUDART = ("libcudart.so.13", "libcudart.so.12")


def measure(settings) -> Iterator[dict]:
    """Yield a row for each configuration, way of feeding and batch size, until time is up.

    ``numpy`` hands over arrays, as cfzoo does. ``pinned`` copies from page-locked memory into a
    buffer on the device and the answers back. ``device`` has the cubes there already: what the
    network alone can do. The share is FLOP of the graph (convolutions and matrix products) times
    points/s over the chip's stated rate for the precision.
    """
    artifact = read_artifact(settings.model)
    flop = count_flop(artifact)
    for configuration in CONFIGURATIONS:
        name = {"configuration": configuration.name, "precision": configuration.precision}
        if settings.time_left() < 2 * settings.seconds:
            yield {**name, "note": "no time was left"}
            continue
        try:
            start = time.perf_counter()
            session = open_session(artifact, configuration, settings.batches)
            loading = time.perf_counter() - start
        except Exception as error:  # of any library
            yield {**name, "note": str(error).splitlines()[0][:300]}
            continue
        peak = settings.chip.get("peak_flop_per_s", {}).get(configuration.precision)
        name["loading_s"], name["nodes_elsewhere"] = loading, count_elsewhere(session)
        for batch in settings.batches:
            rng = np.random.default_rng(0)
            cubes = rng.gamma(2, 300, (batch, *artifact.test_cube.shape[1:])).astype(np.float32)
            for feed, prepare in FEEDS.items():
                if settings.time_left() < settings.seconds:
                    return
                row = {**name, "batch": batch, "feed": feed}
                try:
                    run = prepare(session, cubes, settings.buffers)
                    rate = batch * measure_rate(run, settings.seconds)
                except Exception as error:  # too large a batch, or a library that lacks something
                    yield {**row, "note": str(error).splitlines()[0][:300]}
                    continue
                row |= {"points_per_s": rate, "flop": flop, "flop_per_s": flop * rate}
                yield {**row, "share": flop * rate / peak if peak else None}


def measure_rate(run: Callable[[], Any], seconds: float) -> float:
    """Return runs per second."""
    for _ in range(WARM_UPS):
        run()
    start, count = time.perf_counter(), 0
    while count < LEAST or time.perf_counter() - start < seconds:
        run()
        count += 1
    return count / (time.perf_counter() - start)


def feed_numpy(session: Any, cubes: np.ndarray, device: str) -> Callable[[], Any]:
    """Hand an array over with each run."""
    return lambda: session.run([OUTPUT], {INPUT: cubes})


def feed_pinned(session: Any, cubes: np.ndarray, device: str) -> Callable[[], Any]:
    """Copy from page-locked memory into a buffer of the device, run, and copy the answers back."""
    lock_pages(cubes, device)
    value = load_onnxruntime().OrtValue.ortvalue_from_numpy(cubes, device, 0)
    binding = _bind(session, value, device)

    def run() -> np.ndarray:
        value.update_inplace(cubes)
        session.run_with_iobinding(binding)
        return binding.copy_outputs_to_cpu()[0]

    return run


def feed_device(session: Any, cubes: np.ndarray, device: str) -> Callable[[], Any]:
    """Run on cubes that are on the device, and leave the answers there."""
    binding = _bind(
        session, load_onnxruntime().OrtValue.ortvalue_from_numpy(cubes, device, 0), device
    )

    def run() -> None:
        session.run_with_iobinding(binding)
        binding.synchronize_outputs()

    return run


FEEDS = {"numpy": feed_numpy, "pinned": feed_pinned, "device": feed_device}


def _bind(session: Any, value: Any, device: str) -> Any:
    binding = session.io_binding()
    binding.bind_ortvalue_input(INPUT, value)
    binding.bind_output(OUTPUT, device)
    return binding


def lock_pages(array: np.ndarray, device: str) -> None:
    """Lock the pages of an array for as long as the process lives, which CUDA then copies faster.

    The CPU of a rehearsal has nothing to lock.
    """
    if device == "cpu":
        return
    for name in CUDART:
        try:
            library = ctypes.CDLL(name)
        except OSError:
            continue
        pointer, size = ctypes.c_void_p(array.ctypes.data), ctypes.c_size_t(array.nbytes)
        if code := library.cudaHostRegister(pointer, size, ctypes.c_uint(0)):
            raise RuntimeError(f"cudaHostRegister failed with code {code}")
        _locked.append(array)
        return
    raise RuntimeError(f"none of {', '.join(CUDART)} is there to lock memory with")


_locked: list[np.ndarray] = []  # whose memory must not be given to anything else
