"""Sets of OME-TIFF files, one per channel or plane, which one OME-XML describes."""

import numpy as np
import pytest
import tifffile

from cfzoo.runtime.errors import InputError
from cfzoo.runtime.volume import open_volume

ALL = (slice(None),) * 3
CHANNELS = np.random.default_rng(0).integers(0, 2**16, (5, 2, 7, 9), "u2")  # z c y x


def xml(runs, z=5, c=2, t=1, kind="uint16", order="XYZCT"):
    return (
        f'<?xml version="1.0" encoding="UTF-8"?><OME><Image><Pixels '
        f'DimensionOrder="{order}" SizeX="9" SizeY="7" SizeZ="{z}" SizeC="{c}" SizeT="{t}" '
        f'Type="{kind}" PhysicalSizeX="2" PhysicalSizeY="2" PhysicalSizeZ="5">{"".join(runs)}'
        "</Pixels></Image></OME>"
    )


def run(file, page=0, z=0, c=0, count=1):
    return (
        f'<TiffData IFD="{page}" FirstZ="{z}" FirstC="{c}" FirstT="0" PlaneCount="{count}">'
        f'<UUID FileName="{file}">urn:uuid:{z}{c}</UUID></TiffData>'
    )


PER_CHANNEL = [run(f"a_C{c}.ome.tif", z, z, c) for c in range(2) for z in range(5)]
PER_PLANE = [run(f"a_Z{z}_C{c}.ome.tif", 0, z, c) for z in range(5) for c in range(2)]
IN_ONE_RUN = [run(f"a_C{c}.ome.tif", 0, 0, c, 5) for c in range(2)]
ONLY = '<OME><BinaryOnly MetadataFile="a.companion.ome" UUID="urn:uuid:1"/></OME>'


def write(folder, runs, text=None):
    text = xml(runs) if text is None else text
    if "C0.ome.tif" in runs[0] and "_Z" not in runs[0]:
        for c in range(2):
            with tifffile.TiffWriter(folder / f"a_C{c}.ome.tif") as file:
                for plane in CHANNELS[:, c]:
                    file.write(plane, description=text, metadata=None, contiguous=False)
    else:
        for z, c in np.ndindex(5, 2):
            path = folder / f"a_Z{z}_C{c}.ome.tif"
            tifffile.imwrite(path, CHANNELS[z, c], description=text, metadata=None)


def check_channels(path):
    with pytest.raises(InputError, match=r"has 2 channels.*--channel 0"):
        open_volume(path)
    for channel in (0, 1):
        with open_volume(path, channel=channel) as volume:
            np.testing.assert_array_equal(volume.read(*ALL), CHANNELS[:, channel])
            assert volume.voxel_size == (5, 2, 2)


@pytest.mark.parametrize("runs", [PER_CHANNEL, PER_PLANE, IN_ONE_RUN])
def test_reads_the_set_from_any_of_its_files(tmp_path, runs):
    write(tmp_path, runs)
    for path in tmp_path.iterdir():
        check_channels(path)


@pytest.mark.parametrize("runs", [PER_CHANNEL, PER_PLANE])
def test_reads_the_set_from_its_companion(tmp_path, runs):
    write(tmp_path, runs, ONLY)
    (tmp_path / "a.companion.ome").write_text(xml(runs))
    check_channels(tmp_path / "a.companion.ome")
    check_channels(
        tmp_path / "a_C1.ome.tif" if runs is PER_CHANNEL else tmp_path / "a_Z3_C0.ome.tif"
    )
    check_channels(tmp_path)


def test_a_file_that_names_only_itself_is_no_set(tmp_path):
    """Bio-Formats always writes the name; the file may have got another one since."""
    runs = [run("before.ome.tif", z, z) for z in range(5)]
    with tifffile.TiffWriter(tmp_path / "after.ome.tif") as file:
        for plane in CHANNELS[:, 0]:
            text = xml(runs, c=1)
            file.write(plane, description=text, metadata=None, contiguous=False)
    with open_volume(tmp_path / "after.ome.tif") as volume:
        np.testing.assert_array_equal(volume.read(*ALL), CHANNELS[:, 0])


