"""Run the commands of docs/hub.md as written, against a server on this computer."""

import hashlib
import re
import shlex
import shutil
from pathlib import Path

import pytest

from cfzoo.cli import main

ROOT = Path(__file__).resolve().parent.parent


@pytest.mark.slow
def test_commands_of_hub_run(cfzoo_web, tmp_path, monkeypatch):
    """Run them as written, and the verbs that the page says take an address."""
    web, replacements, run = cfzoo_web
    monkeypatch.chdir(tmp_path)
    page = (ROOT / "docs" / "hub.md").read_text()
    commands = re.findall(r"```bash\n(.*?)```", page, re.DOTALL)
    commands = [line for block in commands for line in block.splitlines()]
    assert len(commands) == 5
    lines = ["inspect ADDRESS", "explain VOLUME POINTS --model ADDRESS --point 1 --no-torch"]
    lines += [
        f"{verb} ADDRESS --data DATA.yaml" for verb in ("calibrate", "compare --no-cost --no-shake")
    ]
    lines += ["ensemble fit ADDRESS wavemix3d --data DATA.yaml -o ens.json"]
    for command in [*commands, *(f"cfzoo {line}" for line in lines)]:
        for name, value in replacements.items():
            command = command.replace(name, value)
        words = shlex.split(command)[1:]
        if words[0] in ("classify", "explain"):
            words += ["--voxel-size", "5", "2", "2", "--overwrite"]
        run(words)
    assert Path("attention3d-bioimageio.zip").is_file()
    assert Path("attention3d-hf/SHA256SUMS").is_file() and Path("ens.json").is_file()
    assert len(web.log) == 2  # one file under two names
    run(
        ["classify", "--model", "ens.json", "a.tif", "a.csv", "--voxel-size", *"522", "--overwrite"]
    )


@pytest.fixture
def cfzoo_web(web, labelled_brains, tmp_path, monkeypatch):
    shutil.copytree(labelled_brains, tmp_path, dirs_exist_ok=True)
    content = (ROOT / "model_cards" / "attention3d-1.1.1.onnx").read_bytes()
    web.expect_request("/attention3d.onnx").respond_with_data(content)
    web.expect_request("/lab/net/resolve/1.1.1/other.onnx").respond_with_data(content)
    root = web.url_for("").rstrip("/")
    monkeypatch.setenv("HF_ENDPOINT", root)
    pin = hashlib.sha256(content).hexdigest()
    replacements = {
        "https://HOST": root,
        "OWNER/NAME@REVISION/attention3d": "lab/net@1.1.1/other",
        "ADDRESS": f"{root}/attention3d.onnx#sha256={pin}",
        "HEX": pin,
        "VOLUME": "a.tif",
        "POINTS": "a.csv",
        "DATA.yaml": "data.yaml",
    }

    def run(words):
        with pytest.raises(SystemExit) as exit_info:
            main(words)
        assert exit_info.value.code == 0, words

    return web, replacements, run
