"""The texts of ImageJ, OME and tifffile: numbers of planes, channels, voxel size."""

import json
import re
import time

import numpy as np
import pytest
import tifffile

from cfzoo.runtime.errors import InputError
from cfzoo.runtime.volume import open_volume

ALL = (slice(None),) * 3
DATA = np.random.default_rng(0).integers(0, 2**16, (5, 37, 29), "u2")
IMAGEJ = {"imagej": True, "metadata": {"axes": "ZYX"}}


def write(path, data=DATA, **options):
    tifffile.imwrite(path, data, **options)
    return path


def read(path, **options):
    with open_volume(path, **options) as volume:
        return volume.read(*ALL)


CHANNELS = np.stack([DATA, DATA // 3], axis=1)  # z c y x


@pytest.mark.parametrize(
    "options",
    [{"imagej": True}, {"imagej": True, "truncate": True}, {"ome": True}, {}, {"truncate": True}],
)
@pytest.mark.parametrize("axes", ["ZCYX", "CZYX"])
def test_reads_the_chosen_channel(tmp_path, options, axes):
    data = CHANNELS if axes == "ZCYX" else CHANNELS.swapaxes(0, 1)
    if options.get("imagej"):
        data, axes = CHANNELS, "ZCYX"  # the only order that ImageJ has
    path = write(tmp_path / "brain.tif", data, metadata={"axes": axes}, **options)
    with pytest.raises(InputError, match=r"has 2 channels.*--channel 0"):
        open_volume(path)
    for channel in (0, 1):
        np.testing.assert_array_equal(read(path, channel=channel), CHANNELS[:, channel])
    with pytest.raises(InputError, match="got channel 2"):
        open_volume(path, channel=2)


@pytest.mark.parametrize("names", [("axes", "shape"), ("shape", "axes"), ("note", "axes", "shape")])
def test_the_json_of_tifffile_may_have_any_order(tmp_path, names):
    fields = {"shape": CHANNELS.shape, "axes": "ZCYX", "note": '"shape": ['}
    text = json.dumps({name: fields[name] for name in names})
    path = write(tmp_path / "brain.tif", CHANNELS, description=text, metadata=None)
    with pytest.raises(InputError, match=r"has 2 channels.*--channel 0"):
        open_volume(path)
    np.testing.assert_array_equal(read(path, channel=1), CHANNELS[:, 1])
    write(path, CHANNELS, description=text[:-4], metadata=None)
    with pytest.raises(InputError, match="cannot be read"):
        open_volume(path)


@pytest.mark.parametrize("fields", [{"stage": {"shape": [2, 3]}}, {"note": "a", "shape": "round"}])
def test_other_json_declares_no_shape(tmp_path, fields):
    path = write(tmp_path / "brain.tif", description=json.dumps(fields), metadata=None)
    np.testing.assert_array_equal(read(path), DATA)


def ome(path, xml, data=DATA):
    tifffile.imwrite(path, data, description=xml, metadata=None)
    return path


def ome_xml(order="XYZCT", x=29, y=37, z=5, c=1, t=1, kind="uint16", extra="", inside=""):
    return (
        '<?xml version="1.0" encoding="UTF-8"?><!-- a comment --><OME><Image ID="Image:0"><Pixels '
        f'DimensionOrder="{order}" SizeX="{x}" SizeY="{y}" SizeZ="{z}" SizeC="{c}" SizeT="{t}" '
        f'Type="{kind}" {extra}>{inside}</Pixels></Image></OME>'
    )


def test_follows_ome_dimension_order_and_tiff_data(tmp_path):
    pages = CHANNELS.reshape(10, 37, 29)  # c fastest
    path = ome(tmp_path / "a.tif", ome_xml("XYCZT", c=2), pages)
    np.testing.assert_array_equal(read(path, channel=1), CHANNELS[:, 1])
    path = ome(tmp_path / "b.tif", ome_xml("XYZCT", c=2), pages)
    np.testing.assert_array_equal(read(path, channel=1), pages[5:])
    # Pages in reverse, each placed by its own element.
    runs = "".join(f'<TiffData IFD="{i}" FirstZ="{4 - i}" PlaneCount="1"/>' for i in range(5))
    np.testing.assert_array_equal(read(ome(tmp_path / "c.tif", ome_xml(inside=runs))), DATA[::-1])
    for runs in ("<TiffData/>", '<TiffData IFD="0" PlaneCount="5"/>', '<TiffData PlaneCount="5"/>'):
        np.testing.assert_array_equal(read(ome(tmp_path / "d.tif", ome_xml(inside=runs))), DATA)


@pytest.mark.parametrize(
    ("xml", "message"),
    [
        (ome_xml(z=6), "has 5 planes, but its OME-XML declares 6"),
        (ome_xml(z=1), "declares 1 "),
        (ome_xml(z=10**9), "OME-XML cannot be read"),
        (ome_xml(z=10**8, c=10**8, t=10**8), "declares 10{24} "),
        (ome_xml(z=0), "declares 0 "),
        (ome_xml(x=30), "declares 37 x 30 uint16"),
        (ome_xml(kind="int16"), "declares 37 x 29 int16"),
        (ome_xml(z=1, t=5), "5 time points"),
        (ome_xml(order="ZYX"), "DimensionOrder is 'ZYX'"),
        (ome_xml(inside='<TiffData IFD="0"/>'), "each of 5 planes one page"),
        (ome_xml(inside='<TiffData IFD="1" PlaneCount="5"/>'), "each of 5 planes one page"),
        (ome_xml(inside='<TiffData IFD="0" PlaneCount="999999999"/><TiffData FirstZ="9"/>'), None),
        (ome_xml(inside='<TiffData IFD="-1"/>'), "OME-XML cannot be read"),
        (ome_xml(inside="<a>" * 40), "inside each other"),
        (ome_xml()[:-30], "OME-XML cannot be read"),
        (ome_xml().replace("<OME>", "<!DOCTYPE a><OME>"), "document type or entity"),
        (ome_xml().replace("UTF-8", "UTF-99"), None),
        ("<OME></OME>", "describes no image"),
        (
            ome_xml().replace("</OME>", re.search("<Image.*Image>", ome_xml())[0] + "</OME>"),
            "several OME images",
        ),
    ],
)
def test_refuses_ome_xml_that_does_not_fit(tmp_path, xml, message):
    path, begin = ome(tmp_path / "brain.tif", xml), time.perf_counter()
    if message is None:
        np.testing.assert_array_equal(read(path), DATA)
    else:
        with pytest.raises(InputError, match=message):
            open_volume(path)
    assert time.perf_counter() - begin < 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("images=5", None),
        ("images=5\nslices=5", None),
        ("unit=um", None),
        ("images=6", "has 5 planes, but its ImageJ text declares 6"),
        ("images=5\nslices=6", "declares 6"),
        ("images=6\nslices=5", "contradicts itself"),
        ("slices=4", "declares 4"),
        ("images=five", "images='five'"),
        ("images=" + "9" * 5000, "images="),
        ("images=0", "images='0'"),
        ("images=5\nframes=5", "5 time points"),
    ],
)
def test_compares_the_imagej_text_with_the_pages(tmp_path, text, message):
    path = ome(tmp_path / "brain.tif", f"ImageJ=1.54f\n{text}\n")
    if message is None:
        np.testing.assert_array_equal(read(path), DATA)
    else:
        with pytest.raises(InputError, match=message):
            open_volume(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"shape": [5, 37, 29]}', None),
        ('{"shape": [1, 5, 37, 29]}', None),
        ('{"shape": [5, 37, 29, 1]}', None),
        ('{"shape": [5, 37, 29], "axes": "QYX"}', None),
        ('{"shape": [6, 37, 29]}', "declares 6"),
        ('{"shape": [5, 37, 29], "axes": "SYX"}', r"axes SYX of \(5,\)"),
        ('{"shape": [5, 29, 37]}', r"declares \(5, 29, 37\)"),
        ('{"shape": [-5, 37, 29]}', "cannot be read"),
        ('{"shape": [5, 37', "cannot be read"),
        ('{"shape": 5}', "cannot be read"),
        ('{"shape": ' + "[" * 100_000, "cannot be read"),
    ],
)
def test_compares_the_tifffile_text_with_the_pages(tmp_path, text, message):
    path = ome(tmp_path / "brain.tif", text)
    if message is None:
        np.testing.assert_array_equal(read(path), DATA)
    else:
        with pytest.raises(InputError, match=message):
            open_volume(path)


