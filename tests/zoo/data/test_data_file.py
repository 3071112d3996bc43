"""The data file, one format for cellfinder's entries and for volumes."""

import json
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cfzoo.runtime.errors import InputError
from cfzoo.zoo.data import LabelledVolume, read_data
from cfzoo.zoo.data.cube_folder import CubeFolder, CubeFolders

CUBES = {"cube_dir": "b1/cells", "cell_def": "", "type": "cell", "signal_channel": 0}
CUBES = {**CUBES, "bg_channel": 1}
NON_CELLS = {**CUBES, "cube_dir": "b1/non_cells", "type": "no_cell"}
VOLUME = {"name": "b2", "signal": "b2/signal.tif", "points": "b2/points.xml"}
VOLUME = {**VOLUME, "voxel_size": [5, 2, 2.0]}


@pytest.fixture
def lab(tmp_path):
    """Create the files that the entries name; return a function that writes a data file."""
    for folder in ("b1/cells", "b1/non_cells", "b2", "b3/b1/cells"):
        (tmp_path / folder).mkdir(parents=True)
    for file in ("b2/signal.tif", "b2/background.tif", "b2/points.xml"):
        (tmp_path / file).touch()

    def write(*entries, name="data.yaml"):
        path = tmp_path / name
        path.write_text(yaml.safe_dump({"data": list(entries)}))
        return path

    return write


def test_cubes_and_volumes_in_one_file(lab):
    validation = {**VOLUME, "background": "b2/background.tif", "split": "validation"}
    path = lab(CUBES, validation, {**NON_CELLS, "bg_channel": -1})
    root = path.parent
    assert read_data([path]) == [
        CubeFolders(
            "b1",
            (
                CubeFolder(root / "b1/cells", 1, (0, 1)),
                CubeFolder(root / "b1/non_cells", 0, (0,)),
            ),
        ),
        LabelledVolume(
            "b2",
            root / "b2/signal.tif",
            root / "b2/points.xml",
            (5, 2, 2),
            root / "b2/background.tif",
            "validation",
        ),
    ]
    assert [source.channels for source in read_data([path])] == [1, 2]


def test_file_of_cellfinder_curation(lab):
    """It has absolute paths, keys in its own order, and the means of earlier versions."""
    root = lab(CUBES).parent
    text = "data:\n"
    for folder, kind in (("cells", "cell"), ("non_cells", "no_cell")):
        text += f"- bg_channel: 1\n  cell_def: ''\n  cube_dir: {root / 'b1' / folder}\n"
        text += f"  signal_channel: 0\n  type: {kind}\n  signal_mean: 200.5\n  bg_std: 3\n"
    (root / "elsewhere").mkdir()
    (root / "elsewhere" / "training.yaml").write_text(text)
    (source,) = read_data([root / "elsewhere" / "training.yaml"])
    assert (source.name, source.split, source.voxel_size) == ("b1", "train", (5, 1, 1))
    assert [folder.label for folder in source.folders] == [1, 0]


def test_cube_folders_have_name_split_and_voxel_size(lab):
    wide = {"name": 695, "split": "validation", "voxel_size": [5, 2, 2]}
    (root / "chosen.xml").touch() if (root := lab(CUBES).parent) else None
    path = lab({**CUBES, **wide}, {**NON_CELLS, **wide, "cell_def": "chosen.xml"})
    (source,) = read_data([path])
    assert (source.name, source.split, source.voxel_size) == ("695", "validation", (5, 2, 2))
    assert source.folders[1].cell_def == root / "chosen.xml"


def test_relative_paths_start_from_root(lab, tmp_path_factory):
    path = lab(CUBES, VOLUME)
    moved = tmp_path_factory.mktemp("other") / "data.yaml"
    moved.write_bytes(path.read_bytes())
    assert read_data([moved], path.parent) == read_data([path])
    with pytest.raises(InputError, match=r"cube_dir is 'b1/cells'; expected a folder"):
        read_data([moved])


def test_several_files_need_distinct_names(lab):
    cubes, volume = lab(CUBES, name="one.yaml"), lab(VOLUME, name="two.yaml")
    assert [source.name for source in read_data([volume, cubes])] == ["b2", "b1"]
    with pytest.raises(InputError, match=r"three.yaml holds a data set 'b1'"):
        read_data([cubes, lab(NON_CELLS, name="three.yaml")])


def test_entries_are_json_without_absolute_paths(lab, tmp_path_factory):
    path = lab(CUBES, {**VOLUME, "background": "b2/background.tif"})
    for source in read_data([path]):
        for root in (path.parent, tmp_path_factory.mktemp("other")):
            assert str(path.parent) not in json.dumps(source.entry(root))
    cubes, volume = (source.entry(path.parent) for source in read_data([path]))
    assert cubes["cubes"] == [CUBES]
    assert (volume["signal"], volume["split"]) == ("b2/signal.tif", "train")
    assert read_data([lab(volume)])[0].entry(path.parent) == volume
    (drawn,) = read_data([lab({**volume, "drawn": True})])
    assert drawn.drawn and drawn.entry(path.parent) == {**volume, "drawn": True}
    with pytest.raises(InputError, match="drawn is 1; expected true or false"):
        read_data([lab({**volume, "drawn": 1})])


