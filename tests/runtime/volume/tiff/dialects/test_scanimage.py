"""ScanImage's settings: channels page by page, frames, volumes, regions."""

import json
import struct

import numpy as np
import pytest
import tifffile

from cfzoo.runtime.errors import InputError
from cfzoo.runtime.volume import open_volume

ALL = (slice(None),) * 3
CHANNELS = np.random.default_rng(0).integers(-500, 2**15, (6, 2, 7, 9)).astype("i2")  # z c y x
SI2020 = {
    "SI.VERSION_MAJOR": "2020",
    "SI.hChannels.channelSave": "[1;2]",
    "SI.hStackManager.enable": "true",
    "SI.hStackManager.numSlices": "6",
    "SI.hStackManager.framesPerSlice": "1",
    "SI.hFastZ.enable": "false",
    "SI.hScan2D.logAverageFactor": "1",
}
SI5 = {
    "scanimage.SI5.channelsSave": "[1;2]",
    "scanimage.SI5.stackNumSlices": "6",
    "scanimage.SI5.acqNumFrames": "1",
    "scanimage.SI5.acqNumAveragedFrames": "1",
    "scanimage.SI5.fastZEnable": "false",
}
SI3 = {
    "state.acq.numberOfChannelsSave": "2",
    "state.acq.numberOfZSlices": "6",
    "state.acq.numberOfFrames": "1",
    "state.acq.averaging": "0",
}


def lines(settings, **changes):
    names = {name.rpartition(".")[2]: name for name in settings}
    settings = dict(settings)
    for name, value in changes.items():
        settings[names.get(name, name.replace("__", "."))] = value
    return "\n".join(f"{name} = {value}" for name, value in settings.items() if value is not None)


def write(path, pages=CHANNELS, **tags):
    with tifffile.TiffWriter(path, bigtiff=True) as file:
        for page in pages.reshape(-1, *pages.shape[-2:]):
            file.write(page, metadata=None, contiguous=False, **tags)
    return path


def check_channels(path, data=CHANNELS):
    with pytest.raises(InputError, match=r"has 2 channels.*--channel 0"):
        open_volume(path)
    for channel in (0, 1):
        with open_volume(path, channel=channel) as volume:
            np.testing.assert_array_equal(volume.read(*ALL), data[:, channel])


def as_json(settings):
    tree = {}
    for name, value in settings.items():
        *groups, last = name.split(".")
        node = tree
        for group in groups:
            node = node.setdefault(group, {})
        node[last] = value if value.startswith("[") else json.loads(value)
    return json.dumps(tree)


FORMS = {
    "software tag": {"software": lines(SI2020)},
    "description": {"description": "frameNumbers = 1\n" + lines(SI2020)},
    "scanimage.SI": {"description": lines(SI2020).replace("SI.", "scanimage.SI.")},
    "json": {"software": as_json(SI2020)},
    "version 5": {"description": "Frame Number = 1\n" + lines(SI5)},
    "version 4": {"description": lines(SI5).replace("SI5", "SI4")},
    "version 3": {"description": lines(SI3).replace(" = ", "=").replace("\n", "\r")},
    "fast stack": {"software": lines(SI2020, SI__hFastZ__enable="true", numVolumes="1")},
    "averaged frames": {"software": lines(SI2020, framesPerSlice="8", logAverageFactor="8")},
    "averaging of version 3": {
        "description": lines(SI3, averaging="1", numberOfFrames="4").replace(" = ", "=")
    },
}


@pytest.mark.parametrize("form", FORMS)
def test_reads_the_channels_page_by_page(tmp_path, form):
    check_channels(write(tmp_path / "brain.tif", **FORMS[form]))


def test_reads_the_settings_behind_the_header(tmp_path, build_tiff):
    """Where the Software tag was lost: magic number, version, length, text at byte 16."""
    text = lines(SI2020).encode()
    raw = struct.pack("<IIII", 0x07030301, 4, len(text), 0) + text
    pages = CHANNELS.reshape(-1, 7, 9)
    check_channels(build_tiff(tmp_path / "brain.tif", pages, lambda _: raw, big=True))


def test_reads_one_channel_and_one_plane(tmp_path):
    one = lines(SI2020, channelSave="1")
    path = write(tmp_path / "brain.tif", CHANNELS[:, :1], software=one)
    np.testing.assert_array_equal(open_volume(path).read(*ALL), CHANNELS[:, 0])
    path = write(tmp_path / "plane.tif", CHANNELS[0, :1], software=lines({"SI.a": "1"}))
    np.testing.assert_array_equal(open_volume(path).read(*ALL), CHANNELS[:1, 0])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"numSlices": "5"}, r"has 12 planes, but its ScanImage header declares 10 \(5 x 2\)"),
        ({"channelSave": "[1;2;3]"}, r"declares 18"),
        ({"channelSave": "4"}, r"declares 6"),
        ({"framesPerSlice": "2", "numSlices": "3"}, "2 ScanImage frames of each of 3 plane"),
        ({"framesPerSlice": "2"}, "2 ScanImage frames of each of 6 plane"),
        ({"framesPerSlice": "Inf"}, "frames per slice is not stated"),
        ({"framesPerSlice": None}, "frames per slice is not stated"),
        ({"numSlices": None}, "slices is not stated"),
        ({"channelSave": None}, "does not state its channels"),
        ({"SI__hStackManager__enable": "false"}, "declares 2 "),
        (
            {"SI__hStackManager__enable": "false", "framesPerSlice": "6"},
            "6 ScanImage frames of each of 1 plane",
        ),
        (
            {"SI__hFastZ__enable": "true", "SI.hFastZ.numVolumes": "3", "numSlices": "2"},
            "several ScanImage volumes",
        ),
        ({"SI__hFastZ__enable": "true", "SI.hFastZ.numVolumes": "3"}, "several ScanImage volumes"),
        ({"SI__hFastZ__enable": "true", "numSlices": "3"}, "several ScanImage volumes"),
        (
            {
                "SI__hFastZ__enable": "true",
                "numSlices": "5",
                "SI.hFastZ.numVolumes": "1",
                "SI.hFastZ.numDiscardFlybackFrames": "1",
            },
            "1 ScanImage flyback frame",
        ),
        ({"SI.hRoiManager.mroiEnable": "true"}, "several regions in each page"),
    ],
)
def test_refuses_what_is_not_one_page_per_plane_and_channel(tmp_path, changes, message):
    with pytest.raises(InputError, match=message) as failure:
        open_volume(write(tmp_path / "brain.tif", software=lines(SI2020, **changes)), channel=0)
    assert "\n" not in str(failure.value)
