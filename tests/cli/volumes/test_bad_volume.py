"""A bad volume, background or voxel size: one line, the right exit code, nothing written."""

import numpy as np
import pytest
import tifffile
import zarr


def volume(path):
    def spoil(job):
        job.volume = job.folder / path

    return spoil


def pixels(change, **options):
    return lambda job: job.write_volume(change(job.data()), **options)


def option(*values):
    def spoil(job):
        job.options = [*job.options, *values]

    return spoil


def no_voxel_size(job):
    job.options = []


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
    job.options += ["--background", job.folder / "b.tif"]


def background_too_many(job):
    job.options += ["--background", job.volume]


def background_missing(job):
    job.model = job.folder / "pair-1.0.0.onnx"


CASES = {
    # name: (function that spoils the job, exit code, text in the message)
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
}


def test_the_unspoilt_job_runs(cfzoo, spoilable_job):
    assert cfzoo(*spoilable_job.arguments())[0] == 0


@pytest.mark.parametrize("name", CASES)
def test_refuses_bad_volumes(check_refusal, name):
    check_refusal(*CASES[name])


def test_covers_many_cases():
    assert len(CASES) >= 25
