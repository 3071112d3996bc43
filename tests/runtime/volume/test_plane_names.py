"""The order of planes by the numbers in their names."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from natsort import natsorted

from cfzoo.runtime.errors import InputError
from cfzoo.runtime.volume.plane_names import sort_planes


def grid(pattern, first=range(1, 13), second=range(1, 6)):
    return [pattern % (a, b) for a in first for b in second]


ORDERS = {
    "sections of BrainSaw": grid("section_%03d_%02d.tif"),
    "sections from another number on": grid("section_%03d_%02d.tif", range(98, 104), range(4)),
    "every second section": grid("sec_%d_z%d.tif", range(2, 12, 2), range(8, 12)),
    "sections and named planes": grid("slice_%d_plane_%d.tif"),
    "one optical plane": grid("section_%03d_%02d.tif", second=[1]),
    "one section": grid("section_%03d_%02d.tif", first=[7]),
    "decimals": [f"z_{i * 12.5:07.2f}.tif" for i in range(12)],
    "decimals with a comma": [f"z{i * 2.5:06.1f}.tif".replace(".", ",", 1) for i in range(12)],
    "rounded decimals": [f"z{i * 10 / 3:05.1f}.tif" for i in range(9)],
    "one decimal place that differs": [f"v1.{i}.tif" for i in range(9, 13)],
    "z beside a time stamp": [f"z{i:03}_t{1000 + i * i}.tif" for i in range(12)],
    "a time stamp before z": [f"{20240101 + i // 5}_{100 + 7 * i}_z{i}.tif" for i in range(12)],
    "a counter beside the section": [f"img{i:04}_block{i // 5}.tif" for i in range(12)],
    "z beside a time in parts": [
        f"z{i}_2024-01-05_23-{59 if i < 3 else 0:02}-{(i * 20) % 60:02}.tif".replace(
            "05_23", "06_00" if i > 2 else "05_23"
        )
        for i in range(6)
    ],
    "z beside the position": [f"z{i}_{i * 2.5 + 0.7:.1f}um.tif" for i in range(12)],
    "hyphens": [f"brain-{i:03}.tif" for i in range(8)],
    "hyphen after a separator": [f"brain_-{i}.tif" for i in range(8)],
    "a date": [f"2024-01-05_z{i}.tif" for i in range(12)],
}


@pytest.mark.parametrize("kind", ORDERS)
def test_sorts_names_whose_order_is_clear(kind):
    files = [Path(name) for name in ORDERS[kind]]
    assert sort_planes(files[::-1], "f") == files
    # cellfinder reads a folder in this order.
    assert [str(path) for path in files] == natsorted(map(str, files))


@pytest.mark.parametrize("kind", ["sections of BrainSaw", "decimals", "z beside the position"])
def test_notices_any_plane_that_is_missing(kind):
    files = [Path(name) for name in ORDERS[kind]]
    for missing in range(1, len(files) - 1):
        with pytest.raises(InputError, match=r"are missing between|lacks plane"):
            sort_planes(files[:missing] + files[missing + 1 :], "f")


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (grid("z%d_c%d.tif", second=range(2)), r"number after 'c' differs.*several channels"),
        (grid("ch%d_%03d.tif", range(2)), "several channels"),
        (grid("tile%d_z%d.tif"), "several tiles"),
        (grid("z%d_view%d.tif"), "several views"),
        (grid("t%d_z%d.tif"), "vary in 2 numbers.*such as a channel or a time"),
        (grid("section_%03d_%d.tif"), "vary in 2 numbers"),  # the second may be a channel
        (grid("img_%03d_%02d.tif"), "vary in 2 numbers.*a text file with the path of one plane"),
        (grid("section_%03d_%02d.tif")[:-1], "section 12 lacks plane 5"),
        (
            [n for n in grid("section_%03d_%02d.tif") if "_004_" not in n],
            "1 plane.s. are missing between numbers 3 and 5: 4",
        ),
        (["z1_t1.tif", "z2_t3.tif", "z4_t4.tif"], "between numbers 2 and 4: 3"),
        (["t1_z1.tif", "t2_z2.tif", "t3_z4.tif"], "between numbers 2 and 4: 3"),  # z is not t
        (["z1_c1.tif", "z2_c2.tif", "z3_c3.tif"], "several channels"),
        (["z1_p30.tif", "z2_p20.tif", "z3_p10.tif"], "vary in 2 numbers"),
        (["z_-10.tif", "z_0.tif", "z_10.tif"], "numbers go from -10 to 10.*Rename"),
        (["z-1.5.tif", "z+0.0.tif", "z+1.5.tif"], r"numbers go from -1\.5 to 1\.5"),
        (["z0.5.tif", "z0.25.tif", "z0.75.tif"], "missing|same number"),
        (["a_120000.tif", "a_120007.tif", "a_120013.tif"], "missing.*if none is missing"),
        (["z1.25.tif", "z1.50.tif", "z2.00.tif"], r"missing|vary"),
    ],
)
def test_refuses_names_whose_order_is_open(names, message):
    with pytest.raises(InputError, match=message) as failure:
        sort_planes([Path(name) for name in names], "f")
    assert "\n" not in str(failure.value)


@given(st.integers(2, 60), st.integers(0, 2000), st.integers(1, 30), st.data())
def test_sorts_any_series_and_notices_any_missing_plane(count, start, step, data):
    files = [Path(f"b{7}_z{start + i * step}_ch2.tif") for i in range(count)]
    shuffled = data.draw(st.permutations(files))
    assert sort_planes(shuffled, "f") == files
    if count > 3:
        gap = data.draw(st.integers(1, count - 2))
        shuffled.remove(files[gap])
        with pytest.raises(InputError, match=f": {start + gap * step};"):
            sort_planes(shuffled, "f")


@given(
    st.lists(
        st.from_regex(r"[a-z_.+-]{0,3}[0-9]{0,3}([a-z_.+-][0-9]{1,2})?\.tif", fullmatch=True),
        min_size=1,
        max_size=8,
        unique=True,
    )
)
def test_any_names_are_in_natural_order_or_refused(names):
    try:
        files = sort_planes([Path(name) for name in names], "f")
    except InputError as error:
        assert "\n" not in str(error)
    else:
        assert [path.name for path in files] == natsorted(names)
