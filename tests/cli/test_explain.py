"""`cfzoo explain` and `cfzoo classify --save-cams`, from files to files."""

import dataclasses
import json
import subprocess
import sys

import pytest
import tifffile
from PIL import Image

from cfzoo.export.release import export_release
from cfzoo.runtime.artifact import DEFAULT_MODELS


@pytest.fixture(scope="module")
def crop(tmp_path_factory):
    from click.testing import CliRunner

    from cfzoo.cli.sample import command

    folder = tmp_path_factory.mktemp("sample")
    assert CliRunner().invoke(command, [str(folder)]).exit_code == 0
    return folder / "signal.tif", folder / "candidates.xml"


def numbers(folder):
    return [
        row["point"] for row in json.loads((folder / "explanations.json").read_text())["points"]
    ]


def test_writes_a_gallery_of_the_chosen_points(cfzoo, crop, tmp_path):
    out = tmp_path / "e"
    args = ["--model", "attention3d", "--point", 150, "--uncertain", 2, "--confident", 1, "-o", out]
    code, text, _ = cfzoo("explain", *crop, *args)
    assert (code, text.strip()) == (0, str(out / "index.html"))
    chosen = numbers(out)
    assert chosen[0] == 150 and len(chosen) == 5
    page = (out / "index.html").read_text()
    for number in chosen:
        assert f'id="point-{number}"' in page and f"point-{number}.tif" in page
        with Image.open(out / f"point-{number}.png") as picture:
            assert picture.width > 600
    channels = json.loads((out / "explanations.json").read_text())["channels"]
    assert channels == ["signal", "grad_cam", "relevance", "guided_backprop", "guided_grad_cam",
                        "attention_fine", "attention_coarse"]  # fmt: skip
    assert "by what was learnt" in page and "http" not in page
    code, _, err = cfzoo("explain", *crop, *args)
    assert code == 2 and "already holds" in err
    assert cfzoo("explain", *crop, *args, "--overwrite")[0] == 0


def test_works_without_torch(crop, tmp_path):
    """In a separate process in which torch cannot be imported."""
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "from cfzoo.cli import main\n"
        f"main(['explain', {str(crop[0])!r}, {str(crop[1])!r}, '-o', {str(tmp_path / 'e')!r}])"
    )
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert process.returncode == 0, process.stderr
    assert "Only the maps that the artifact itself gives" in process.stdout
    description = json.loads((tmp_path / "e" / "explanations.json").read_text())
    assert description["channels"] == ["signal", "grad_cam", "relevance"]
    assert len(description["points"]) == 12


def test_maps_of_torch_equal_those_of_the_artifact(cfzoo, crop, tmp_path):
    """Maps of another layer differ."""
    import tifffile

    def maps(*args):
        out = tmp_path / "-".join(map(str, ("m", *args)))
        code, _, err = cfzoo(
            "explain", *crop, "--model", "attention3d", "--point", 150, "-o", out, *args
        )
        assert code == 0, err
        return tifffile.imread(out / "point-150.tif")[1]

    expected = maps("--no-torch")
    assert abs(maps("--layer", "gate2.weighted") - expected).max() <= 1e-4 * abs(expected).max()
    assert abs(maps("--layer", "stage1") - expected).max() > 0.1 * abs(expected).max()


def test_classify_saves_and_removes_cams(cfzoo, crop, tmp_path):
    out = tmp_path / "c"
    assert cfzoo("classify", *crop, "-o", out, "--save-cams", 4)[0] == 0
    assert len(numbers(out / "cams")) == 4
    assert len(list((out / "cams").glob("*.tif"))) == 4
    assert (out / "points.csv").exists()
    for words in (["--save-cams", 4], []):  # both would replace them
        code, _, err = cfzoo("classify", *crop, "-o", out, *words)
        assert code == 2 and "already holds" in err
    assert cfzoo("classify", *crop, "-o", out, "--overwrite")[0] == 0
    assert not list((out / "cams").iterdir())  # maps of other results would mislead