@pytest.mark.parametrize(
    ("runs", "message"),
    [
        ([*PER_CHANNEL[:-1], run("gone.ome.tif", 4, 4, 1)], "gone.ome.tif of that set cannot be"),
        ([*PER_CHANNEL[:-1], run("../a_C1.ome.tif", 4, 4, 1)], "a file of the same folder"),
        ([*PER_CHANNEL[:-1], run("/etc/passwd", 4, 4, 1)], "a file of the same folder"),
        ([*PER_CHANNEL[:-1], run("b\\a_C1.ome.tif", 4, 4, 1)], "a file of the same folder"),
        ([*PER_CHANNEL[:-1], run("..", 4, 4, 1)], "a file of the same folder"),
        ([*PER_CHANNEL[:-1], run("", 4, 4, 1)], "does not name the file of each plane"),
        (PER_CHANNEL[:-1], "declares 10 planes and names pages for 9"),
        ([*PER_CHANNEL, PER_CHANNEL[0]], "gives a plane two pages"),
        ([*PER_CHANNEL[:-1], run("a_C1.ome.tif", 3, 4, 1)], "page 3 .* to two planes"),
        (
            [*PER_CHANNEL[:-1], run("a_C1.ome.tif", 9, 4, 1)],
            "page 9 .*but only 5",
        ),
        ([*PER_CHANNEL[:-1], run("a_C1.ome.tif", 4, 5, 1)], "outside its"),
        ([*PER_CHANNEL[:-1], run("a_C1.ome.tif", 4, 4, 1, 999999999)], "outside its"),
    ],
)
def test_refuses_a_set_that_is_not_whole(tmp_path, runs, message):
    write(tmp_path, runs)
    with pytest.raises(InputError, match=message) as failure:
        open_volume(tmp_path / "a_C0.ome.tif", channel=1)
    assert "\n" not in str(failure.value)


def test_refuses_a_set_of_other_planes(tmp_path):
    write(tmp_path, PER_CHANNEL, xml(PER_CHANNEL, t=2))
    with pytest.raises(InputError, match="2 time points"):
        open_volume(tmp_path / "a_C0.ome.tif", channel=0)
    write(tmp_path, PER_CHANNEL, xml(PER_CHANNEL, kind="int16"))
    with pytest.raises(InputError, match="OME-XML declares 7 x 9 int16"):
        open_volume(tmp_path / "a_C0.ome.tif", channel=0)
    write(tmp_path, PER_CHANNEL)
    tifffile.imwrite(tmp_path / "a_C1.ome.tif", CHANNELS[:2, 1], metadata=None, ome=False)
    with pytest.raises(InputError, match=r"a_C1.ome.tif has 2 planes.*declares 5"):
        open_volume(tmp_path / "a_C0.ome.tif", channel=1)


def test_names_the_companion_that_is_not_there(tmp_path):
    write(tmp_path, PER_CHANNEL, ONLY)
    with pytest.raises(InputError, match=r"a\.companion\.ome of that set cannot be read"):
        open_volume(tmp_path / "a_C0.ome.tif")
    (tmp_path / "a.companion.ome").write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match="no OME-XML in UTF-8"):
        open_volume(tmp_path / "a_C0.ome.tif")
    (tmp_path / "a.companion.ome").write_text(ONLY)
    with pytest.raises(InputError, match="one file of an OME set that"):
        open_volume(tmp_path / "a.companion.ome")


def test_notices_files_that_changed_their_names(tmp_path):
    """Each file gives its own UUID; with their names exchanged, the channels would be, too."""
    text = xml(
        [
            line.replace(f"urn:uuid:{k % 5}{k // 5}", f"urn:uuid:{k // 5}")
            for k, line in enumerate(PER_CHANNEL)
        ]
    )
    for c in range(2):
        with tifffile.TiffWriter(tmp_path / f"a_C{c}.ome.tif") as file:
            for plane in CHANNELS[:, c]:
                own = text.replace("<OME>", f'<OME UUID="urn:uuid:{c}">')
                file.write(plane, description=own, metadata=None, contiguous=False)
    check_channels(tmp_path / "a_C0.ome.tif")
    (tmp_path / "a_C0.ome.tif").rename(tmp_path / "x")
    (tmp_path / "a_C1.ome.tif").rename(tmp_path / "a_C0.ome.tif")
    (tmp_path / "x").rename(tmp_path / "a_C1.ome.tif")
    with pytest.raises(InputError, match="is another file of the set"):
        open_volume(tmp_path / "a_C1.ome.tif", channel=0)
