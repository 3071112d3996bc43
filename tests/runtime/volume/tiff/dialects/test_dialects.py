"""FluoView, SCIFIO, programs that are not read, and texts that contradict each other."""

import struct

import numpy as np
import pytest
import tifffile

from cfzoo.runtime.errors import InputError
from cfzoo.runtime.volume import open_volume

ALL = (slice(None),) * 3
CHANNELS = np.random.default_rng(0).integers(0, 2**16, (5, 2, 7, 9), "u2")  # z c y x
BY_PLANE = CHANNELS.reshape(10, 7, 9)
BY_CHANNEL = CHANNELS.swapaxes(0, 1).reshape(10, 7, 9)


def write(path, pages=BY_PLANE, texts=(), **options):
    extra = [(270, "s", 0, text, True) for text in texts]
    with tifffile.TiffWriter(path) as file:
        for index, page in enumerate(pages):
            extratags = [*extra, *options.pop("extratags", [])] if index == 0 else []
            file.write(page, metadata=None, contiguous=False, extratags=extratags, **options)
    return path


def check_channels(path):
    with pytest.raises(InputError, match=r"has 2 channels.*--channel 0"):
        open_volume(path)
    for channel in (0, 1):
        with open_volume(path, channel=channel) as volume:
            np.testing.assert_array_equal(volume.read(*ALL), CHANNELS[:, channel])


def fluoview(*dimensions):
    raw = bytes(284)
    for name, size in (*dimensions, *[("", 0)] * (10 - len(dimensions))):
        raw += struct.pack("<16si8s8s64s", name.encode(), size, b"", b"", b"")
    return [(34361, "B", len(raw), raw, True)]


def test_reads_the_axes_of_fluoview(tmp_path):
    axes = ("X", 9), ("Y", 7), ("Ch", 2), ("Z", 5)
    check_channels(write(tmp_path / "a.tif", extratags=fluoview(*axes)))
    axes = ("X", 9), ("Y", 7), ("Z", 5), ("Wavelength", 2)
    check_channels(write(tmp_path / "b.tif", BY_CHANNEL, extratags=fluoview(*axes)))
    path = write(tmp_path / "c.tif", extratags=fluoview(("X", 9), ("Y", 7), ("Z", 10)))
    np.testing.assert_array_equal(open_volume(path).read(*ALL), BY_PLANE)


@pytest.mark.parametrize(
    ("axes", "message"),
    [
        ((("Z", 5), ("T", 2)), "2 time points"),
        ((("Z", 9),), "has 10 planes, but its FluoView header declares 9"),
        ((("Z", 5), ("Event", 2)), "2 positions along the FluoView axis 'EVENT'"),
        ((("Z", 5), ("Z", 2)), "FluoView axis 'Z'"),
        ((), "declares 1 "),
    ],
)
def test_refuses_other_axes_of_fluoview(tmp_path, axes, message):
    path = write(tmp_path / "brain.tif", extratags=fluoview(("X", 9), ("Y", 7), *axes))
    with pytest.raises(InputError, match=message):
        open_volume(path)
    path = write(tmp_path / "turned.tif", extratags=fluoview(("X", 7), ("Y", 9), ("Z", 10)))
    with pytest.raises(InputError, match=r"FluoView header declares \(9, 7\)"):
        open_volume(path)


def scifio(axes="X,Y,Channel,Z", lengths="9,7,2,5", more="images=10\nchannels=2\nslices=5\n"):
    return f"SCIFIO=0.46.0\naxes={axes}\nlengths={lengths}\n{more}"


def test_reads_the_axes_of_scifio(tmp_path):
    check_channels(write(tmp_path / "a.tif", texts=[scifio()]))
    check_channels(write(tmp_path / "b.tif", BY_CHANNEL, [scifio("X,Y,Z,Channel", "9,7,5,2")]))
    more = "scales=2.0,2.0,5.0\nunits=\u00b5m,micron,um\nimages=10\nslices=10\n"
    path = write(tmp_path / "c.tif", texts=[scifio("X,Y,Z", "9,7,10", more).encode()])
    assert open_volume(path).voxel_size == (5, 2, 2)
    more = "scales=2.0,2.0,5.0\nunits=null,null,null\nunit=um\n"
    path = write(tmp_path / "d.tif", texts=[scifio("X,Y,Z", "9,7,10", more)])
    assert open_volume(path).voxel_size == (5, 2, 2)
    more = "scales=2.0,2.0,5.0\nunits=null,null,null\n"
    path = write(tmp_path / "e.tif", texts=[scifio("X,Y,Z", "9,7,10", more)])
    assert open_volume(path).voxel_size is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (scifio("X,Y,Lifetime,Z", "9,7,2,5"), "has the axes X,Y,Lifetime,Z"),
        (scifio("X,Y,Z", "9,7,2,5"), "has the axes X,Y,Z of 9,7,2,5"),
        (scifio("X,Y,Z", "9,7,10"), "contradicts itself"),
        (scifio("X,Y,Z", "9,7,11", ""), "declares 11"),
        (scifio("X,Y,Time,Z", "9,7,2,5", ""), "2 time points"),
        (scifio("X,Y,Z,Z", "9,7,2,5", ""), "has the axes X,Y,Z,Z"),
        (scifio("X,Y,Z", "9,7,ten", ""), "lengths='ten'"),
    ],
)
def test_refuses_other_axes_of_scifio(tmp_path, text, message):
    with pytest.raises(InputError, match=message):
        open_volume(write(tmp_path / "brain.tif", texts=[text]))