def test_interrupted_cams_do_not_block_the_next_run(cfzoo, crop, tmp_path, monkeypatch):
    out, write, calls = tmp_path / "c", tifffile.imwrite, []

    def interrupt_third(*args, **options):
        calls.append(args)
        if len(calls) == 3:
            raise KeyboardInterrupt
        write(*args, **options)

    monkeypatch.setattr(tifffile, "imwrite", interrupt_third)
    assert cfzoo("classify", *crop, "-o", out, "--save-cams", 4)[0] == 130
    assert len(calls) == 3 and not (out / "cams").exists()
    assert (out / "run.json").exists()  # the results are not lost with the maps
    assert cfzoo("classify", *crop, "-o", out, "--save-cams", 4)[0] == 0
    assert sorted(path.name for path in out.iterdir())[:2] == ["cams", "points.csv"]
    assert len(numbers(out / "cams")) == 4


def test_maps_without_onnxruntime_are_refused_before_the_run(cfzoo, crop, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)  # makes its import fail
    words = ("-o", tmp_path / "c", "--save-cams", 4, "--backend", "openvino")
    code, _, err = cfzoo("classify", *crop, *words)
    assert code == 4 and "onnxruntime cannot be imported" in err
    assert not (tmp_path / "c").exists()


def test_cams_do_not_cost_the_results(cfzoo, crop, tmp_path):
    """Without any classified point, and with a file in place of the folder."""
    (tmp_path / "edge.csv").write_text("x,y,z\n0,0,0\n")
    words = (crop[0], tmp_path / "edge.csv", "--edges", "drop", "--save-cams", 2)
    assert cfzoo("classify", *words, "-o", tmp_path / "a")[0] == 0
    assert (tmp_path / "a" / "points.csv").exists() and not (tmp_path / "a" / "cams").exists()
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "cams").write_text("a file")
    code, _, err = cfzoo("classify", *crop, "-o", tmp_path / "b", "--save-cams", 2)
    assert code == 2 and "cams" in err and err.count("\n") == 1
    assert [p.name for p in (tmp_path / "b").iterdir()] == ["cams"]


def test_a_second_run_deletes_the_files_of_the_first(cfzoo, crop, tmp_path):
    for number in (150, 17):
        args = ["--no-torch", "--point", number, "-o", tmp_path / "e", "--overwrite"]
        assert cfzoo("explain", *crop, *args)[0] == 0
    names = sorted(p.name for p in (tmp_path / "e").iterdir())
    assert names == ["explanations.json", "index.html", "point-17.png", "point-17.tif"]


@pytest.mark.slow
def test_pictures_are_fit_for_paper(cfzoo, crop, tmp_path):
    """300 dpi with a scale bar in each plane, SVG with its letters, smooth where asked for."""
    out, smooth = tmp_path / "e", tmp_path / "smooth"
    args = ["--model", "attention3d", "--no-torch", "--point", 150]
    assert cfzoo("explain", *crop, *args, "--svg", "-o", out)[0] == 0
    assert cfzoo("explain", *crop, *args, "--interpolate", "-o", smooth)[0] == 0
    with Image.open(out / "point-150.png") as sharp, Image.open(smooth / "point-150.png") as soft:
        assert sharp.info["dpi"] == pytest.approx((300, 300), abs=0.1) and sharp.size == soft.size
        # Voxels are squares of one grey; between smooth ones there are many more.
        colours = [len(picture.convert("RGB").getcolors(2**24)) for picture in (sharp, soft)]
    assert colours[1] > 3 * colours[0]
    svg = (out / "point-150.svg").read_text(encoding="utf-8")
    assert svg.count(">10 um</text>") == 3 and ">Grad-CAM</text>" in svg and ">xz</text>" in svg
    assert 'href="point-150.svg"' in (out / "index.html").read_text(encoding="utf-8")
    assert not (smooth / "point-150.svg").exists()
    # The next run takes the SVG away, as it takes the other files.
    assert cfzoo("explain", *crop, *args, "-o", out, "--overwrite")[0] == 0
    assert not (out / "point-150.svg").exists()


def test_an_input_with_the_name_of_an_output_is_safe(cfzoo, crop, tmp_path):
    volume = tmp_path / "point-1.tif"
    volume.write_bytes(crop[0].read_bytes())
    code, _, err = cfzoo("explain", volume, crop[1], "--point", 1, "--no-torch", "-o", tmp_path)
    assert code == 2 and "is not an explanation of an earlier run" in err
    assert volume.read_bytes() == crop[0].read_bytes()


