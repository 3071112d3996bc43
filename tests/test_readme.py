"""The README's commands, exactly as written, in a fresh clone."""

import re
import subprocess
from pathlib import Path

import pytest

from cfzoo.cli import main

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text()
SHELL = re.findall(r"```bash\n(.*?)```", README, re.DOTALL)
PYTHON = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


@pytest.mark.slow
def test_both_commands_run_in_a_fresh_environment(tmp_path):
    """A new clone and a new environment below 250 MB, without torch."""
    # Copy the working tree over the last commit.
    subprocess.run(["git", "clone", "-q", ROOT, tmp_path / "cfzoo"], check=True)
    names = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
        text=True,
    ).stdout.split("\0")
    for name in filter(None, names):
        target = tmp_path / "cfzoo" / name
        if (ROOT / name).exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes((ROOT / name).read_bytes())
    first = subprocess.run(
        ["bash", "-c", SHELL[0]], cwd=tmp_path / "cfzoo", capture_output=True, text=True
    )
    assert first.returncode == 0, first.stderr[-2000:]
    assert "candidates, " in first.stdout
    assert " cells, " in first.stdout
    files = {"VOLUME": "sample/signal.tif", "POINTS": "sample/candidates.xml"}
    command = re.sub("VOLUME|POINTS", lambda name: files[name[0]], SHELL[1])
    second = subprocess.run(
        ["bash", "-c", f"source .venv/bin/activate && {command}"],
        cwd=tmp_path / "cfzoo",
        capture_output=True,
        text=True,
    )
    assert second.returncode == 0, second.stderr[-2000:]
    results = [tmp_path / "cfzoo" / name / "points.csv" for name in ("classified", "brain")]
    assert results[0].read_text() == results[1].read_text()  # the sample has its voxel size
    environment = tmp_path / "cfzoo" / ".venv"
    assert not list(environment.glob("lib/*/site-packages/torch"))
    size = sum(p.stat().st_blocks * 512 for p in environment.rglob("*") if not p.is_symlink())
    print(f"the environment takes {size / 1e6:.0f} MB")
    assert size < 250e6


def test_python_block_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit):
        main(["sample", "sample"])
    assert len(PYTHON) == 1
    names: dict = {}
    exec(PYTHON[0], names)
    assert set(names["results"].types) == {1, 2}


def test_the_readme_lists_all_verbs():
    from cfzoo.cli import VERBS

    assert set(re.findall(r"^\| `cfzoo (\w+)", README, re.MULTILINE)) == set(VERBS)


def test_links_have_targets():
    for page in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]:
        for target in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
            if "://" not in target:
                assert (page.parent / target).exists(), f"{page.name}: {target}"
