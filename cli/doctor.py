"""``cfzoo doctor``: show what is installed and whether it loads."""

import importlib.util
import json
import os
import platform
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import click

from .. import __version__
from ..runtime.artifact import Artifact, bundled, cache_folder, read_artifact
from ..runtime.cpu_grants import list_grants
from ..runtime.errors import CfzooError, EnvironmentProblem
from ..runtime.session import Session, installed_builds, load_onnxruntime
from ..runtime.trust import signature_policy, trusted_keys
from .terminal import echo

PACKAGES = (
    "numpy",
    "tifffile",
    "imagecodecs",
    "zarr",
    "torch",
    "onnx",
    "openvino",
    "pooch",
    "py-minisign",
    "cellfinder",
)

RUNNERS = (("cpu", "onnxruntime"), ("cpu", "openvino"), ("cuda", "onnxruntime"))


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for a report of an error.")
def command(as_json):
    """Show versions, execution providers, threads, cache and telemetry; exit 4 if unusable."""
    rows: dict[str, str] = {}
    problems = []
    for name, text in _examine(problems):
        rows[name] = text
        if not as_json:
            echo(f"{name:<{40 if ' on ' in name else 16}} {text}")
    if as_json:
        echo(json.dumps({"report": rows, "problems": problems}, indent=1))
    if problems:
        raise EnvironmentProblem(f"{'; '.join(problems)}. Reinstall cfzoo.")


def _examine(problems: list[str]) -> Iterator[tuple[str, str]]:
    """Yield names and texts of the report, as they are found; add what makes cfzoo unusable."""
    yield "cfzoo", f"{__version__}, Python {platform.python_version()}, {platform.platform()}"
    for package in PACKAGES:
        yield package, _version(package)
    builds = [f"{name} {number}" for name, number in installed_builds().items()]
    yield "onnxruntime", ", ".join(builds) or "not installed"
    grants = list_grants()
    first, *others = (f"{grant.source} grants {grant.count}" for grant in grants)
    yield "threads", f"{grants[0].count} ({first}){''.join(f', {text}' for text in others)}"
    # onnxruntime creates this folder if its telemetry is on.
    home = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")  # noqa: PTH111
    telemetry = Path(home, "onnxruntime")  # Path.home() raises if there is no home folder
    loaded_before = "onnxruntime" in sys.modules
    # OpenVINO alone is enough; builds of onnxruntime that break each other are a problem.
    openvino_alone = not builds and importlib.util.find_spec("openvino") is not None
    providers = [] if openvino_alone else load_onnxruntime().get_available_providers()
    state = "off" if not loaded_before else "onnxruntime was imported before cfzoo: unknown"
    variable = os.environ.get("ORT_DISABLE_TELEMETRY", "not set")
    yield "telemetry", f"{state} (ORT_DISABLE_TELEMETRY={variable})"
    others = "present, from other programs" if telemetry.exists() else "none"
    count = len(list(cache_folder().glob("*/*.onnx")))
    yield "cache", f"{count} models in {cache_folder()}; onnxruntime's: {others}"
    yield "signatures", f"{signature_policy()}, {len(trusted_keys())} trusted keys"
    yield "providers", ", ".join(providers) + " (compiled in)" if providers else "none"
    required = "openvino" if openvino_alone else "onnxruntime"
    for name, path in bundled().items():
        try:
            artifact = read_artifact(path)
            for device, backend in RUNNERS:
                label = f"{name} on {device.upper()} with {backend}"
                yield label, _check(artifact, device, backend, required)
        except CfzooError as error:
            problems.append(f"{name}: {error}")
            yield name, f"NOT USABLE: {error}"
    if not bundled():
        problems.append("no bundled artifact")


def _check(artifact: Artifact, device: str, backend: str, required: str) -> str:
    try:
        session = Session(artifact, device, backend=backend)
        error = session.check(artifact)
    except EnvironmentProblem as problem:
        if (device, backend) == ("cpu", required):
            raise
        return f"not available: {problem}"
    return f"{session.provider}, its test passes (difference {error:.1e})"


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "installed" if importlib.util.find_spec(package) else "not installed"
