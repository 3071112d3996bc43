"""Models that the page refuses, and those of the user's own files, in a real browser."""

import base64
import gzip
import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from page_actions import LOOK_LIKE_PYTHON, choose_model, compare, give, released, run

from cfzoo.runtime import Options, classify, read_points
from cfzoo.runtime.artifact import bundled, seal
from cfzoo.runtime.sample import VOXEL_SIZE

ROOT = Path(__file__).resolve().parents[3]
VECTORS = json.loads((ROOT / "docs" / "readers" / "vectors.json").read_text())["vectors"]
DROP = """([name, content]) => {
  const files = new DataTransfer();
  files.items.add(new File([Uint8Array.from(atob(content), (c) => c.charCodeAt(0))], name));
  document.body.dispatchEvent(new DragEvent("drop", { dataTransfer: files }));
}"""


def repack(text, change):
    """The page with another model in place of the first."""
    match = re.search(r'(id="model-0">)([^<]+)<', text)
    data = change(bytearray(gzip.decompress(base64.b64decode(match[2]))))
    return text.replace(match[2], base64.b64encode(gzip.compress(bytes(data))).decode())


def flip(data):
    data[len(data) // 2] ^= 1  # in a weight
    return data


def seal_again(data):
    return seal(bytes(flip(data)[: -80 - 2]))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (flip, "The digest does not fit the content"),
        (lambda data: data + b"\0", "The file does not end with its digest"),
        (lambda data: data[:-1], "The file does not end with its digest"),
        (seal_again, "This is another model than the page was written for"),
        (lambda data: bundled()["pipnet3d"].read_bytes(), "This is another model"),
    ],
)
def test_a_tampered_model_is_refused(open_page, page_file, tmp_path, brain, change, words):
    path = tmp_path / "tampered.html"
    path.write_text(repack(page_file.read_text(), change))
    page = open_page(path.as_uri())
    assert page.text_content("#problem").startswith(f"The model was refused: {words}")
    give(page, "signal", brain / "signal.tif")
    give(page, "points", brain / "points.xml")
    assert page.is_disabled("#classify")


@pytest.fixture(scope="module")
def page(open_page, page_file):
    return open_page(f"{page_file.as_uri()}#threads=1")


def give_model(page, name, data, dropped=False):
    """Give a model of one's own; return what the page then says, "" if it takes it."""
    page.evaluate("tryPage.complain('')")  # so that its going or changing can be waited for
    if dropped:
        page.evaluate(DROP, [name, base64.b64encode(bytes(data)).decode()])
    else:
        file = {"name": name, "mimeType": "application/octet-stream", "buffer": bytes(data)}
        page.set_input_files("#own", file)
    page.wait_for_function(
        """() => document.querySelector("#model-status").textContent.includes("right")
          && (document.querySelector("#problem").hidden
            || document.querySelector("#problem").textContent !== "")"""
    )
    return page.text_content("#problem") if page.is_visible("#problem") else ""


def chosen(page):
    return page.evaluate("document.querySelector('#model').selectedOptions[0].text")


@pytest.mark.parametrize("dropped", [False, True])
def test_a_file_of_ones_own_is_used(page, brain, dropped):
    """A model that the page does not carry, chosen or dropped, with the answers of Python."""
    choose_model(page, released("attention3d"))
    path = bundled()["pipnet3d"]
    assert give_model(page, "mine.onnx", path.read_bytes(), dropped) == ""
    assert chosen(page) == f"{released('pipnet3d')} (mine.onnx)"
    digest = path.read_bytes()[-64:-52].decode()
    assert page.text_content("#model-status").startswith(f"Digest {digest} and test vector")
    give(page, "signal", brain / "signal.tif")
    give(page, "points", brain / "points.xml")
    results = classify(
        read_points(brain / "points.xml"), np.load(brain / "signal.npy"), model="pipnet3d",
        voxel_size=VOXEL_SIZE, options=Options(outside="flag"),
    )  # fmt: skip
    assert compare(run(page), results) < LOOK_LIKE_PYTHON
    choose_model(page, released("attention3d"))
    page.select_option("#model", label=f"{released('pipnet3d')} (mine.onnx)")  # it stays there
    page.wait_for_selector(f"#model-status:has-text('{digest}')")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (flip, "The digest does not fit the content"),
        (lambda data: data + b"\0", "The file does not end with its digest"),
        (lambda data: data[:-1], "The file does not end with its digest"),
        (lambda data: b"", "The file does not end with its digest"),
    ],
)
def test_a_tampered_file_is_refused_in_the_same_words(page, change, words):
    choose_model(page, released("attention3d"))
    options = page.locator("#model option").count()
    text = give_model(page, "bad.onnx", change(bytearray(bundled()["pipnet3d"].read_bytes())))
    assert text.startswith(f"The model was refused: {words}")
    # The model before stays in use.
    assert chosen(page) == released("attention3d")
    assert page.evaluate("tryPage.artifact.card.name") == "attention3d"
    assert page.locator("#model option").count() == options


# The page leaves shapes, time and JSON's own rules to the browser.
LEFT_TO_THE_BROWSER = {"key of the card twice", "pooling over 10^9 voxels"}


def test_what_implementers_must_refuse_is_refused(page):
    """The vectors of docs/readers: damaged, incomplete and hostile files, and good ones."""
    words = {
        "digest": "digest",
        "contents": "card|test vector|schema",
        "answer": "test vector",
        "guard": "",
    }
    for vector in VECTORS:
        if vector["name"] in LEFT_TO_THE_BROWSER:
            continue
        text = give_model(page, "vector.onnx", base64.b64decode(vector["file"]))
        if vector["refused_by"] is None:
            assert text == "", vector["name"]
        else:
            assert text.startswith("The model was refused: "), vector["name"]
            assert re.search(words[vector["refused_by"]], text), (vector["name"], text)
            assert "undefined" not in text and "is not a function" not in text, text
            if vector["name"] == "test cube of another size":
                assert "voxels; expected" in text  # before the network sees it


def test_other_files_are_refused_in_a_sentence(page):
    assert "does not end with its digest" in give_model(page, "notes.onnx", b"x" * 200)
    nonsense = seal(b"\x0a\x03abc")
    assert give_model(page, "sealed.onnx", nonsense).startswith("The model was refused: ")
