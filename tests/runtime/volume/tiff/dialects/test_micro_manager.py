"""Micro-Manager and NDTiff: the place of each page as JSON in tag 51123, summary, index map."""

import json
import struct

import numpy as np
import pytest
import tifffile

from cfzoo.runtime.errors import InputError
from cfzoo.runtime.volume import open_volume

ALL = (slice(None),) * 3
CHANNELS = np.random.default_rng(0).integers(0, 2**16, (5, 2, 7, 9), "u2")  # z c y x
PLACES = [(z, c) for z in range(5) for c in range(2)]


def write(path, texts, data=CHANNELS, order=PLACES):
    with tifffile.TiffWriter(path) as file:
        for (z, c), text in zip(order, texts, strict=True):
            raw = text if isinstance(text, bytes) else json.dumps(text).encode()
            extra = [] if text is None else [(51123, "s", 0, raw.decode(), True)]
            file.write(data[z, c], metadata=None, contiguous=False, extratags=extra)
    return path


def check_channels(path, data=CHANNELS):
    with pytest.raises(InputError, match=r"has 2 channels.*--channel 0"):
        open_volume(path)
    for channel in (0, 1):
        with open_volume(path, channel=channel) as volume:
            np.testing.assert_array_equal(volume.read(*ALL), data[:, channel])


NAMES = ("DAPI", "Cy3")
FORMS = {
    "NDTiff": lambda z, c: {"Axes": {"z": z, "channel": c, "time": 0}},
    "NDTiff, names": lambda z, c: {"Axes": {"z": z, "channel": NAMES[c]}, "Time": f"10:0{z}"},
    "NDTiff, negative": lambda z, c: {"Axes": {"z": z - 3, "channel": NAMES[c]}},
    "Micro-Manager": lambda z, c: {
        "SliceIndex": z,
        "ChannelIndex": c,
        "Channel": NAMES[c],
        "FrameIndex": 0,
        "PositionIndex": 0,
    },
    "numbers only": lambda z, c: {"Slice": z, "Channel": NAMES[c], "Frame": 0},
    "with summary": lambda z, c: {
        "Summary": {"Channels": 2, "Slices": 5, "Frames": 1},
        "SliceIndex": z,
        "ChannelIndex": c,
    },
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("order", ["channels fastest", "slices fastest", "mixed"])
def test_follows_the_place_of_each_page(tmp_path, form, order):
    places = {
        "channels fastest": PLACES,
        "slices fastest": sorted(PLACES, key=lambda place: place[1]),
        "mixed": [PLACES[i] for i in (0, 9, 2, 7, 4, 3, 6, 5, 8, 1)],
    }[order]
    path = write(tmp_path / "brain.tif", [FORMS[form](*place) for place in places], order=places)
    check_channels(path)


def test_reads_one_channel(tmp_path):
    places = [(z, 0) for z in range(5)]
    for name, texts in {
        "axes": [{"Axes": {"z": z}} for z in range(5)],
        "summary": [{"Summary": {"Channels": 1, "Slices": 5, "Frames": 1}}] * 5,
        "flat": [{"Channels": 1, "Slices": 5, "Frames": 1, "PixelSizeUm": 2, "z-step_um": 5}] * 5,
    }.items():
        with open_volume(write(tmp_path / f"{name}.tif", texts, order=places)) as volume:
            np.testing.assert_array_equal(volume.read(*ALL), CHANNELS[:, 0])
            assert volume.voxel_size == ((5, 2, 2) if name == "flat" else None)
    path = write(tmp_path / "plane.tif", [{"Time": "now"}], order=places[:1])
    assert open_volume(path).shape == (1, 7, 9)


@pytest.mark.parametrize(
    ("form", "message"),
    [
        (lambda z, c: {"Axes": {"z": z, "time": c}}, "2 time points"),
        (lambda z, c: {"Axes": {"z": z, "position": c}}, "2 positions"),
        (lambda z, c: {"SliceIndex": z, "FrameIndex": c}, "2 time points"),
        (lambda z, c: {"Axes": {"z": 2 * z, "channel": c}}, "lacks planes"),
        (lambda z, c: {"Axes": {"z": 0, "channel": c}}, r"has 10 planes.*declares 2"),
        (lambda z, c: {"Axes": {"z": max(z, 1), "channel": c}}, r"has 10 planes.*declares 8"),
        (lambda z, c: {"Axes": {"z": z} | ({"channel": 1} if c else {})}, "says its place along"),
        (
            lambda z, c: {"SliceIndex": z, "ChannelIndex": c, "Slices": 6, "Channels": 2},
            r"summary declares 12",
        ),
        (lambda z, c: {"Channels": 2, "Slices": 5}, "2 channels of 5 planes.*no index"),
        (lambda z, c: {"Channels": 1, "Slices": 5}, "declares 5"),
        (lambda z, c: {"Channels": 2, "Slices": 5, "Frames": 2}, "2 time points"),
        (lambda z, c: {"Camera": "x"}, "does not say which plane and channel"),
        (lambda z, c: b'{"Axes": {"z"', "cannot be read"),
        (lambda z, c: b"[1]", "expected names and values"),
    ],
)
def test_refuses_pages_whose_place_is_open(tmp_path, form, message):
    path = write(tmp_path / "brain.tif", [form(*place) for place in PLACES])
    with pytest.raises(InputError, match=message) as failure:
        open_volume(path, channel=0)
    assert "\n" not in str(failure.value)


def micro_manager_header(summary, index):
    def build(pages):
        text = json.dumps(summary).encode()
        start = 40 + len(text)
        rows = b"".join(
            struct.pack("<5I", *place, page) for place, page in zip(index, pages, strict=False)
        )
        head = struct.pack("<8I", 54773648, start, 0, 0, 0, 0, 2355492, len(text))
        return head + text + struct.pack("<2I", 3453623, len(index)) + rows

    return build


def test_follows_the_index_map(tmp_path, build_tiff):
    summary = {"Channels": 2, "Slices": 5, "Frames": 1, "PixelSize_um": 2, "z-step_um": 5}
    index = [(c, z, 0, 0) for z, c in PLACES]
    pages = CHANNELS.reshape(10, 7, 9)
    path = build_tiff(tmp_path / "brain.tif", pages, micro_manager_header(summary, index))
    check_channels(path)
    assert open_volume(path, channel=0).voxel_size == (5, 2, 2)
    times = [(0, z, c, 0) for z, c in PLACES]
    path = build_tiff(tmp_path / "times.tif", pages, micro_manager_header(summary, times))
    with pytest.raises(InputError, match="2 time points"):
        open_volume(path, channel=0)


@pytest.mark.parametrize("version", [2, 3])
def test_reads_the_summary_of_ndtiff(tmp_path, build_tiff, version):
    text = json.dumps({"Channels": 2, "Slices": 5}).encode()
    head = [483729, version, *([0] if version == 3 else []), 2355492, len(text)]
    raw = struct.pack(f"<{len(head)}I", *head) + text
    path = build_tiff(tmp_path / "brain.tif", CHANNELS.reshape(10, 7, 9), lambda _: raw)
    with pytest.raises(InputError, match=r"2 channels of 5 planes.*no index"):
        open_volume(path, channel=0)
