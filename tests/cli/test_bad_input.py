"""Bad input: one line that says what to do, the right exit code, nothing written."""

import os
import shutil

import numpy as np
import pytest
import tifffile
import zarr

SHAPE = (12, 40, 50)
XML = """<?xml version="1.0"?><CellCounter_Marker_File><Marker_Data><Marker_Type><Type>1</Type>
<Marker><MarkerX>{x}</MarkerX><MarkerY>20</MarkerY><MarkerZ>6</MarkerZ></Marker>
</Marker_Type></Marker_Data></CellCounter_Marker_File>"""


@pytest.fixture(scope="module")
def good(tmp_path_factory, make_artifact):
    """Files of a job that runs."""
    folder = tmp_path_factory.mktemp("good")
    data = np.random.default_rng(0).integers(0, 4000, SHAPE).astype(np.uint16)
    tifffile.imwrite(folder / "signal.tif", data)
    (folder / "planes").mkdir()
    for z, plane in enumerate(data):
        tifffile.imwrite(folder / "planes" / f"plane_{z:03}.tif", plane)
    zarr.create_array(folder / "v.zarr", data=data, chunks=(4, 20, 25))
    (folder / "points.xml").write_text(XML.format(x=25))
    make_artifact(folder)
    make_artifact(folder, name="pair", channels=("signal", "background"))
    return folder


class Job:
    """The arguments of a good run, for a case to spoil."""

    def __init__(self, folder):
        self.folder = folder
        self.model = folder / "linear-1.0.0.onnx"
        self.volume = folder / "signal.tif"
        self.points = folder / "points.xml"
        self.out = folder / "out"
        self.more = ["--voxel-size", 5, 2, 2]

    def data(self):
        return tifffile.imread(self.folder / "signal.tif")

    def write_volume(self, data, **options):
        self.volume = self.folder / "other.tif"
        tifffile.imwrite(self.volume, data, **options)

    def write_points(self, text, name="other.xml"):
        self.points = self.folder / name
        self.points.write_bytes(text.encode() if isinstance(text, str) else text)

    def change_model(self, change):
        data = bytearray(self.model.read_bytes())
        self.model = self.folder / "other.onnx"
        self.model.write_bytes(change(data))


def volume(path):
    def spoil(job):
        job.volume = job.folder / path

    return spoil


def points(text, name="other.xml"):
    return lambda job: job.write_points(text, name)


def pixels(make, **options):
    return lambda job: job.write_volume(make(job.data()), **options)


def option(*more):
    def spoil(job):
        job.more = [*job.more, *more]

    return spoil


def no_voxel_size(job):
    job.more = []


def empty_volume(job):
    job.volume = job.folder / "empty.tif"
    job.volume.touch()