def test_follows_the_order_that_imagej_names(tmp_path):
    text = "ImageJ=1.53t\nimages=10\nchannels=2\nslices=5\nhyperstack=true\n"
    check_channels(write(tmp_path / "a.tif", texts=[text]))
    check_channels(write(tmp_path / "b.tif", BY_CHANNEL, [text + "order=zct\n"]))


def test_reads_a_spacing_of_one_that_imagej_leaves_out(tmp_path):
    def size(version, *fields):
        text = "\n".join([f"ImageJ={version}", "images=10", "slices=10", *fields])
        return open_volume(
            write(tmp_path / "brain.tif", texts=[text], resolution=(0.5, 0.25))
        ).voxel_size

    assert size("1.53t", "unit=micron") == (1, 4, 2)
    assert size("1.53t", "unit=micron", "spacing=5") == (5, 4, 2)
    assert size("1.53t") is None
    assert size("1.11a", "unit=um") is None  # tifffile, which leaves out what nobody stated


def ome_xml(order="XYCZT", c=2, z=5, t=1):
    return (
        f'<?xml version="1.0"?><OME><Image><Pixels DimensionOrder="{order}" SizeX="9" SizeY="7" '
        f'SizeZ="{z}" SizeC="{c}" SizeT="{t}" Type="uint16"/></Image></OME>'
    )


IMAGEJ = "ImageJ=1.53t\nimages=10\nchannels=2\nslices=5\n"


def test_accepts_texts_that_agree(tmp_path):
    check_channels(write(tmp_path / "brain.tif", texts=[ome_xml(), IMAGEJ]))
    shaped = '{"shape": [5, 2, 7, 9], "axes": "ZCYX"}'
    check_channels(write(tmp_path / "tifffile.tif", texts=[IMAGEJ, shaped]))


@pytest.mark.parametrize(
    "texts",
    [
        [ome_xml("XYZCT"), IMAGEJ],
        [ome_xml(c=1, z=10), IMAGEJ],
        [IMAGEJ, '{"shape": [10, 7, 9]}'],
        [
            IMAGEJ,
            "SI.hChannels.channelSave = 1\nSI.hStackManager.numSlices = 10\n"
            "SI.hStackManager.framesPerSlice = 1",
        ],
    ],
)
def test_refuses_texts_that_contradict_each_other(tmp_path, texts):
    with pytest.raises(InputError, match="expected that they agree"):
        open_volume(write(tmp_path / "brain.tif", texts=texts), channel=0)


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"extratags": [(4864, "I", 1, 1, True)]}, "Andor"),
        ({"extratags": [(33560, "I", 1, 1, True)]}, "Olympus"),
        ({"extratags": [(65006, "I", 1, 1, True)]}, "Gatan"),
        ({"extratags": [(50288, "I", 1, 1, True)]}, "Media Cybernetics"),
        ({"software": "Prairie View 5.5"}, "Prairie View"),
        ({"software": "MetaSeries"}, "MetaSeries"),
        ({"software": "LAS X 3.7"}, "Leica"),
        ({"software": "Imaris 9.5"}, "Imaris"),
        ({"texts": ["[Document]\nsizeC=2"]}, "Imaris"),
        ({"texts": ["<ThorImageExperiment/>"]}, "ThorImage"),
    ],
)
def test_refuses_the_pages_of_programs_that_are_not_read(tmp_path, options, name):
    with pytest.raises(InputError, match=f"has 10 pages in the order of {name}"):
        open_volume(write(tmp_path / "brain.tif", **options))
    one = write(tmp_path / "plane.tif", BY_PLANE[:1], **options)
    np.testing.assert_array_equal(open_volume(one).read(*ALL), BY_PLANE[:1])


def test_a_program_that_is_not_read_does_not_hide_a_text_that_is(tmp_path):
    check_channels(write(tmp_path / "brain.tif", texts=[IMAGEJ], software="Prairie View 5.5"))


@pytest.mark.parametrize(
    "texts",
    [
        [f"channel={k % 2} z={k // 2}" for k in range(10)],
        [f'{{"ch": "{"ab"[k % 2]}"}}' for k in range(10)],
        ["Number of planes: 5, channels: 2"],
        ["[Image]\nTotalChannels=2"],
        ["SizeX = 9\nSizeC = 2"],
    ],
)
def test_refuses_free_text_about_several_channels(tmp_path, texts):
    with tifffile.TiffWriter(tmp_path / "brain.tif") as file:
        for index, page in enumerate(BY_PLANE):
            text = texts[index % len(texts)] if index < len(texts) else None
            file.write(page, metadata=None, contiguous=False, description=text)
    with pytest.raises(InputError, match="its description says that there are several channels"):
        open_volume(tmp_path / "brain.tif")


@pytest.mark.parametrize("text", ["frozen sections", "channel=0", "channels: 1", "atlas x, c-Fos"])
def test_reads_free_text_about_one_channel(tmp_path, text):
    with tifffile.TiffWriter(tmp_path / "brain.tif") as file:
        for page in BY_PLANE:
            file.write(page, metadata=None, contiguous=False, description=text)
    np.testing.assert_array_equal(open_volume(tmp_path / "brain.tif").read(*ALL), BY_PLANE)


def test_reads_the_text_of_an_old_tifffile(tmp_path):
    path = write(tmp_path / "a.tif", texts=["shape=(10, 7, 9)"])
    np.testing.assert_array_equal(open_volume(path).read(*ALL), BY_PLANE)
    with pytest.raises(InputError, match=r"\(5, 2, 7, 9\) without names of its axes"):
        open_volume(write(tmp_path / "b.tif", texts=["shape=(5, 2, 7, 9)"]))
    with pytest.raises(InputError, match="declares 11"):
        open_volume(write(tmp_path / "c.tif", texts=["shape=(11, 7, 9)"]))
