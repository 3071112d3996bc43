"""The files by which a release is built, published and cited agree with the package."""

import gzip
import io
import json
import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from importlib.metadata import distributions
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

import cfzoo

ROOT = Path(__file__).resolve().parents[2]
FORMS = ROOT / ".github" / "ISSUE_TEMPLATE"
SCHEMAS = {
    "vendor.github-workflows": sorted((ROOT / ".github" / "workflows").glob("*.yml")),
    "vendor.github-issue-forms": [FORMS / "error.yml", FORMS / "model.yml"],
    "vendor.github-issue-config": [FORMS / "config.yml"],
    "vendor.citation-file-format": [ROOT / "CITATION.cff"],
}


@pytest.fixture(scope="module")
def release(script):
    return script(".ci/release.py")


def read(*parts):
    return yaml.safe_load(ROOT.joinpath(*parts).read_text())


@pytest.mark.parametrize("schema", SCHEMAS)
def test_files_keep_their_schemas(schema):
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema]
    done = subprocess.run([*command, *SCHEMAS[schema]], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_version_is_everywhere_the_same():
    assert read("CITATION.cff")["version"] == cfzoo.__version__
    assert read(".conda", "recipe.yaml")["context"]["version"] == cfzoo.__version__
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert read("CITATION.cff")["license"] == project["license"]
    # As the workflow checks it.
    assert f'__version__ = "{cfzoo.__version__}"' in (ROOT / "__init__.py").read_text().splitlines()


def test_the_recipe_of_conda_needs_what_the_package_needs():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    needs = [*project["dependencies"], *project["optional-dependencies"]["cpu"]]
    requirements = [Requirement(need) for need in needs]
    # conda-forge's onnxruntime has the same floor on all systems.
    linux = {"sys_platform": "linux", "platform_machine": "x86_64"}
    expected = {
        f"{r.name}{r.specifier}"
        for r in requirements
        if r.marker is None or r.marker.evaluate(linux)
    }
    recipe = read(".conda", "recipe.yaml")
    run = [need for need in recipe["requirements"]["run"] if not need.startswith("python ")]
    assert {need.replace(" ", "") for need in run} == expected
    assert f">={recipe['context']['python_min']}" == project["requires-python"]
    (entry,) = recipe["build"]["python"]["entry_points"]
    assert entry.partition(" = ")[2] == project["scripts"]["cfzoo"]


@pytest.mark.parametrize("form", ["error.yml", "model.yml"])
def test_forms_ask_for_the_doctors_report(form):
    fields = {field.get("id"): field for field in read(".github", "ISSUE_TEMPLATE", form)["body"]}
    assert "`cfzoo doctor --json`" in fields["doctor"]["attributes"]["label"]
    assert fields["doctor"]["validations"]["required"]


def test_no_workflow_has_a_password():
    for path in SCHEMAS["vendor.github-workflows"]:
        assert "secrets." not in path.read_text(), path


def test_the_container_has_no_training_framework_and_no_root():
    lines = (ROOT / ".ci" / "Dockerfile").read_text().splitlines()
    arguments = dict(line[4:].split("=") for line in lines if line.startswith("ARG "))
    extras = [*arguments["DEVICE"].split(","), *arguments["EXTRAS"].split(","), "gpu"]
    optional = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"][
        "optional-dependencies"
    ]
    needs = [need for extra in extras for need in optional[extra]]
    assert not [need for need in needs if re.match("torch|lightning|keras|napari", need)]
    assert lines.index("USER 1000") < lines.index('ENTRYPOINT ["cfzoo"]')


def test_links_are_added_where_the_repository_has_an_address(release):
    text = (ROOT / "pyproject.toml").read_text()
    project = tomllib.loads(release.add_links(text, "https://a.b/c/"))["project"]
    assert project["urls"]["Issues"] == "https://a.b/c/issues"
    assert project["urls"]["Documentation"].startswith("https://a.b/c/")
    project = tomllib.loads(release.add_links(text, "https://a.b/c", "https://d.e"))["project"]
    assert project["urls"]["Documentation"] == "https://d.e"
    assert project.items() > tomllib.loads(text)["project"].items()


def test_a_floor_that_another_package_hides_is_marked(script):
    floors = script(".ci/floors.py")
    optional = {"zarr": ["zarr>=3.1.4", "fsspec>=2025.2,!=2025.3"], "dev": ["Cf_Zoo[zarr]"]}
    project = {"name": "cf-zoo", "dependencies": ["numpy>=1.26"], "optional-dependencies": optional}
    needs = floors.read_floors(floors.read_needs(project, ["dev"]))
    assert {name: str(version) for name, version in needs.items()} == {
        "numpy": "1.26",
        "zarr": "3.1.4",
        "fsspec": "2025.2",
    }
    installed = {"numpy": "1.26.0", "zarr": "3.1.40", "fsspec": "2025.2.0"}
    table = floors.write_table(needs, {name: floors.Version(v) for name, v in installed.items()})
    assert [line.endswith("above its floor") for line in table.splitlines()] == [False, False, True]


def pack_sites(folder, *versions):
    for version in versions:
        (folder / version).mkdir(parents=True)
        with zipfile.ZipFile(folder / version / "site.zip", "w") as packed:
            packed.writestr("howto/label.html", version)