def truncated_tiff(job):
    data = job.volume.read_bytes()
    job.volume = job.folder / "cut.tif"
    job.volume.write_bytes(data[: len(data) // 2])


def text_as_volume(job):
    job.volume = job.folder / "text.tif"
    job.volume.write_text("not a tiff")


def missing_plane(job):
    job.volume = job.folder / "planes"
    (job.volume / "plane_005.tif").unlink()


def mixed_shapes(job):
    job.volume = job.folder / "planes"
    tifffile.imwrite(job.volume / "plane_005.tif", np.zeros((40, 49), np.uint16))


def mixed_dtypes(job):
    job.volume = job.folder / "planes"
    tifffile.imwrite(job.volume / "plane_005.tif", np.zeros((40, 50), np.float32))


def broken_plane(job):
    job.volume = job.folder / "planes"
    (job.volume / "plane_005.tif").write_bytes(b"II*\0")


def empty_folder(job):
    job.volume = job.folder / "nothing"
    job.volume.mkdir()


def two_dimensional_zarr(job):
    job.volume = job.folder / "flat.zarr"
    zarr.create_array(job.volume, data=np.zeros((20, 20), np.uint16))


def broken_zarr(job):
    job.volume = job.folder / "v.zarr"
    (job.volume / "zarr.json").write_text("{")


def other_background(job):
    job.model = job.folder / "pair-1.0.0.onnx"
    tifffile.imwrite(job.folder / "b.tif", np.zeros((12, 40, 49), np.uint16))
    job.more += ["--background", job.folder / "b.tif"]


def background_too_many(job):
    job.more += ["--background", job.volume]


def background_missing(job):
    job.model = job.folder / "pair-1.0.0.onnx"


def no_points_file(job):
    job.points = job.folder / "none.xml"


def points_are_a_folder(job):
    job.points = job.folder / "planes"


def output_is_a_file(job):
    job.out = job.folder / "file"
    job.out.write_text("precious")


def output_below_a_file(job):
    (job.folder / "file").write_text("precious")
    job.out = job.folder / "file" / "out"


def output_not_writable(job):
    job.out = "/proc/cfzoo"


def output_is_a_dangling_link(job):
    job.out = job.folder / "link"
    job.out.symlink_to(job.folder / "nowhere")


def output_is_a_loop(job):
    job.out = job.folder / "loop"
    job.out.symlink_to(job.out)


def output_name_too_long(job):
    job.out = job.folder / ("x" * 300)


def output_blocked_by_a_folder(job):
    job.out = job.folder / "o"
    (job.out / "points.csv").mkdir(parents=True)
    job.more += ["--overwrite"]


def output_holds_an_input(job):
    job.out = job.folder / "o"
    job.out.mkdir()
    shutil.copy(job.points, job.out / "points.xml")
    job.points = job.out / "points.xml"
    job.more += ["--overwrite"]


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
    # name: (what spoils the job, exit code, what the message must hold)
    "volume missing": (volume("none.tif"), 2, "none.tif"),
    "volume of another kind": (volume("points.xml"), 2, "TIFF"),
    "volume empty": (empty_volume, 2, "empty.tif"),
    "volume truncated": (truncated_tiff, 2, "cut.tif"),
    "volume is text": (text_as_volume, 2, "text.tif"),
    "volume RGB": (
        pixels(lambda d: np.stack([d[0]] * 3, -1).astype(np.uint8), photometric="rgb"),
        2,
        "channel",
    ),
    "volume complex": (pixels(lambda d: d.astype(np.complex64)), 2, "64-bit samples"),
    "volume bool": (pixels(lambda d: d > 5), 2, "1-bit samples"),
    "folder lacks a plane": (missing_plane, 2, "5"),
    "folder with two shapes": (mixed_shapes, 2, "plane_005.tif"),
    "folder with two dtypes": (mixed_dtypes, 2, "plane_005.tif"),
    "folder with a broken plane": (broken_plane, 2, "plane_005.tif"),
    "folder empty": (empty_folder, 2, "nothing"),
    "zarr of two axes": (two_dimensional_zarr, 2, "flat.zarr"),
    "zarr broken": (broken_zarr, 2, "v.zarr"),
    "channel that is not there": (option("--channel", 3), 2, "channel"),
    "background of another shape": (other_background, 2, "same shape"),
    "background not taken": (background_too_many, 2, "leave --background out"),
    "background missing": (background_missing, 2, "give --background"),
    "voxel size unknown": (no_voxel_size, 2, "--voxel-size Z Y X"),
    "voxel size zero": (option("--voxel-size", 0, 2, 2), 2, "voxel size"),
    "voxel size negative": (option("--voxel-size", 5, -2, 2), 2, "voxel size"),
    "voxel size NaN": (option("--voxel-size", "nan", 2, 2), 2, "voxel size"),
    "voxel size in nm": (option("--voxel-size", 500, 200, 200), 2, "micrometres"),
    "voxel size of two numbers": (option("--voxel-size", 5, 2), 2, "See cfzoo classify --help"),
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


@pytest.fixture
def job(good, tmp_path):
    shutil.copytree(good, tmp_path / "job")
    return Job(tmp_path / "job")


def arguments(job):
    return ["classify", "--model", job.model, *job.more, "-o", job.out, job.volume, job.points]


def test_the_job_is_good_until_spoilt(cfzoo, job):
    assert cfzoo(*arguments(job))[0] == 0


@pytest.mark.parametrize("name", CASES)
def test_bad_input(cfzoo, job, name):
    spoil, expected, message = CASES[name]
    spoil(job)
    before = {p: p.read_bytes() for p in job.folder.rglob("*") if p.is_file()}
    code, out, err = cfzoo(*arguments(job))
    assert code in (expected if isinstance(expected, tuple) else (expected,)), err
    assert out == ""
    lines = err.strip().splitlines()
    assert len(lines) == 1, err
    assert lines[0].startswith("Error: ")
    assert message.lower() in err.lower()
    assert {p: p.read_bytes() for p in job.folder.rglob("*") if p.is_file()} == before


def test_at_least_forty_cases():
    assert len(CASES) >= 40


@pytest.mark.parametrize(
    "args", [["frob"], ["inspect"], ["export", "resnet9"], ["import", "none.h5"], ["sample"]]
)
def test_other_verbs(cfzoo, args, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, _, err = cfzoo(*args)
    assert code == 2
    assert len(err.strip().splitlines()) == 1
    assert list(tmp_path.iterdir()) == []