def test_a_file_with_the_name_of_the_default_model_is_ignored(cfzoo, crop, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / DEFAULT_MODELS[1]).write_text("no weights")
    code, text, _ = cfzoo("explain", *crop, "--point", 17, "-o", "e")
    assert code == 0 and text.strip() == "e/index.html"


def test_guided_maps_explain_the_class_of_the_run(cfzoo, crop, tmp_path):
    """With thresholds other than the card's, and for a recalibrated artifact."""
    import tifffile

    from cfzoo.export.graph import recalibrate
    from cfzoo.runtime.artifact import read_artifact
    from cfzoo.zoo.weights import find_bundled_weights

    artifact = read_artifact("attention3d")
    card = dataclasses.replace(
        artifact.card, temperature=2 * artifact.card.temperature, offset=0.5, name="mine"
    )
    path = tmp_path / "mine.onnx"
    path.write_bytes(recalibrate(artifact, 2, 0.5, card).model)
    maps = {}
    for threshold in (0.001, 0.999):
        out = tmp_path / f"{threshold}"
        args = [
            "--model",
            path,
            "--weights",
            find_bundled_weights("attention3d"),
            "--point",
            150,
            "-o",
            out,
        ]
        code, _, err = cfzoo("explain", *crop, *args, "--threshold", threshold)
        assert code == 0, err
        maps[threshold] = tifffile.imread(out / "point-150.tif")[3]
        description = json.loads((out / "explanations.json").read_text())
        assert description["points"][0]["type"] == (2 if threshold < 0.5 else 1)
    assert abs(maps[0.001] - maps[0.999]).max() > 0.1 * abs(maps[0.001]).max()


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--point", 0], "There is no point 0; the file has points 1 to 299"),
        (["--point", 300], "There is no point 300"),
        (["--point", 3, "--point", 3], "named twice"),
        (["--layer", "stage9"], "no layer 'stage9'"),
        (["--layer", "head"], "does not give"),
        (["--channel", 1], "channel"),
        (["--layer", "stage1", "--no-torch"], "leave --no-torch out"),
        (["--weights", "none.safetensors"], "none.safetensors is not a file"),
        (["--model", "none.onnx"], "no model 'none.onnx'"),
        (["--threshold", 2], "expected between 0 and 1"),
        (["--background", "missing.tif"], "missing.tif"),
    ],
    ids=str,
)
def test_refuses_bad_input(cfzoo, crop, tmp_path, args, message):
    code, _, err = cfzoo("explain", *crop, "-o", tmp_path / "e", *args)
    assert code == 2 and message in err, err
    assert err.count("\n") == 1 and "Traceback" not in err
    assert not (tmp_path / "e").exists()


def test_refuses_ensembles_and_artifacts_without_maps(cfzoo, crop, tmp_path, make_artifact):
    models = ["--model", "attention3d=0.5", "--model", "pipnet3d=0.5"]
    code, _, err = cfzoo("classify", *crop, *models, "-o", tmp_path / "e", "--save-cams", 2)
    assert code == 2 and "is an ensemble" in err
    path = make_artifact()
    code, _, err = cfzoo("classify", *crop, "--model", path, "-o", tmp_path / "e", "--save-cams", 2)
    assert code == 2 and "does not give 'grad_cam'; it gives no maps" in err
    code, _, err = cfzoo("explain", *crop, "--model", path, "-o", tmp_path / "e")
    assert code == 2 and "gives no maps" in err
    assert not (tmp_path / "e").exists()


def test_refuses_weights_of_another_model(cfzoo, crop, tmp_path):
    """Weights of another architecture, and of another training."""
    from safetensors.torch import load_file, save_file

    from cfzoo.zoo.weights import find_bundled_weights

    weights = ["--weights", find_bundled_weights("attention3d")]
    code, _, err = cfzoo("explain", *crop, "--model", "pipnet3d", *weights, "-o", tmp_path / "e")
    assert code == 2 and "The weights are of the architecture 'attention3d'" in err
    path = export_release("pipnet3d", tmp_path)
    state = load_file(find_bundled_weights("pipnet3d"))
    state["weights"] = state["weights"].flip(0)
    save_file(state, path.with_suffix(".safetensors"))
    path.with_suffix(".json").write_text(
        find_bundled_weights("pipnet3d").with_suffix(".json").read_text()
    )
    code, _, err = cfzoo("explain", *crop, "--model", path, "-o", tmp_path / "e")
    assert code == 2 and "weights are of another model" in err
