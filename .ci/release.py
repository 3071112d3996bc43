"""Build all that a release publishes from the last commit, the same bytes each time.

    python .ci/release.py -o dist [--sign KEY] [--address https://github.com/OWNER/cfzoo]
                          [--site https://OWNER.github.io/cfzoo]
                          [--only wheel,artifacts,sbom,hubs,site]

What is not committed does not count: the commit is unpacked and built elsewhere, with its date in
SOURCE_DATE_EPOCH. It needs git, npm, the `dev` extra, `build` and `cyclonedx-bom`. DIST gets

- the wheel and the source distribution, with the browser parts of `cfzoo page`;
- the released artifacts, with signatures if there is a KEY;
- cfzoo.cdx.json, an SBOM (CycloneDX) of the wheel installed with its `cpu` extra, and the models;
- a zip for each hub and model, and the site as a zip;
- SHA256SUMS of all these.

The repository does not say where it lives; with its ADDRESS, the wheel's metadata have links to it.
With the address of the SITE, the pages offer the other versions, which `.ci/versions.py` lays out.
"""

import argparse
import gzip
import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
import venv
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SBOM = "cfzoo.cdx.json"
SUMS = "SHA256SUMS"
INSTALLERS = ("pip", "setuptools")


class Release:
    """A build of a commit.

    Parameters
    ----------
    output : Path
        Folder for what is published; it must not exist.
    folder : Path
        Temporary folder; the commit is unpacked to its ``cfzoo``.
    """

    def __init__(self, output: Path, folder: Path):
        self.output, self.folder, self.source = output, folder, folder / "cfzoo"
        self.epoch = int(run_git("log", "-1", "--format=%ct"))
        self.environment = {
            **os.environ,
            "SOURCE_DATE_EPOCH": str(self.epoch),
            "PYTHONPATH": str(folder),  # the commit, not what is installed
            "PYTHONHASHSEED": "0",
            "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "2"),
            "CFZOO_SIGNATURES": "ignore",
        }

    def run(self, *command: str | Path, cwd: Path | None = None) -> None:
        """Run a command in the unpacked commit; its output is shown if it fails."""
        done = subprocess.run(
            list(map(str, command)),
            cwd=cwd or self.source,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        if done.returncode:
            sys.exit(f"{' '.join(map(str, command))} failed:\n{done.stdout[-4000:]}")

    def cfzoo(self, *words: str | Path) -> None:
        """Run a verb of the commit."""
        code = "from cfzoo.cli import main; main()"
        self.run(sys.executable, "-c", code, *words, cwd=self.folder)

    def unpack(self) -> None:
        """Unpack the commit, with its date as that of all files."""
        archive = subprocess.run(
            ["git", "archive", "HEAD"], cwd=ROOT, capture_output=True, check=True
        ).stdout
        with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
            tar.extractall(self.source, filter="data")

    def add_links(self, address: str, site: str) -> None:
        """Add the links of the project's page on PyPI to the unpacked commit."""
        path = self.source / "pyproject.toml"
        text = add_links(path.read_text(encoding="utf-8"), address, site)
        path.write_text(text, encoding="utf-8", newline="\n")

    def build_wheel(self) -> None:
        """Build the browser parts, the source distribution and the wheel."""
        npm = shutil.which("npm") or "npm"
        self.run(npm, "ci", "--silent", cwd=self.source / "web")
        self.run(npm, "run", "build", "--silent", cwd=self.source / "web")
        shutil.rmtree(self.source / "web" / "node_modules")
        words = (sys.executable, "-m", "build", "--no-isolation", "--outdir", self.output)
        self.run(*words, "--sdist", "--wheel", self.source, cwd=self.folder)
        for path in self.output.glob("*.tar.gz"):
            path.write_bytes(repack(path.read_bytes(), self.epoch))

    def copy_artifacts(self) -> None:
        """Copy the released artifacts."""
        for path in sorted((self.source / "model_cards").glob("*.onnx")):
            shutil.copyfile(path, self.output / path.name)

    def write_sbom(self) -> None:
        """Write what an installed wheel consists of."""
        wheel = next(self.output.glob("*.whl"), None)
        if wheel is None:
            sys.exit("The SBOM needs the wheel: build both.")
        place = self.folder / "environment"
        venv.create(place, with_pip=True)
        python = place / ("Scripts" if os.name == "nt" else "bin") / "python"
        self.run(python, "-m", "pip", "install", "--quiet", f"{wheel.resolve()}[cpu]")
        raw = self.folder / SBOM
        tool = Path(sys.executable).with_name("cyclonedx-py")
        options = ("--output-reproducible", "--output-format", "JSON", "--output-file", raw)
        self.run(tool, "environment", *options, "--pyproject", "pyproject.toml", python)
        models = {path.name: path.read_bytes() for path in sorted(self.output.glob("*.onnx"))}
        version = wheel.name.split("-")[1]
        content = add_models(json.loads(raw.read_text(encoding="utf-8")), models, version)
        (self.output / SBOM).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
        check_sbom(self.output / SBOM)

    def pack_hubs(self) -> None:
        """Write each model as a package of each hub."""
        for path in sorted((self.source / "model_cards").glob("*.onnx")):
            for hub in ("bioimageio", "huggingface"):
                target = self.output / f"{path.stem}-{hub}.zip"
                self.cfzoo("export", path, f"--{hub}", target.resolve())

    def pack_site(self, address: str = "") -> None:
        """Build the documentation, warnings as errors, and pack it."""
        site = self.folder / "site"
        where = ("-D", f"cfzoo_site={address}")
        self.run(sys.executable, "-m", "sphinx", "-q", "-W", *where, "docs", site)
        shutil.rmtree(site / ".doctrees", ignore_errors=True)
        code = (
            "import sys, pathlib; from cfzoo.export.package import write_package; "
            "site = pathlib.Path(sys.argv[1]); files = [p for p in site.rglob('*') if p.is_file()];"
            "write_package(sys.argv[2], {p.relative_to(site).as_posix(): p.read_bytes() for p in "
            "files if p.name != '.buildinfo'})"
        )
        self.run(sys.executable, "-c", code, site, (self.output / "site.zip").resolve())

    def sum_up(self) -> None:
        """Write the checksums of all files."""
        paths = sorted(path for path in self.output.iterdir() if path.name != SUMS)
        rows = [f"{hashlib.sha256(p.read_bytes()).hexdigest()}  {p.name}\n" for p in paths]
        (self.output / SUMS).write_text("".join(rows), encoding="utf-8", newline="\n")

    def sign(self, key: Path) -> None:
        """Sign the artifacts."""
        files = sorted(self.output.glob("*.onnx"))
        command = [sys.executable, "-c", "from cfzoo.cli import main; main()", "sign"]
        words = [str(word.resolve()) for word in files]
        # In this terminal, since it asks for the password.
        subprocess.run(
            [*command, *words, "--key", str(key.resolve())],
            env=self.environment,
            cwd=self.folder,
            check=True,
        )


def repack(content: bytes, epoch: int) -> bytes:
    """Return a tar.gz with its entries sorted, and no trace of when, where and by whom."""
    stream, packed = io.BytesIO(), io.BytesIO()
    with (
        tarfile.open(fileobj=io.BytesIO(content)) as old,
        tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as new,
    ):
        for entry in sorted(old.getmembers(), key=lambda entry: entry.name):
            data = old.extractfile(entry) if entry.isfile() else None
            entry.mtime, entry.uid, entry.gid, entry.uname, entry.gname = epoch, 0, 0, "", ""
            entry.mode = 0o755 if entry.isdir() or entry.mode & 0o100 else 0o644
            entry.pax_headers = {}
            new.addfile(entry, data)
    with gzip.GzipFile(fileobj=packed, mode="wb", filename="", mtime=epoch) as file:
        file.write(stream.getvalue())
    return packed.getvalue()


def add_links(text: str, address: str, site: str = "") -> str:
    """Return a pyproject.toml with the links to a repository and its site."""
    address = address.rstrip("/")
    links = {
        "Documentation": site or f"{address}/blob/HEAD/docs/index.md",
        "Source": address,
        "Issues": f"{address}/issues",
        "Changelog": f"{address}/blob/HEAD/CHANGELOG.md",
    }
    rows = "".join(f"{name} = {json.dumps(link)}\n" for name, link in links.items())
    return f"{text}\n[project.urls]\n{rows}"


def add_models(sbom: dict, models: dict[str, bytes], version: str = "") -> dict:
    """Return an SBOM with the models as components, without pip and paths of this computer.

    The installed cfzoo is not a component beside that which the SBOM is of, but the same.
    """
    own = {**sbom["metadata"]["component"], "version": version}
    left_out = {own["name"]: own["bom-ref"], **dict.fromkeys(INSTALLERS, "")}
    names, components = {}, []
    for component in sbom.get("components", []):
        names[component["bom-ref"]] = left_out.get(component["name"], component["bom-ref"])
        if component["name"] in left_out:
            continue
        references = component.get("externalReferences", [])
        references = [each for each in references if not each["url"].startswith("file:")]
        components.append({**component, "externalReferences": references})
    for name, content in models.items():
        stem, _, number = name.removesuffix(".onnx").rpartition("-")
        digest = hashlib.sha256(content).hexdigest()
        components.append(
            {
                "type": "machine-learning-model",
                "bom-ref": name,
                "name": stem,
                "version": number,
                "hashes": [{"alg": "SHA-256", "content": digest}],
            }
        )
    needs: dict[str, set[str]] = {own["bom-ref"]: set(models)}
    for row in sbom.get("dependencies", []):
        if ref := names.get(row["ref"], row["ref"]):
            others = {names.get(other, other) for other in row.get("dependsOn", [])}
            needs.setdefault(ref, set()).update(others - {"", ref})
    rows = [{"ref": ref, "dependsOn": sorted(others)} for ref, others in sorted(needs.items())]
    metadata = {**sbom["metadata"], "component": own}
    return {**sbom, "metadata": metadata, "components": components, "dependencies": rows}


def check_sbom(path: Path) -> None:
    """Check an SBOM against CycloneDX's schema."""
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    text = path.read_text(encoding="utf-8")
    version = SchemaVersion.from_version(json.loads(text)["specVersion"])
    if error := JsonStrictValidator(version).validate_str(text):
        sys.exit(f"{path.name} is no valid SBOM: {error}")


def run_git(*words: str) -> str:
    """Return what git prints."""
    return subprocess.run(
        ["git", *words], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.strip()


def main() -> None:
    """Build the release."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--sign", type=Path, metavar="KEY", help="secret key of minisign")
    parser.add_argument("--address", help="of the repository, https://...")
    parser.add_argument("--site", default="", help="address of all versions' pages, https://...")
    parser.add_argument("--only", default="wheel,artifacts,sbom,hubs,site")
    choice = parser.parse_args()
    if changed := run_git("status", "--porcelain"):
        print(f"not part of the release, since it is not committed:\n{changed}", file=sys.stderr)
    choice.output.mkdir(parents=True)
    output = choice.output.resolve()
    with tempfile.TemporaryDirectory(prefix="cfzoo-release-") as folder:
        release = Release(output, Path(folder))
        steps: dict[str, Callable[[], None]] = {
            "wheel": release.build_wheel,
            "artifacts": release.copy_artifacts,
            "sbom": release.write_sbom,
            "hubs": release.pack_hubs,
            "site": lambda: release.pack_site(choice.site),
        }
        if unknown := set(choice.only.split(",")) - set(steps):
            parser.error(f"--only has {', '.join(unknown)}; expected {', '.join(steps)}")
        release.unpack()
        if choice.address:
            release.add_links(choice.address, choice.site)
        for name, step in steps.items():
            if name in choice.only.split(","):
                start = time.perf_counter()
                step()
                print(f"{name:10} {time.perf_counter() - start:6.1f} s", flush=True)
        if choice.sign:
            release.sign(choice.sign)
        release.sum_up()
    for path in sorted(output.iterdir()):
        print(f"{path.stat().st_size / 1e6:8.2f} MB  {path.name}")


if __name__ == "__main__":
    main()
