"""Two small brains, and a training on them."""

import json
import sys
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent))
from brain_files import SHORT, entry, run, write_brain


@pytest.fixture(scope="module", autouse=True)
def _one_thread():
    """Networks this small gain nothing from a second thread."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def brains(tmp_path_factory):
    folder = tmp_path_factory.mktemp("brains")
    for seed, name in enumerate(("one", "two")):
        write_brain(folder, name, seed)
    for name, entries in (
        ("train", [entry("one")]),
        ("validation", [entry("two", split="validation")]),
        ("both", [entry("one"), entry("two")]),
    ):
        # JSON is valid YAML.
        (folder / f"{name}.yaml").write_text(json.dumps({"data": entries}))
    return folder


@pytest.fixture(scope="module")
def trained(brains, tmp_path_factory):
    out = tmp_path_factory.mktemp("out") / "run"
    data = [brains / "train.yaml", brains / "validation.yaml"]
    assert run("train", "plain3d", *data, "-o", out, *SHORT, "-q") == 0
    return out
