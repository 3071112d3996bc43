"""The GPU: its name, its memory, and the rates that its maker states."""

import shutil
import subprocess
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version

# FLOP/s of dense products, from NVIDIA's data sheets: on single precision without tensor cores, on
# TF32 and on FP16 with them. 0 where the chip has no such unit.
PEAKS = {
    "H200": (67e12, 494.7e12, 989.4e12),
    "H100 80GB HBM3": (67e12, 494.7e12, 989.4e12),
    "H100 PCIe": (51e12, 378e12, 756e12),
    "A100-SXM4-80GB": (19.5e12, 156e12, 312e12),
    "A100-SXM4-40GB": (19.5e12, 156e12, 312e12),
    "A100 80GB PCIe": (19.5e12, 156e12, 312e12),
    "A100-PCIE-40GB": (19.5e12, 156e12, 312e12),
    "A10": (31.2e12, 62.5e12, 125e12),
    "L40S": (91.6e12, 183e12, 362e12),
    "L4": (30.3e12, 60e12, 121e12),
    "T4": (8.1e12, 0.0, 65e12),
    "V100-SXM2-16GB": (15.7e12, 0.0, 125e12),
}
PACKAGES = ("onnxruntime-gpu", "onnxruntime", "tensorrt", "torch", "cellfinder", "numpy")


def measure(settings) -> Iterator[dict]:
    """Yield one row: names, number of devices, memory, peaks by precision, versions."""
    names, memory, driver = _ask(settings)
    if settings.is_rehearsal:
        import stages

        stages.GEMM = 1024
        peaks = {"fp32": stages.measure_gemm() * 1e9}  # of numpy, in place of a data sheet's
    else:
        name = names[0].removeprefix("NVIDIA ").removeprefix("Tesla ") if names else ""
        peaks = dict(zip(("fp32", "tf32", "fp16"), PEAKS.get(name, ()), strict=False))
    yield {
        "devices": names,
        "memory_mb": memory,
        "driver": driver,
        "peak_flop_per_s": {precision: peak for precision, peak in peaks.items() if peak},
        "versions": _list_versions(),
    }


def _ask(settings) -> tuple[list[str], list[int], str]:
    if settings.is_rehearsal:
        return ["CPU", "CPU"], [0, 0], "none"  # two, so that the task for two is rehearsed
    program = shutil.which("nvidia-smi")
    if program is None:
        raise SystemExit("nvidia-smi is not installed: this computer has no NVIDIA GPU.")
    command = [
        program,
        "--query-gpu=name,memory.total,driver_version",
        "--format=csv,noheader,nounits",
    ]
    lines = subprocess.run(
        command, capture_output=True, encoding="utf-8", check=True
    ).stdout.splitlines()
    rows = [[cell.strip() for cell in line.split(",")] for line in lines]
    return [row[0] for row in rows], [int(row[1]) for row in rows], rows[0][2]


def _list_versions() -> dict[str, str]:
    versions = {}
    for package in PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    return versions
