"""The page in a real browser, against the answers of Python."""

import functools
import http.server
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from page_actions import (
    LOOK_LIKE_PYTHON,
    choose_model,
    compare,
    give,
    released,
    run,
    type_voxel_size,
)

from cfzoo.runtime import Options, classify, prepare, read_points
from cfzoo.runtime.cubes import copy_cubes, with_scales
from cfzoo.runtime.explain import explain
from cfzoo.runtime.sample import VOXEL_SIZE
from cfzoo.workflows.try_page import write_try_page


@pytest.fixture(scope="module")
def first_page(open_page, page_file):
    return open_page(page_file.as_uri())


@pytest.fixture
def page(first_page):
    """The page as a visitor finds it."""
    first_page.evaluate("tryPage.volumes = { signal: null, background: null }; tryPage.clear()")
    if first_page.evaluate("tryPage.artifact.card.name") != "attention3d":
        choose_model(first_page, released("attention3d"))
    return first_page


@pytest.mark.parametrize(
    ("volume", "points", "model"),
    [
        ("signal.tif", "points.xml", "attention3d"),
        ("signal.npy", "points.csv", "pyramid3d"),  # whose candidates decide on an intercept
    ],
)
def test_200_points_have_the_answers_of_python(page, brain, volume, points, model):
    choose_model(page, released(model))
    give(page, "signal", brain / volume)
    assert page.input_value("#size-z") == ("5" if volume.endswith("tif") else "")
    if volume.endswith("npy"):
        assert page.is_disabled("#classify")
        type_voxel_size(page)
    give(page, "points", brain / points)
    file = read_points(brain / points)
    assert len(file.zyx) == 200
    results = classify(
        file, np.load(brain / "signal.npy"), model=model, voxel_size=VOXEL_SIZE,
        options=Options(outside="flag"),
    )  # fmt: skip
    assert np.ptp(results.probability[:-1]) > 0.9
    assert compare(run(page), results) < LOOK_LIKE_PYTHON
    cells = int((results.probability >= 0.5).sum())
    assert page.text_content("#counts") == f"{cells} cells of 200 candidates"


def test_two_channels_have_the_answers_of_python(page, brain):
    choose_model(page, released("filters3d-2ch"))
    give(page, "signal", brain / "signal.npy")
    type_voxel_size(page)
    give(page, "points", brain / "points.csv")
    page.click("#classify")
    assert "Give the background too" in page.text_content("#problem")
    give(page, "background", brain / "background.npy")
    channels = [np.load(brain / f"{name}.npy") for name in ("signal", "background")]
    options = Options(outside="flag")
    results = classify(
        read_points(brain / "points.csv"), *channels, model="filters3d-2ch",
        voxel_size=VOXEL_SIZE, options=options,
    )  # fmt: skip
    assert compare(run(page), results) < LOOK_LIKE_PYTHON
    assert page.locator("#pictures canvas:visible").count() == 2
    assert page.is_hidden("#reasons")  # it gives no maps


GEOMETRIES = {
    "trilinear, finer": ({"resampling": "trilinear"}, (2.1, 0.9, 0.7)),
    "trilinear, coarser": ({"resampling": "trilinear"}, (7, 3.3, 2.9)),
    "antialias": ({"resampling": "antialias", "padding": "zero"}, (2.3, 0.8, 1.1)),
    "dataset": ({"normalisation": "dataset"}, (5, 2, 2)),
    "one plane": ({"cube_shape": (1, 6, 8)}, (3, 1.5, 1.5)),
}


