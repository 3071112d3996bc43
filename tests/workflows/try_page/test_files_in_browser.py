"""What the page reads, and what it refuses in one sentence."""

import json

import numpy as np
import pytest
import tifffile

from cfzoo.workflows.try_page import write_try_page

SHAPE = (5, 12, 14)
READ = (
    """() => tryPage.volumes.signal.channels.map(({ shape, data }) => [shape, Array.from(data)])"""
)


@pytest.fixture(scope="module")
def page_file(built, tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "try.html"
    write_try_page(path, ["pipnet3d"], example=False)
    return path


@pytest.fixture(scope="module")
def page(open_page, page_file):
    return open_page(f"{page_file.as_uri()}#threads=1")


def data(dtype="u2", shape=SHAPE):
    return np.random.default_rng(0).integers(0, 200, shape).astype(dtype)


TIFFS = {
    "plain": {},
    "big-endian": {"byteorder": ">"},
    "BigTIFF": {"bigtiff": True},
    "deflate, predictor": {"compression": "zlib", "predictor": True},
    "LZW": {"compression": "lzw"},
    "Zstandard": {"compression": "zstd"},
    "tiles": {"tile": (16, 16)},
    "ImageJ": {"imagej": True, "metadata": {"axes": "ZYX", "spacing": 4.0, "unit": "um"}},
    "ImageJ, one page for all": {"imagej": True, "truncate": True, "metadata": {"axes": "ZYX"}},
    "one page for all": {"truncate": True, "byteorder": ">"},
    "one page, by a tifffile of 2024": {
        "metadata": None,
        "truncate": True,
        "description": json.dumps({"axes": "ZYX", "shape": SHAPE, "truncated": True}),
    },
    "OME": {
        "ome": True,
        "metadata": {
            "axes": "ZYX", "PhysicalSizeX": 1.5, "PhysicalSizeY": 2.5, "PhysicalSizeZ": 3.5
        },
    },
}  # fmt: skip


@pytest.mark.parametrize("dtype", ["u2", "u1", "i2", "f4"])
def test_stacks_are_read_as_tifffile_reads_them(page, tmp_path, dtype):
    for name, options in TIFFS.items():
        if options.get("imagej") and dtype == "i2":
            continue  # which ImageJ does not have
        path = tmp_path / f"{name.replace(' ', '-')}.tif"
        if options.get("imagej"):
            options = {"resolution": (0.5, 0.5), **options}
        tifffile.imwrite(path, data(dtype), photometric="minisblack", **options)
        page.set_input_files("#signal", path)
        page.wait_for_selector(f"#volume-status:has-text('{path.name}:')")
        ((shape, values),) = page.evaluate(READ)
        assert shape == list(SHAPE), name
        assert values == data(dtype).ravel().tolist(), name
        sizes = [page.input_value(f"#size-{axis}") for axis in "zyx"]
        expected = {"ImageJ": ["4", "2", "2"], "OME": ["3.5", "2.5", "1.5"]}
        assert sizes == expected.get(name, ["", "", ""]), name


def test_two_channels_of_one_file_are_taken_apart(page, tmp_path):
    both = data(shape=(5, 2, 12, 14))
    axes = {"axes": "ZCYX"}
    tifffile.imwrite(tmp_path / "imagej.tif", both, imagej=True, metadata=axes)
    tifffile.imwrite(tmp_path / "ome.tif", both, ome=True, metadata=axes)
    moved = np.moveaxis(both, 1, 0)
    tifffile.imwrite(tmp_path / "czyx.tif", moved.copy(), ome=True, metadata={"axes": "CZYX"})
    np.save(tmp_path / "both.npy", moved)
    for name in ("imagej.tif", "ome.tif", "czyx.tif", "both.npy"):
        page.set_input_files("#signal", tmp_path / name)
        page.wait_for_selector(f"#volume-status:has-text('{name}:')")
        assert page.evaluate(READ) == [[list(SHAPE), c.ravel().tolist()] for c in moved], name


@pytest.mark.parametrize("dtype", ["<u2", ">u2", "<f8", ">f4", "<i8", "|u1", "|b1"])
def test_arrays_are_read_as_numpy_reads_them(page, tmp_path, dtype):
    for order in (np.ascontiguousarray, np.asfortranarray):
        array = order(data(dtype))
        np.save(tmp_path / "a.npy", array)
        page.set_input_files("#signal", tmp_path / "a.npy")
        page.wait_for_selector("#volume-status:has-text('a.npy:')")
        assert page.evaluate(READ) == [[list(SHAPE), array.ravel().astype(float).tolist()]]
        page.evaluate("tryPage.volumes.signal = null")


def write_npy(array):
    return lambda path: np.save(path.open("wb"), array)


def write_cut_tiff(path):
    tifffile.imwrite(path, data())
    path.write_bytes(path.read_bytes()[:700])


def write_short_tiff(path):
    with tifffile.TiffWriter(path) as file:
        for plane in data():
            file.write(plane, contiguous=False, metadata=None)
    path.write_bytes(path.read_bytes()[:-20])


VOLUMES = {
    "nothing": (lambda path: path.write_bytes(b""), "neither a TIFF nor a .npy"),
    "text": (lambda path: path.write_text("x,y,z\n"), "neither a TIFF nor a .npy"),
    "a plane": (write_npy(data(shape=(3, 4))), r"is (3, 4); expected (z, y, x)"),
    "three channels": (write_npy(data(shape=(3, 2, 4, 5))), "at most 2 channels"),
    "complex": (write_npy(np.zeros((2, 2, 2), complex)), "The array's type is '<c16'; expected"),
    "objects": (write_npy(np.full((2, 2, 2), None)), "The array's type is '|O'"),
    "colours": (
        lambda path: tifffile.imwrite(path, data("u1", (5, 6, 3)), photometric="rgb"),
        "has 3 values for each pixel",
    ),
    "a TIFF without its pages": (write_cut_tiff, "The file cannot be decoded ("),
    "a TIFF without its last bytes": (write_short_tiff, "Page 5 of the TIFF lies beyond the end"),
    "a cut array": (
        lambda path: (np.save(path.open("wb"), data()), path.write_bytes(path.read_bytes()[:-9])),
        "its header promises",
    ),
    "three axes": (
        lambda path: tifffile.imwrite(path, data(shape=(2, 5, 6, 7)), photometric="minisblack"),
        "has the shape 2 x 5 x 6 x 7",
    ),
    "times": (
        lambda path: tifffile.imwrite(
            path, data(shape=(4, 3, 6, 7)), imagej=True, metadata={"axes": "TZYX"}
        ),
        "has 4 times and 1 channels",
    ),
}
POINTS = {
    "no header": ("1,2,3\n4,5,6\n", 'the header is "1,2,3"'),
    "micrometres": ("x_um,y_um,z_um\n1,2,3\n", "expected columns x, y and z"),
    "a gap": ("x,y,z\n1,2,3\n4,,6\n", "candidate 2 is at 6, NaN, 4"),
    "nothing": ("x,y,z\n", "holds no candidates"),
    "another XML": ("<a/>", "its root is a"),
    "no XML": ("<CellCounter_Marker_File><Marker>", "points.csv is cut short"),
    "a DTD": ("<!DOCTYPE a><CellCounter_Marker_File/>", "has a DTD"),
    "Cell Counter": (
        "<CellCounter_Marker_File><Marker_Data><Marker_Type><Type>1</Type><Name>a</Name>"
        "</Marker_Type></Marker_Data></CellCounter_Marker_File>",
        "looks like a file of Fiji's Cell Counter",
    ),
}


def test_what_cannot_be_read_is_refused_in_a_sentence(page, tmp_path):
    for name, (write, words) in VOLUMES.items():
        path = tmp_path / "cut.tif"
        write(path)
        page.set_input_files("#signal", path)
        page.wait_for_selector("#problem:visible")
        assert words in page.text_content("#problem"), name
        page.evaluate("tryPage.forget()")
    np.save(tmp_path / "good.npy", data())
    page.set_input_files("#signal", tmp_path / "good.npy")
    page.wait_for_selector("#volume-status:has-text('good.npy:')")
    for name, (text, words) in POINTS.items():
        file = {"name": "points.csv", "mimeType": "text/csv", "buffer": text.encode()}
        page.set_input_files("#points", file)
        page.wait_for_selector("#problem:visible")
        assert words in page.text_content("#problem"), name
        page.evaluate("tryPage.forget()")
    page.fill("#size-z", "-3")
    assert page.get_attribute("#size-z", "aria-invalid") == "true"
    assert page.is_disabled("#classify")


@pytest.mark.parametrize(
    "text",
    [
        "x,y,z\n3,2,1\n6.5,5,4\n",
        "\ufeffZ;Y;X;note\r\n1;2;3;a\r\n4;5;6.5;b\r\n",
        "sep=\t\naxis-0\taxis-1\taxis-2\n1\t2\t3\n4\t5\t6.5\n",
        '"coordinate_raw_axis_0","coordinate_raw_axis_1","coordinate_raw_axis_2"\n1,2,3\n4,5,6.5\n',
        "# x, y, z\n3, 2, 1\n6.5, 5, 4\n",
    ],
)
def test_tables_of_points_are_read_in_each_dialect(page, tmp_path, text):
    np.save(tmp_path / "good.npy", data())
    drop = """([name, text, bytes]) => {
      const files = new DataTransfer();
      files.items.add(new File([text], name));
      files.items.add(new File([Uint8Array.from(bytes)], "good.npy"));
      document.body.dispatchEvent(new DragEvent("drop", { dataTransfer: files }));
    }"""
    content = list((tmp_path / "good.npy").read_bytes())
    page.evaluate(drop, ["points.csv", text, content])
    page.wait_for_selector("#points-status:has-text('2 candidates')")
    assert page.evaluate("tryPage.zyx") == [[1, 2, 3], [4, 5, 6.5]]