def test_the_sites_of_all_releases_stand_beside_each_other(script, tmp_path):
    pack_sites(tmp_path / "releases", "0.9.1", "0.10.0", "0.2.0")
    site = tmp_path / "site"
    versions = script(".ci/versions.py").lay_out(tmp_path / "releases", site, "https://a.b/c/")
    assert versions == ["0.10.0", "0.9.1", "0.2.0"]
    assert [(site / each / "howto" / "label.html").read_text() for each in versions] == versions
    rows = json.loads((site / "switcher.json").read_text())
    assert [row["url"] for row in rows] == [f"https://a.b/c/{each}/" for each in versions]
    assert [row.get("preferred", False) for row in rows] == [True, False, False]
    assert 'url=0.10.0/index.html"' in (site / "index.html").read_text()


def test_the_front_leads_to_a_candidate_only_where_there_is_no_version(script, tmp_path):
    pack_sites(tmp_path / "releases", "1.0.0rc2", "1.0.0rc10")
    lay_out = script(".ci/versions.py").lay_out
    versions = lay_out(tmp_path / "releases", tmp_path / "candidates", "https://a.b/c")
    assert versions == ["1.0.0rc10", "1.0.0rc2"]
    assert "url=1.0.0rc10/index" in (tmp_path / "candidates" / "index.html").read_text()
    pack_sites(tmp_path / "releases", "1.0.0", "1.1.0rc1", "0.9.0")
    versions = lay_out(tmp_path / "releases", tmp_path / "all", "https://a.b/c")
    assert versions == ["1.0.0", "0.9.0", "1.1.0rc1", "1.0.0rc10", "1.0.0rc2"]
    assert "url=1.0.0/index" in (tmp_path / "all" / "index.html").read_text()


def test_a_folder_that_is_no_version_is_refused(script, tmp_path):
    pack_sites(tmp_path, "0.9.1", "v0.10.0")
    with pytest.raises(SystemExit, match=r"v0\.10\.0: expected folders that are versions"):
        script(".ci/versions.py").lay_out(tmp_path, tmp_path / "site", "https://a.b/c")
    assert not (tmp_path / "site").exists()


def test_packages_are_weighed_without_what_installs_them(script, tmp_path, monkeypatch, capsys):
    for name in ("one", "pip"):
        folder = tmp_path / f"{name}-1.0.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(f"Name: {name}\nVersion: 1.0\n")
        (folder / "RECORD").write_text(f"{name}.py,,\n{name}.pyc,,\n")
        (tmp_path / f"{name}.py").write_bytes(bytes(2_000_000))
    weigh = script(".ci/weigh.py")
    packages = list(distributions(path=[str(tmp_path)]))
    monkeypatch.setattr(weigh, "distributions", lambda: packages)
    monkeypatch.setattr(sys, "argv", ["weigh.py", "--most", "2"])
    weigh.main()
    assert capsys.readouterr().out.splitlines()[-1].split() == ["2.0", "MB"]
    monkeypatch.setattr(sys, "argv", ["weigh.py", "--most", "1.9"])
    with pytest.raises(SystemExit, match=r"2\.0 MB; expected at most 1\.9"):
        weigh.main()


def pack(names, mtime, user):
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as tar:
        for name in names:
            entry = tarfile.TarInfo(name)
            entry.size, entry.mtime, entry.uname = len(name), mtime, user
            entry.mode = 0o664 if user else 0o600
            tar.addfile(entry, io.BytesIO(name.encode()))
    return stream.getvalue()


def test_a_source_distribution_does_not_say_when_and_by_whom(release):
    first, second = pack("ab", 1, "one"), pack("ba", 2.5, "")
    assert first != second
    packed = release.repack(first, 1_700_000_000)
    assert packed == release.repack(second, 1_700_000_000) != release.repack(first, 1)
    with tarfile.open(fileobj=io.BytesIO(gzip.decompress(packed))) as tar:
        assert [tar.extractfile(e).read() for e in tar.getmembers()] == [b"a", b"b"]
        assert {(e.mtime, e.uname, e.mode) for e in tar} == {(1_700_000_000, "", 0o644)}


def test_the_sbom_has_the_models_and_no_paths(release):
    local, web = {"type": "distribution", "url": "file:///home/me/cfzoo.whl"}, {"url": "https://a"}
    sbom = {
        "metadata": {"component": {"name": "cfzoo", "bom-ref": "root", "type": "application"}},
        "components": [
            {"name": "cfzoo", "bom-ref": "cfzoo==1"},
            {"name": "numpy", "bom-ref": "numpy==2", "externalReferences": [local, web]},
            {"name": "pip", "bom-ref": "pip==3"},
        ],
        "dependencies": [
            {"ref": "root", "dependsOn": ["cfzoo==1", "pip==3"]},
            {"ref": "cfzoo==1", "dependsOn": ["numpy==2"]},
            {"ref": "numpy==2"},
            {"ref": "pip==3"},
        ],
    }
    content = release.add_models(sbom, {"lab-two-1.2.0.onnx": b"abc"}, "1.0.0")
    numpy, model = content["components"]
    assert numpy["externalReferences"] == [web]
    assert (model["name"], model["version"]) == ("lab-two", "1.2.0")
    assert model["hashes"][0]["content"].startswith("ba7816bf")
    assert content["metadata"]["component"]["version"] == "1.0.0"
    rows = {row["ref"]: row["dependsOn"] for row in content["dependencies"]}
    assert rows == {"root": ["lab-two-1.2.0.onnx", "numpy==2"], "numpy==2": []}
