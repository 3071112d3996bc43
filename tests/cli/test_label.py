"""``cfzoo label``, and the way from its page to a classification with the lab's own artifact."""

import csv

import numpy as np
import pytest
import tifffile

from cfzoo.runtime.sample import VOXEL_SIZE, write_sample

SIZE = ("--voxel-size", *VOXEL_SIZE)


@pytest.fixture(scope="module")
def folder(script, tmp_path_factory):
    folder = tmp_path_factory.mktemp("label")
    write_sample(folder, overwrite=True)
    script("tests/headed_artifact.py").write_artifact(folder)
    return folder


@pytest.fixture
def address(cfzoo, folder):
    arguments = [folder / "signal.tif", folder / "candidates.xml", *SIZE]
    arguments += ["--model", folder / "headed-1.0.0.onnx", "-o", folder / "labels.html"]
    code, out, _ = cfzoo("label", *arguments, "--overwrite")
    assert code == 0
    size = (folder / "labels.html").stat().st_size
    assert out.endswith(f"labels.html ({size / 1e6:.1f} MB). Open it in a browser.\n")
    return (folder / "labels.html").as_uri()


def test_labels_of_the_page_make_the_artifact_that_the_page_has_shown(
    cfzoo, folder, visit, address
):
    page = visit()
    page.evaluate("labelPage.ready")
    for _ in range(24):
        number = page.evaluate("labelPage.history.numbers[labelPage.viewed]")
        page.keyboard.press("c" if number % 3 else "x")
    with page.expect_download() as download:
        page.locator("#save-csv").click()
    download.value.save_as(folder / "signal-labels.csv")
    model, points = folder / "headed-1.0.0.onnx", folder / "candidates.xml"
    lab, labels = folder / "lab.onnx", folder / "signal-labels.csv"
    arguments = [model, folder / "signal.tif", points, "--labels", labels, "-o", lab, *SIZE, "-q"]
    assert cfzoo("adapt", *arguments) == (0, "", "")
    output = ["-o", folder / "classified", "--overwrite", *SIZE]
    assert cfzoo("classify", folder / "signal.tif", points, "--model", lab, *output)[0] == 0
    with (folder / "classified" / "points.csv").open() as file:
        probability = [float(row["probability"]) for row in csv.DictReader(file)]
    numbers, shown = page.evaluate("[labelPage.history.numbers, labelPage.probabilities]")
    np.testing.assert_allclose(np.array(probability)[np.array(numbers) - 1], shown, atol=1e-4)


def test_a_page_is_not_replaced_by_accident_and_no_input_ever(cfzoo, folder, address):
    model = ["--model", folder / "headed-1.0.0.onnx", *SIZE]
    inputs = [folder / "signal.tif", folder / "candidates.xml"]
    before = (folder / "labels.html").read_bytes()
    code, _, err = cfzoo("label", *inputs, *model, "-o", folder / "labels.html")
    assert code == 2 and "already holds labels.html" in err
    code, _, err = cfzoo("label", *inputs, *model, "-o", inputs[1], "--overwrite")
    assert code == 2 and "is an input" in err
    code, out, err = cfzoo(
        "label", *inputs, *model, "-o", folder / "labels.html", "--overwrite", "-q"
    )
    assert (code, out, err) == (0, "", "")
    assert (folder / "labels.html").read_bytes() == before


def test_what_cannot_be_labelled_is_refused_in_one_line(cfzoo, folder, tmp_path):
    headed = ["--model", folder / "headed-1.0.0.onnx", *SIZE, "-o", tmp_path / "labels.html"]
    signal, points = folder / "signal.tif", folder / "candidates.xml"
    (tmp_path / "none.csv").write_text("x,y,z\n")
    tifffile.imwrite(tmp_path / "other.tif", np.zeros((9, 30, 30), np.uint16))
    for arguments, code, message in (
        ([signal, tmp_path / "none.csv", *headed], 2, "nothing to label"),
        ([signal, points, *headed, "--background", tmp_path / "other.tif"], 2, "same shape"),
        ([signal, points, "--model", "attention3d", *headed[2:]], 3, "nothing to adapt"),
        ([signal, points, *headed, "--field", 500], 2, "500"),
        ([signal, points, *headed, "--pool", 0], 2, "0"),
    ):
        result = cfzoo("label", *arguments)
        assert result[0] == code, result
        assert message in result[2] and result[2].count("\n") == 1
    assert not (tmp_path / "labels.html").exists()
