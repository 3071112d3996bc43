"""The README's commands, as they are written, in a fresh clone."""

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
def test_both_commands_on_a_fresh_machine(tmp_path):
    """A new clone, a new environment below 250 MB, without torch: one after the other they run."""
    # The working tree as it is, not the last commit.
    subprocess.run(["git", "clone", "-q", ROOT, tmp_path / "cfzoo"], check=True)
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
        text=True,
    ).stdout.split("\0")
    for name in filter(None, listed):
        target = tmp_path / "cfzoo" / name
        if (ROOT / name).exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes((ROOT / name).read_bytes())
    done = subprocess.run(
        ["bash", "-c", SHELL[0]], cwd=tmp_path / "cfzoo", capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert "candidates, " in done.stdout
    assert " cells, " in done.stdout
    places = {"VOLUME": "sample/signal.tif", "POINTS": "sample/candidates.xml"}
    second = re.sub("VOLUME|POINTS", lambda name: places[name[0]], SHELL[1])
    second = subprocess.run(
        ["bash", "-c", f"source .venv/bin/activate && {second}"],
        cwd=tmp_path / "cfzoo",
        capture_output=True,
        text=True,
    )
    assert second.returncode == 0, second.stderr[-2000:]
    one, other = (tmp_path / "cfzoo" / f / "points.csv" for f in ("classified", "brain"))
    assert one.read_text() == other.read_text()  # the sample knows its voxel size
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


def test_verbs_in_the_readme_are_those_that_exist():
    from cfzoo.cli import VERBS

    assert set(re.findall(r"^\| `cfzoo (\w+)", README, re.MULTILINE)) == set(VERBS)


def test_links_lead_somewhere():
    for page in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]:
        for target in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
            if "://" not in target:
                assert (page.parent / target).exists(), f"{page.name}: {target}"