@pytest.mark.slow
def test_cubes_are_those_of_python(built, open_page, make_artifact, tmp_path):
    """For each rule of a card, with points at faces and halves, and voxels that are NaN."""
    rng = np.random.default_rng(0)
    volume = rng.integers(0, 4000, (14, 31, 33)).astype(np.float32)
    volume[2, 3, 4] = np.nan
    zyx = rng.uniform(-1, 1, (40, 3)) + rng.integers(0, (14, 31, 33), (40, 3))
    zyx[:12] = np.round(2 * zyx[:12]) / 2
    zyx = np.clip(zyx, 0, np.array(volume.shape) - 1)
    np.save(tmp_path / "volume.npy", volume)
    np.save(tmp_path / "finite.npy", np.nan_to_num(volume))
    rows = [",".join(map(repr, point)) for point in zyx.tolist()]
    (tmp_path / "points.csv").write_text("\n".join(["z,y,x", *rows]) + "\n")
    models = []
    for number, (fields, _) in enumerate(GEOMETRIES.values()):
        models.append(make_artifact(tmp_path, name=f"rule{number}", **fields))
    write_try_page(tmp_path / "try.html", models, example=False)
    page = open_page((tmp_path / "try.html").as_uri())
    for number, (fields, voxel_size) in enumerate(GEOMETRIES.values()):
        choose_model(page, f"rule{number} 1.0.0")
        name = "finite" if "normalisation" in fields else "volume"
        data = np.load(tmp_path / f"{name}.npy")
        give(page, "signal", tmp_path / f"{name}.npy")
        type_voxel_size(page, voxel_size)
        give(page, "points", tmp_path / "points.csv")
        results = classify(zyx, data, model=models[number], voxel_size=voxel_size)
        assert compare(run(page), results) < LOOK_LIKE_PYTHON
        job = prepare(zyx, data, model=models[number], voxel_size=voxel_size)
        (spec,) = with_scales(job.specs, job.volumes)
        blocks = np.empty((len(zyx), *spec.grid.data_shape), np.float32)
        copy_cubes(data, spec.starts, blocks)
        spec.grid.pad(spec.starts, data.shape, blocks)
        expected = spec.network_cubes(blocks[:, None])
        finite = np.flatnonzero(np.isfinite(expected).all(axis=(1, 2, 3, 4)))
        code = "rows => rows.map((row) => Array.from(tryPage.job.cubeOf(row)))"
        cubes = np.array(page.evaluate(code, finite.tolist())).reshape(-1, *expected.shape[1:])
        np.testing.assert_allclose(cubes, expected[finite], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("model", "layer_map"), [("attention3d", "grad_cam"), ("wavemix3d", "hires_cam")]
)
def test_maps_are_those_of_python(page, brain, model, layer_map):
    choose_model(page, released(model))
    give(page, "signal", brain / "signal.tif")
    give(page, "points", brain / "points.xml")
    run(page)
    rows = [3, 40, 80]
    job = prepare(
        read_points(brain / "points.xml"), np.load(brain / "signal.npy"), model=model,
        voxel_size=VOXEL_SIZE, options=Options(outside="flag"),
    )  # fmt: skip
    expected = explain(job, rows, (layer_map, "relevance"))
    code = """async (row) => {
      const maps = await tryPage.workers.explain(tryPage.job.cubeOf(row));
      return Object.fromEntries(Object.entries(maps).map(([k, v]) => [k, Array.from(v)]));
    }"""
    for i, row in enumerate(rows):
        maps = page.evaluate(code, row)
        assert set(maps) == {layer_map, "relevance"}
        for name, values in maps.items():
            own = expected.maps[name][i]
            assert np.abs(np.array(values) - own.ravel()).max() < 1e-4 * np.abs(own).max()
    # It is drawn over the picture, and M takes it away.
    page.wait_for_selector("#pictures canvas[aria-label$='relevance']")
    pixels = "document.querySelector('#pictures canvas').toDataURL()"
    shown = page.evaluate(pixels)
    page.keyboard.press("m")
    assert page.evaluate(pixels) != shown
    page.keyboard.press("m")
    assert page.evaluate(pixels) == shown
    page.select_option("#map", layer_map)
    assert page.evaluate(pixels) != shown


def test_the_page_works_after_its_server_has_gone(open_page, page_file, brain, tmp_path):
    """Once loaded it needs no network: the server is cut, and the browser is offline."""
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=page_file.parent)
    handler.log_message = lambda *_: None
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    page = open_page(f"http://127.0.0.1:{server.server_address[1]}/try.html")
    server.shutdown()
    server.server_close()
    page.context.set_offline(True)
    choose_model(page, released("pyramid3d"))  # which nobody has looked at yet
    give(page, "signal", brain / "signal.tif")
    give(page, "points", brain / "points.xml")
    probability, _ = run(page)
    with page.expect_download() as download:
        page.click("#save")
    download.value.save_as(tmp_path / "classified.csv")
    assert download.value.suggested_filename == "signal-classified.csv"
    points = read_points(tmp_path / "classified.csv")
    assert np.array_equal(points.zyx, np.load(brain / "zyx.npy"))
    classified = np.isfinite(probability)
    assert np.array_equal(points.types[classified], np.where(probability[classified] < 0.5, 1, 2))


