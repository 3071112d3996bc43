"""``cfzoo doctor``: what is installed here, and what really loads."""

import importlib.util
import os
import platform
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import click

from .. import __version__
from ..runtime.artifact import bundled, cache_folder, read_artifact
from ..runtime.errors import CfzooError, EnvironmentProblem
from ..runtime.session import Session, installed_builds, load_onnxruntime
from ..runtime.threads import available_threads

PACKAGES = (
    "numpy",
    "tifffile",
    "imagecodecs",
    "zarr",
    "torch",
    "onnx",
    "openvino",
    "pooch",
    "cellfinder",
)


WAYS = (("cpu", "onnxruntime"), ("cpu", "openvino"), ("cuda", "onnxruntime"))


@click.command()
def command():
    """Show versions, execution providers, threads, cache and telemetry; exit 4 if unusable."""
    row("cfzoo", f"{__version__}, Python {platform.python_version()}, {platform.platform()}")
    for package in PACKAGES:
        row(package, _installed(package))
    builds = [f"{name} {number}" for name, number in installed_builds().items()]
    row("onnxruntime", ", ".join(builds) or "not installed")
    slurm = os.environ.get("SLURM_CPUS_PER_TASK")
    row("threads", f"{available_threads()}" + (f" (SLURM grants {slurm})" if slurm else ""))
    # The second is what onnxruntime would use if its telemetry were on.
    home = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")  # noqa: PTH111
    telemetry = Path(home, "onnxruntime")  # Path.home() would raise where there is no home folder
    loaded_before = "onnxruntime" in sys.modules
    # OpenVINO alone is enough; builds of onnxruntime that break each other are a problem.
    alone = not builds and importlib.util.find_spec("openvino") is not None
    providers = [] if alone else load_onnxruntime().get_available_providers()
    state = "off" if not loaded_before else "onnxruntime was imported before cfzoo: unknown"
    row(
        "telemetry",
        f"{state} (ORT_DISABLE_TELEMETRY={os.environ.get('ORT_DISABLE_TELEMETRY', 'not set')})",
    )
    row(
        "cache",
        f"{len(list(cache_folder().glob('*/*.onnx')))} models in {cache_folder()}; onnxruntime's: "
        f"{'there, from other programs' if telemetry.exists() else 'none'}",
    )
    row("providers", ", ".join(providers) + " (compiled in)" if providers else "none")
    problems, must = [], "openvino" if alone else "onnxruntime"
    for name, path in bundled().items():
        try:
            artifact = read_artifact(path)
            for device, backend in WAYS:
                row(f"{name} on {device}", _try(artifact, device, backend, must))
        except CfzooError as error:
            problems.append(f"{name}: {error}")
            row(name, f"NOT USABLE: {error}")
    if not bundled():
        problems.append("no bundled artifact")
    if problems:
        raise EnvironmentProblem(f"{'; '.join(problems)}. Install cfzoo again.")


def _try(artifact, device: str, backend: str, must: str) -> str:
    try:
        session = Session(artifact, device, backend=backend)
        error = session.check(artifact)
    except EnvironmentProblem as problem:
        if (device, backend) == ("cpu", must):
            raise
        return f"not available: {problem}"
    return f"{session.provider}, its test passes (difference {error:.1e})"


def _installed(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "there" if importlib.util.find_spec(package) else "not installed"


def row(name: str, text: str) -> None:
    """Print one line of the table."""
    click.echo(f"{name:<16} {text}")
