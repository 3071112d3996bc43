"""The table of a cohort: what it may hold, and all its faults at once."""

import pytest

from cfzoo.runtime.errors import InputError
from cfzoo.runtime.options import Options
from cfzoo.workflows.cohort import CohortFaults, plan_cohort, read_table


def write(path, text):
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_columns_are_read(tmp_path, separator):
    lines = [
        "Brain,Volume,points,voxel_size,model,threshold,channel,animal",
        "m 1,a.tif,a.xml,5 2 2.5,one.onnx=0.4; two.onnx=0.6,0.7,1,mouse",
        "",
        ",b.ome.zarr,b.xml,,,,,rat",
    ]
    text = "\n".join(line.replace(",", separator) for line in lines)
    if separator == ";":
        text = text.replace("one.onnx=0.4; two.onnx=0.6", '"one.onnx=0.4; two.onnx=0.6"')
    path = write(tmp_path / "table.csv", "\ufeff" + text)
    brains, faults = read_table(path, ["attention3d"], Options(edges="drop"))
    assert faults == []
    first, second = brains
    assert (first.name, second.name) == ("m 1", "b")
    assert first.request.models == ("one.onnx=0.4", "two.onnx=0.6")
    assert first.request.voxel_size == (5, 2, 2.5) and first.request.channel == 1
    assert first.request.options == Options(edges="drop", threshold=0.7)
    assert second.request.models == ("attention3d",) and second.request.voxel_size is None
    assert second.request.options == Options(edges="drop")
    assert second.request.folder == str(tmp_path)
    assert [brain.own for brain in brains] == [{"animal": "mouse"}, {"animal": "rat"}]


def test_a_model_of_the_command_lies_in_the_working_folder(tmp_path, monkeypatch):
    folder = tmp_path / "tables"
    folder.mkdir()
    for name in ("lab.onnx", "tables/lab.onnx"):
        (tmp_path / name).write_text("")
    (folder / "table.csv").write_text("volume,points\na,b\n")
    monkeypatch.chdir(tmp_path)
    for model in ("lab.onnx", "lab.onnx=0.5"):
        (brain,), _ = read_table("tables/table.csv", [model])
        assert brain.request.models == (str(tmp_path / model),)
        assert brain.request._locate_model(brain.request.models[0]) == str(tmp_path / model)
    (brain,), _ = read_table("tables/table.csv", ["attention3d"])
    assert brain.request.models == ("attention3d",)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no column 'volume'"),
        ("volume,x\na,b\n", "no column 'points'"),
        ("volume,points,Volume\na,b,c\n", "two columns 'volume'"),
        ("volume,points,cells\na,b,3\n", "a column 'cells', which is one of the results"),
        ("volume,points,stands_out\na,b,no\n", "a column 'stands_out', which is one"),
        ("volume,points\n", "has no rows"),
        ('volume,points\n"a,b\n', "is no CSV"),
    ],
)
def test_what_is_no_table_is_refused(tmp_path, text, message):
    with pytest.raises(InputError, match=message):
        read_table(write(tmp_path / "table.csv", text))


def test_a_table_that_is_not_there_or_no_text_is_refused(tmp_path):
    with pytest.raises(InputError, match="cannot be read"):
        read_table(tmp_path / "table.csv")
    (tmp_path / "table.csv").write_bytes(b"volume,points\n\xff\xfe,\x00\n")
    with pytest.raises(InputError, match="not text in UTF-8"):
        read_table(tmp_path / "table.csv")


def test_all_faults_are_told_at_once(cohort):
    lines = (cohort / "table.csv").read_text().splitlines()
    lines += [
        "more,stack.tif,stack.csv",
        "../up,stack.tif,stack.csv,5 2 2,,x",
        "index.HTML,stack.tif,stack.csv,5 2 2,,x",
        "none,,stack.csv,5 2 2,,x",
        "size,stack.tif,stack.csv,5 2,,x",
        "STACK,stack.tif,stack.csv,5 2 2,,x",
        "gone,gone.tif,stack.csv,5 2 2,,x",
        "points,stack.tif,gone.csv,5 2 2,,x",
        "bare,stack.tif,stack.csv,,,x",
        "model,stack.tif,stack.csv,5 2 2,gone.onnx,x",
    ]
    write(cohort / "table.csv", "\n".join(lines))
    with pytest.raises(CohortFaults) as caught:
        plan_cohort(cohort / "table.csv", cohort / "out")
    faults = caught.value.faults
    expected = [
        "line 5 has 3 fields; expected 6",
        "'../up' cannot be the name of a folder",
        "'index.HTML' cannot be the name of a folder",
        "line 8 (none): the volume is empty",
        "the voxel_size is '5 2'",
        "2 rows are called 'stack'",
        "gone: gone.tif does not exist",
        "points: The points file",
        "bare: stack.tif does not state a plausible voxel size",
        "model: There is no model",
    ]
    assert len(faults) == len(expected)
    for part, fault in zip(expected, faults, strict=True):
        assert part in fault
    assert not (cohort / "out").exists()
