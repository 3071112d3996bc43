"""Bad points, models, outputs or options: one line, the right exit code, nothing written."""

import os
import shutil

import pytest

XML = """<?xml version="1.0"?><CellCounter_Marker_File><Marker_Data><Marker_Type><Type>1</Type>
<Marker><MarkerX>{x}</MarkerX><MarkerY>20</MarkerY><MarkerZ>6</MarkerZ></Marker>
</Marker_Type></Marker_Data></CellCounter_Marker_File>"""


def points(text, name="other.xml"):
    return lambda job: job.write_points(text, name)


def option(*values):
    def spoil(job):
        job.options = [*job.options, *values]

    return spoil


def no_points_file(job):
    job.points = job.folder / "none.xml"


def points_are_a_folder(job):
    job.points = job.folder / "planes"


def output_is_a_file(job):
    job.output = job.folder / "file"
    job.output.write_text("precious")


def output_below_a_file(job):
    (job.folder / "file").write_text("precious")
    job.output = job.folder / "file" / "out"


def output_not_writable(job):
    job.output = "/proc/cfzoo"


def output_is_a_dangling_link(job):
    job.output = job.folder / "link"
    job.output.symlink_to(job.folder / "nowhere")


def output_is_a_loop(job):
    job.output = job.folder / "loop"
    job.output.symlink_to(job.output)


def output_name_too_long(job):
    job.output = job.folder / ("x" * 300)


def output_blocked_by_a_folder(job):
    job.output = job.folder / "o"
    (job.output / "points.csv").mkdir(parents=True)
    job.options += ["--overwrite"]


def output_holds_an_input(job):
    job.output = job.folder / "o"
    job.output.mkdir()
    shutil.copy(job.points, job.output / "points.xml")
    job.points = job.output / "points.xml"
    job.options += ["--overwrite"]


def model_missing(job):
    job.model = job.folder / "none.onnx"


def model_without_card(job):
    import onnx

    model = onnx.load(job.model)
    del model.metadata_props[:]
    job.model = job.folder / "plain.onnx"
    onnx.save(model, job.model)


def model_is_text(job):
    job.model = job.points


def flip(data):
    data[len(data) // 3] ^= 16
    return data


CASES = {
    # name: (function that spoils the job, exit code, text in the message)
    "points missing": (no_points_file, 2, "none.xml"),
    "points are a folder": (points_are_a_folder, 2, "planes"),
    "points file empty": (points(""), 2, "other.xml"),
    "no points in the file": (points("x,y,z\n", "p.csv"), 2, "no points"),
    "points outside": (points(XML.format(x=50)), 2, "lie outside"),
    "points far outside": (points(XML.format(x=2**40)), 2, "other.xml"),
    "points NaN": (points(XML.format(x="nan")), 2, "nan"),
    "points not numbers": (points(XML.format(x="left")), 2, "left"),
    "points without z": (points(XML.format(x=5).replace("MarkerZ", "MarkerW")), 2, "MarkerZ"),
    "XML with DTD": (points('<!DOCTYPE a [<!ENTITY b "c">]>' + XML.format(x=5)), 2, "other.xml"),
    "XML cut short": (points(XML.format(x=5)[:150]), 2, "other.xml"),
    "XML of something else": (points("<html></html>"), 2, "other.xml"),
    "XML of bogus encoding": (points('<?xml version="1.0" encoding="x"?><a/>'), 2, "other.xml"),
    "binary as XML": (points(os.urandom(1000)), 2, "other.xml"),
    "CSV without header": (points("1,2,3\n", "p.csv"), 2, "p.csv"),
    "CSV with a NaN": (points("x,y,z\n1,2,nan\n", "p.csv"), 2, "p.csv"),
    "CSV with a short row": (points("x,y,z\n1,2\n", "p.csv"), 2, "p.csv"),
    "YAML of something else": (points("a: [1, 2\n", "p.yml"), 2, "p.yml"),
    "points of unknown kind": (points("1 2 3", "p.txt"), 2, "p.txt"),
    "model missing": (model_missing, 2, "bundled"),
    "model is text": (model_is_text, 3, "ONNX"),
    "model with one bit flipped": (lambda j: j.change_model(flip), 3, "damaged"),
    "model cut short": (lambda j: j.change_model(lambda d: d[:-10]), 3, "other.onnx"),
    "model with bytes appended": (
        lambda j: j.change_model(lambda d: d + b"\x32\x01a"),
        3,
        "other.onnx",
    ),
    "model without card": (model_without_card, 3, "cfzoo export"),
    "output is a file": (output_is_a_file, 2, "file"),
    "output below a file": (output_below_a_file, 2, "file"),
    "output not writable": (output_not_writable, (2, 4), "/proc"),
    "output is a dangling link": (output_is_a_dangling_link, 2, "link"),
    "output is a loop of links": (output_is_a_loop, 2, "loop"),
    "output name too long": (output_name_too_long, 2, "-o"),
    "output blocked by a folder": (output_blocked_by_a_folder, 2, "points.csv"),
    "output holds an input": (output_holds_an_input, 2, "overwritten"),
    "threshold above one": (option("--threshold", 1.5), 2, "threshold"),
    "batch size zero": (option("--batch-size", 0), 2, "See cfzoo classify --help"),
    "unknown device": (option("--device", "abacus"), 2, "See cfzoo classify --help"),
    "CUDA where there is none": (option("--device", "cuda"), 4, "--device cpu"),
    "unknown option": (option("--frobnicate"), 2, "See cfzoo classify --help"),
}


@pytest.mark.parametrize("name", CASES)
def test_refuses_bad_input(check_refusal, name):
    check_refusal(*CASES[name])


def test_covers_many_cases():
    assert len(CASES) >= 38


@pytest.mark.parametrize(
    "words", [["frob"], ["inspect"], ["export", "resnet9"], ["import", "none.h5"], ["sample"]]
)
def test_other_verbs_refuse_bad_input(cfzoo, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, _, err = cfzoo(*words)
    assert code == 2
    assert len(err.strip().splitlines()) == 1
    assert list(tmp_path.iterdir()) == []
