"""Run verbs in this process; a classification that works, for tests to spoil."""

import shutil

import numpy as np
import pytest
import tifffile
import zarr

from cfzoo.cli import main
from cfzoo.runtime.results import Results, write_xml

SHAPE = (12, 40, 50)


@pytest.fixture
def cfzoo(capsys):
    """Return a function that runs a verb: (exit code, standard output, standard error)."""

    def run(*arguments):
        with pytest.raises(SystemExit) as exit_info:
            main([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        return exit_info.value.code, out, err

    return run


class Job:
    """The arguments of a classification that works, for a case to spoil."""

    def __init__(self, folder):
        self.folder = folder
        self.model = folder / "linear-1.0.0.onnx"
        self.volume = folder / "signal.tif"
        self.points = folder / "points.xml"
        self.output = folder / "out"
        self.options = ["--voxel-size", 5, 2, 2]

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

    def arguments(self):
        inputs = [self.volume, self.points]
        return ["classify", "--model", self.model, *self.options, "-o", self.output, *inputs]


@pytest.fixture(scope="module")
def job_files(tmp_path_factory, make_artifact):
    """Files of a classification that works."""
    folder = tmp_path_factory.mktemp("job")
    data = np.random.default_rng(0).integers(0, 4000, SHAPE).astype(np.uint16)
    tifffile.imwrite(folder / "signal.tif", data)
    (folder / "planes").mkdir()
    for z, plane in enumerate(data):
        tifffile.imwrite(folder / "planes" / f"plane_{z:03}.tif", plane)
    zarr.create_array(folder / "v.zarr", data=data, chunks=(4, 20, 25))
    zyx, types, flags = np.array([[6.0, 20, 25]]), np.ones(1, np.int8), np.zeros(1, np.uint8)
    write_xml(folder / "points.xml", Results(zyx, types, np.full(1, 0.5, np.float32), flags))
    make_artifact(folder)
    make_artifact(folder, name="pair", channels=("signal", "background"))
    return folder


@pytest.fixture
def spoilable_job(job_files, tmp_path):
    """A copy of the files of `job_files`, as the arguments of a run."""
    shutil.copytree(job_files, tmp_path / "job")
    return Job(tmp_path / "job")


@pytest.fixture
def check_refusal(cfzoo, spoilable_job):
    """Return a function that spoils a job and checks its one line, exit code and files."""

    def check(spoil, expected_codes, message):
        job = spoilable_job
        spoil(job)
        files = {p: p.read_bytes() for p in job.folder.rglob("*") if p.is_file()}
        code, out, err = cfzoo(*job.arguments())
        assert code in (expected_codes if isinstance(expected_codes, tuple) else (expected_codes,))
        assert out == ""
        lines = err.strip().splitlines()
        assert len(lines) == 1, err
        assert lines[0].startswith("Error: ")
        assert message.lower() in err.lower()
        assert {p: p.read_bytes() for p in job.folder.rglob("*") if p.is_file()} == files

    return check