def test_everything_can_be_done_with_keys(page, brain):
    give(page, "signal", brain / "signal.tif")
    page.focus("#slice")
    for key in ("ArrowRight", "Shift+ArrowDown", "PageUp", "Enter", "Shift+ArrowLeft", "Enter"):
        page.keyboard.press(key)
    assert page.evaluate("tryPage.zyx") == [[29, 160, 151], [29, 160, 141]]
    assert page.text_content("#cross") == "x 141 y 160 z 29"
    page.keyboard.press("c")
    page.wait_for_selector("#counts:has-text('of 2 candidates')")
    page.focus("#order")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "save"
    page.keyboard.press("ArrowRight")
    assert page.text_content("#place").startswith("Candidate 1 at x 151 y 160 z 29")
    page.focus("#remove")
    page.keyboard.press("Enter")
    assert page.evaluate("tryPage.zyx") == [[29, 160, 141]]
    assert page.is_disabled("#save")  # the answers were to other candidates
    # Everything that takes the focus has a name, and every picture too.
    controls = page.locator("button:visible, input, select, [tabindex]:visible, canvas:visible")
    names = controls.evaluate_all(
        "all => all.map((e) => e.ariaLabel || e.labels?.[0]?.innerText || e.innerText)"
    )
    assert len(names) > 20
    assert all(name.strip() for name in names)


def test_a_click_adds_a_candidate_or_chooses_one(page, brain):
    give(page, "signal", brain / "signal.npy")
    type_voxel_size(page)
    box = page.locator("#slice").bounding_box()
    page.mouse.click(box["x"] + 0.25 * box["width"], box["y"] + 0.75 * box["height"])
    page.mouse.click(box["x"] + 0.75 * box["width"], box["y"] + 0.5 * box["height"])
    assert (
        np.abs(np.array(page.evaluate("tryPage.zyx")) - [[30, 225, 75], [30, 150, 225]]).max() <= 1
    )
    page.mouse.click(box["x"] + 0.25 * box["width"] + 3, box["y"] + 0.75 * box["height"])
    assert page.evaluate("[tryPage.zyx.length, tryPage.viewed]") == [2, 0]


def test_a_cube_is_classified_as_it_is(page, brain, tmp_path):
    """A file of the network's own grid, with the candidate in its centre."""
    job = prepare(
        read_points(brain / "points.xml"), np.load(brain / "signal.npy"), model="attention3d",
        voxel_size=VOXEL_SIZE, options=Options(outside="flag"),
    )  # fmt: skip
    cube = explain(job, [7], ("relevance",)).cubes[0]
    results = classify(
        read_points(brain / "points.xml"), np.load(brain / "signal.npy"), model="attention3d",
        voxel_size=VOXEL_SIZE, options=Options(outside="flag"),
    )  # fmt: skip
    np.save(tmp_path / "cube.npy", cube)
    give(page, "signal", tmp_path / "cube.npy")
    type_voxel_size(page, (6, 3, 3))
    page.click("#centre")
    probability, flags = run(page)
    assert flags == [""]
    assert abs(probability[0] - results.probability[7]) < LOOK_LIKE_PYTHON


@pytest.mark.slow
@pytest.mark.parametrize("width", [1440, 768, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_fits_any_screen(open_page, page_file, brain, width, scheme):
    page = open_page(
        page_file.as_uri(), viewport={"width": width, "height": 900}, color_scheme=scheme
    )
    give(page, "signal", brain / "signal.tif")
    give(page, "points", brain / "points.xml")
    run(page)
    assert page.evaluate("document.documentElement.scrollWidth - window.innerWidth") <= 0
    for canvas in page.locator("canvas:visible").all():
        assert canvas.bounding_box()["width"] > 200
    small = page.locator("button:visible, .button:visible, select:visible").evaluate_all(
        "all => all.filter((e) => !e.closest('.list') && e.offsetHeight < 40).map((e) => e.id)"
    )
    assert small == []
