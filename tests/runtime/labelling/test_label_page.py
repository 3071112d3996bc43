"""The page as a file: what is in it, how large it is, and what is refused."""

import json
import re

import numpy as np
import pytest

from cfzoo.runtime.errors import ArtifactError, InputError
from cfzoo.runtime.labelling import write_label_page
from cfzoo.runtime.labelling.page import SCRIPTS, safe_stem
from cfzoo.runtime.points import as_points
from cfzoo.runtime.sample import VOXEL_SIZE
from cfzoo.runtime.volume import open_volume


def read_facts(path):
    text = re.search(r'id="facts">(.*?)</script>', path.read_text(), re.S)[1]
    return json.loads(text)


def test_the_page_holds_all_candidates_and_asks_nothing_of_the_network(write_page, sample):
    path, summary = write_page()
    n = len(sample.zyx)
    assert (summary.candidates, summary.pool, summary.unclassified) == (n, n, 0)
    assert summary.bytes == path.stat().st_size < 10_000 * n
    facts = read_facts(path)
    np.testing.assert_array_equal(facts["xyz"], sample.zyx[:, ::-1])
    assert facts["numbers"] == list(range(1, n + 1))
    text = path.read_text()
    assert "http" not in text.replace("http-equiv", "").replace("http://www.w3.org/2000/svg", "")
    assert "default-src 'none'" in text
    assert not re.search(r'(src|href)="', text)


def test_a_page_of_a_part_takes_equal_steps_and_standardises_by_all(write_page, sample):
    whole, part = read_facts(write_page()[0]), read_facts(write_page(pool=50)[0])
    n = len(sample.zyx)
    assert part["numbers"] == [1 + i * n // 50 for i in range(50)]
    assert part["candidates"] == n
    assert part["prior"] == whole["prior"]
    assert part["scale"] == whole["scale"]
    assert part["digest"] != whole["digest"]


def test_the_same_input_gives_the_same_page(write_page):
    assert write_page()[0].read_bytes() == write_page()[0].read_bytes()


def test_labels_stay_with_their_candidates_under_another_model_and_field(write_page):
    digests = {read_facts(write_page(**options)[0])["digest"] for options in ({}, {"field": 60})}
    digests.add(read_facts(write_page(n_features=5)[0])["digest"])
    assert len(digests) == 1
    assert read_facts(write_page(rows=slice(0, 20))[0])["digest"] not in digests


def test_candidates_without_features_are_left_out(headed, sample, tmp_path):
    zyx = np.vstack([sample.zyx[:10], [[500.0, 0, 0]], sample.zyx[10:20]])
    with open_volume(sample.signal) as signal:
        summary = write_label_page(
            tmp_path / "labels.html",
            as_points(zyx),
            [signal],
            headed.write_artifact(tmp_path),
            voxel_size=VOXEL_SIZE,
        )
    assert (summary.candidates, summary.unclassified, summary.pool) == (21, 1, 20)
    assert 11 not in read_facts(tmp_path / "labels.html")["numbers"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"pool": 0}, "expected 1 to 10000"),
        ({"pool": 10_001}, "expected 1 to 10000"),
        ({"field": 5}, "expected 20 to 400"),
    ],
)
def test_options_out_of_range_are_refused(write_page, options, message):
    with pytest.raises(InputError, match=message):
        write_page(**options)


def test_models_and_volumes_that_do_not_fit_are_refused(make_artifact, headed, sample, tmp_path):
    def write(model, volumes, zyx=sample.zyx[:5]):
        points = as_points(np.array(zyx))
        opened = [open_volume(volume) for volume in volumes]
        write_label_page(tmp_path / "x.html", points, opened, model, voxel_size=VOXEL_SIZE)

    model = headed.write_artifact(tmp_path)
    with pytest.raises(ArtifactError, match="nothing to adapt"):
        write(make_artifact(), [sample.signal])
    with pytest.raises(InputError, match="same shape"):
        write(model, [sample.signal, sample.background[:-1]])
    with pytest.raises(InputError, match="could be classified"):
        write(model, [np.full((20, 40, 40), np.nan, np.float32)], [[10, 20, 20]])
    assert not (tmp_path / "x.html").exists()


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        ("signal.tif", "signal"),
        ("<img src=x>.tif", "img-src-x"),
        ("../../x.tif", "x"),
        ("...", "volume"),
        ("日本.tif", "volume"),
        ("a" * 300, "a" * 60),
    ],
)
def test_names_of_saved_files_suit_every_system(name, stem):
    assert safe_stem(name) == stem


def test_every_script_of_the_folder_is_in_the_page():
    from pathlib import Path

    from cfzoo.runtime.labelling import page

    folder = Path(page.__file__).with_name("page")
    assert {path.name for path in folder.glob("*.js")} == set(SCRIPTS)
    for path in folder.glob("*.js"):
        assert len(path.read_text().splitlines()) <= 550, path
        assert "innerHTML" not in path.read_text()
