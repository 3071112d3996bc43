"""The file that ``cfzoo page`` writes, and its faults."""

import base64
import gzip
import hashlib
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from cfzoo.cli import main
from cfzoo.runtime.artifact import bundled, read_model
from cfzoo.workflows.try_page import try_page, write_try_page

ROOT = Path(__file__).resolve().parents[3]


def run(*words):
    with pytest.raises(SystemExit) as end:
        main(["page", *map(str, words)])
    return end.value.code


def read_element(text, name):
    return re.search(rf'<script[^>]* id="{name}">([^<]*)</script>', text)[1]


def test_the_page_holds_each_artifact_as_it_is(built, tmp_path, capsys):
    target = tmp_path / "try.html"
    assert run("attention3d", "pipnet3d", "--no-example", "-o", target) == 0
    out = capsys.readouterr().out
    size = target.stat().st_size / 1e6
    assert out == (
        f"attention3d 1.1.1, pipnet3d 1.2.0 -> {target} ({size:.1f} MB). Open it in a browser.\n"
    )
    text = target.read_text()
    facts = json.loads(read_element(text, "facts"))
    for number, name in enumerate(["attention3d", "pipnet3d"]):
        data = gzip.decompress(base64.b64decode(read_element(text, f"model-{number}")))
        assert data == bundled()[name].read_bytes()
        assert facts["models"][number]["digest"] == data[-64:].decode()
    assert not re.search(r"\{\{|\[\[\w+\]\]", re.sub(r"<script>.*?</script>", "", text, flags=re.S))
    assert run("attention3d", "pipnet3d", "--no-example", "-o", tmp_path / "again.html") == 0
    assert (tmp_path / "again.html").read_bytes() == target.read_bytes()
    assert run("attention3d", "-o", target) == 2  # it exists
    assert "--overwrite" in capsys.readouterr().err


def test_the_policy_allows_the_pages_own_script_and_style_and_no_network(built, tmp_path):
    write_try_page(tmp_path / "try.html", ["pipnet3d"], example=False)
    text = (tmp_path / "try.html").read_text()
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', text)[1]
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    script = re.search(r"<script>(.*?)</script>\n</body>", text, re.S)[1]
    style = re.search(r"<style>(.*?)</style>", text, re.S)[1]
    hashes = [
        f"'sha256-{base64.b64encode(hashlib.sha256(part.encode()).digest()).decode()}'"
        for part in (script, style)
    ]
    assert rules == {
        "default-src": "'none'",
        "script-src": f"{hashes[0]} 'wasm-unsafe-eval'",
        "worker-src": "blob:",
        "style-src": hashes[1],
        "img-src": "data:",
        "connect-src": "data:",  # Zstandard's WebAssembly comes so; it is no network
    }


def test_an_ensemble_and_a_damaged_model_leave_no_file(built, tmp_path, capsys):
    damaged = tmp_path / "damaged.onnx"
    data = bytearray(bundled()["pipnet3d"].read_bytes())
    data[5000] ^= 1
    damaged.write_bytes(data)
    assert run(damaged, "-o", tmp_path / "try.html") == 3
    assert "digest does not fit" in capsys.readouterr().err
    equal = read_model("attention3d"), read_model("pipnet3d")
    from cfzoo.runtime import Ensemble, InputError

    with pytest.raises(InputError, match=r"is an ensemble; the page takes artifacts"):
        write_try_page(tmp_path / "try.html", [Ensemble.of([e.only_artifact for e in equal])])
    with pytest.raises(InputError, match="Got no model"):
        write_try_page(tmp_path / "try.html", [])
    assert not (tmp_path / "try.html").exists()


def test_without_the_browser_parts_the_error_says_how_to_build_them(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(try_page, "BUILT", tmp_path / "built" / "page.html")
    assert run("pipnet3d", "-o", tmp_path / "try.html") == 4
    error = capsys.readouterr().err
    assert "npm --prefix web ci" in error and "npm --prefix web run build" in error
    assert not (tmp_path / "try.html").exists()


def test_too_large_models_are_refused(built, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(try_page, "MOST_BYTES", 1000)
    assert run("pipnet3d", "-o", tmp_path / "try.html") == 2
    assert "Give fewer or smaller ones." in capsys.readouterr().err


def test_the_lock_file_pins_every_part_and_names_no_host():
    lock = json.loads((ROOT / "web" / "package-lock.json").read_text())
    parts = {name: part for name, part in lock["packages"].items() if name}
    assert all(part["integrity"].startswith("sha512-") for part in parts.values())
    assert not [name for name, part in parts.items() if "resolved" in part]
    package = json.loads((ROOT / "web" / "package.json").read_text())
    versions = {**package["dependencies"], **package["devDependencies"]}
    assert all(re.fullmatch(r"[\d.]+", version) for version in versions.values())


def test_two_builds_give_the_same_bytes(built):
    before = built.read_bytes()
    npm = shutil.which("npm")
    done = subprocess.run([npm, "run", "build"], cwd=ROOT / "web", capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert built.read_bytes() == before