def test_reads_the_voxel_size(tmp_path):
    def size(**options):
        return open_volume(write(tmp_path / "brain.tif", **options)).voxel_size

    def imagej(unit, spacing=5, resolution=(0.5, 0.25)):
        metadata = {"axes": "ZYX", "spacing": spacing, "unit": unit}
        return size(imagej=True, metadata=metadata, resolution=resolution)

    for unit in ("um", "micron", "\\u00B5m"):
        assert imagej(unit) == (5, 4, 2)  # resolution is x, y
    assert imagej("inch") is None
    assert imagej("um", spacing=500) is None
    assert size(**IMAGEJ) is None
    assert size() is None
    assert size(resolution=(0.5, 0.5), resolutionunit="CENTIMETER") is None

    def physical(x=2, y=4, z=5, **units):
        sizes = {"PhysicalSizeX": x, "PhysicalSizeY": y, "PhysicalSizeZ": z, **units}
        sizes = {k: v for k, v in sizes.items() if v is not None}
        return size(ome=True, metadata={"axes": "ZYX", **sizes})

    assert physical() == (5, 4, 2)
    assert physical(x=2000, PhysicalSizeXUnit="nm") == (5, 4, 2)
    assert physical(x=2, PhysicalSizeXUnit="\u00b5m") == (5, 4, 2)
    assert physical(z=None) is None
    assert physical(z=0) is None
    assert physical(PhysicalSizeXUnit="pixel") is None


def test_reads_the_latin_1_unit_of_imagej(tmp_path):
    raw = "ImageJ=1.54f\nimages=5\nslices=5\nunit=\u00b5m\nspacing=5.0\n".encode("latin-1")
    path = tmp_path / "brain.tif"
    tifffile.imwrite(path, DATA, description=raw, metadata=None, resolution=(0.5, 0.5))
    assert open_volume(path).voxel_size == (5, 2, 2)