def without(entry, key):
    return {k: v for k, v in entry.items() if k != key}


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ([without(VOLUME, "points")], "entry 1: points is missing"),
        ([{**VOLUME, "voxel_size": [5, 2]}], r"voxel_size is \[5, 2\]"),
        ([{**VOLUME, "voxel_size": [5, 2, "two"]}], "voxel_size"),
        ([{**VOLUME, "voxel_size": [5, 2, float("nan")]}], "voxel_size"),
        ([{**VOLUME, "voxel_size": [5, 0, True]}], "voxel_size"),
        ([{**VOLUME, "splt": "validation"}], "'splt' is unknown"),
        ([{**VOLUME, "split": "test"}], "split is 'test'; expected train or validation"),
        ([{**VOLUME, "split": ["train"]}], "split"),
        ([{**VOLUME, "signal": 3}], "signal is 3; expected a path"),
        ([{**VOLUME, "signal": "b2/none.tif"}], "signal is 'b2/none.tif'; expected a file"),
        ([{**VOLUME, "points": "b2"}], "points is 'b2'"),
        ([{**VOLUME, "background": "b" * 5000}], "background"),
        ([{**VOLUME, "name": " "}], "name is ' '"),
        ([{**VOLUME, "name": True}], "name is True"),
        ([VOLUME, VOLUME], "entry 2: a data set 'b2' exists already; only folders"),
        ([CUBES, {**VOLUME, "name": "b1"}], "only folders"),
        ([CUBES, {**NON_CELLS, "split": "validation"}], "with split train; got validation"),
        ([CUBES, {**NON_CELLS, "voxel_size": [5, 2, 2]}], r"\(5.0, 1.0, 1.0\) um; got"),
        ([CUBES, {**CUBES, "cube_dir": "b3/b1/cells"}], "from another folder"),
        ([{**CUBES, "type": "cells"}], "type is 'cells'; expected no_cell or cell"),
        ([{**CUBES, "type": None}], "type is None"),
        ([{**CUBES, "signal_channel": -1}], "signal_channel is -1"),
        ([{**CUBES, "bg_channel": "1"}], "bg_channel is '1'; expected a whole number from -1"),
        ([without(CUBES, "bg_channel")], "bg_channel is missing"),
        ([{**CUBES, "cube_dir": "b2/signal.tif"}], "expected a folder that exists"),
        ([{**CUBES, "cell_def": "none.xml"}], "cell_def is 'none.xml'"),
        ([{**CUBES, "points": "b2/points.xml"}], "'points' is unknown"),
        (["b1/cells"], "got 'b1/cells'; expected keys and values"),
        ([None], "got None"),
        ([], "no list under 'data:'"),
    ],
)
def test_refuses_invalid_entries_in_one_line(entries, message, lab):
    path = lab(*entries)
    with pytest.raises(InputError, match=message) as error:
        read_data([path])
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"data: 3",
        b"- cube_dir: x",
        b"data:\n  - [",
        b"data:\n\t- x: 1",
        b"\xff\xfe\x00",
        b"data: [!!timestamp x]",
        b"data: [2024-13-45]",
        b"data: !!python/object/apply:os.system [ls]",
        b"data: &a [*a]",
        b"data: " + b"[" * 5000,
        b"a: &a [1,1,1,1]\nb: &b [*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b]\ndata: [[*c,*c,*c,*c]]",
    ],
)
def test_refuses_other_files(text, tmp_path):
    path = tmp_path / "data.yaml"
    path.write_bytes(text)
    with pytest.raises(InputError) as error:
        read_data([path])
    assert "data.yaml" in str(error.value)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 1000


@pytest.mark.parametrize("name", ["none.yaml", "."])
def test_refuses_missing_file(name, tmp_path):
    with pytest.raises(InputError, match="cannot be read"):
        read_data([tmp_path / name])


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=5,
)
KEYS = sorted({*CUBES, *VOLUME, "background", "split"})


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60
)
@given(st.sampled_from([CUBES, VOLUME]), st.sampled_from(KEYS), VALUES)
def test_any_value_is_read_or_refused(lab, entry, key, value):
    path = lab({**entry, key: value})
    try:
        (source,) = read_data([path])
    except InputError as error:
        assert "data.yaml" in str(error)
        assert "\n" not in str(error)
    else:
        json.dumps(source.entry(Path("/")), allow_nan=False)
