"""brainglobe-utils' YAML, also from other writers, and damage."""

import sys
from copy import deepcopy
from pathlib import Path

import brainglobe_utils.IO.cells as bg
import pytest
from brainglobe_utils.cells.cells import Cell

sys.path.insert(0, str(Path(__file__).parent))
from point_files import ITEM, yaml

from cfzoo.runtime.points import read_points


def test_reads_yaml_of_other_writers(read):
    import yaml as pyyaml

    item = {"x": 1, "y": 2, "z": 3, "type": 2, "metadata": {"x": 9, "l": [{"x": 8}], "t": "a\nb"}}
    data = {
        "CellCounter_Marker_File": True,
        "note": {"x": 7},
        "candidate_cells": [item, deepcopy(item)],
    }
    for text in (
        pyyaml.safe_dump(data),
        "---\n# a\n" + pyyaml.safe_dump(data, sort_keys=False),
        "\ufeff" + pyyaml.safe_dump(data).replace("\n", "\r\n"),
    ):
        assert read(text, ".YAML").zyx.tolist() == [[3, 2, 1]] * 2
    empty = yaml(" []\n", 0)
    assert len(read(empty, ".yml").zyx) == 0


def test_metadata_cannot_pass_for_points(tmp_path):
    traps = [f"a{eol}{pad}- x: 9{eol}{pad}  y: 9" for eol in "\n\r\x85\u2028" for pad in ("", "  ")]
    cells = [Cell((1, 2, 3), 2, {"t": trap, "x": 5, "type": 7}) for trap in traps]
    bg.save_cells(cells, tmp_path / "a.yml")
    points = read_points(tmp_path / "a.yml")
    assert points.zyx.tolist() == [[3, 2, 1]] * len(traps) and (points.types == 2).all()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (yaml(ITEM, 2), "num_candidates is '2', but 1 "),
        (yaml(ITEM)[:-15], "lacks metadata"),
        (yaml(ITEM.replace("    y: 2\n", "")), "lacks y"),
        (yaml(ITEM.replace("y: 2", "y: .nan")), "y is '.nan'"),
        (yaml(ITEM.replace("y: 2", "y: nan")), "y is 'nan'"),
        (yaml(ITEM.replace("y: 2", "y: '2'")), "y is "),
        (yaml(ITEM.replace("y: 2", "y:\n      - 2")), "y is ''"),
        (yaml(ITEM.replace("y: 2", "y: 2\n      3")), "6 spaces"),
        (yaml(ITEM.replace("y: 2", "x: 2")), "got 'x: 2'"),
        (yaml(ITEM.replace("y: 2", "y:2")), "got 'y:2'"),
        (yaml(ITEM.replace("type: 2", "type: cell")), "type is 'cell'"),
        (yaml(ITEM.replace("    z", "   z")), "3 spaces"),
        (yaml(ITEM).replace("true", "false"), "CellCounter"),
        (yaml(" []" + ITEM), "got "),
        (yaml("\n", 0), "candidate_cells"),
        (yaml(" [{x: 1, y: 2, z: 3, type: 2, metadata: {}}]\n"), "candidate_cells"),
        (yaml(ITEM) + "candidate_cells:" + ITEM, "a new key"),
        ("{}", "colon"),
        ("", "CellCounter"),
        (yaml(ITEM + "#" * 70_000), "65536"),
        (yaml("\n  - a0: 1\n" + "".join(f"    a{i}: 1\n" for i in range(1, 2000))), "a1000"),
    ],
)
def test_refuses_yaml(content, message, refused):
    assert message in refused(content, ".yml")
