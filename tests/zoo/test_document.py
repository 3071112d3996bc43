"""Documents: the same values from YAML and JSON, and one line for whatever is wrong."""

import pytest

from cfzoo.runtime.errors import InputError
from cfzoo.zoo.document import MAX_BYTES, parse_document, read_document

BOMB = "\n".join(
    ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    + [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 20)]
)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0123", "0123"),  # YAML 1.1: 83
        ("12_3", "12_3"),  # 123
        ("1:30", "1:30"),  # 90
        ("0x1F", "0x1F"),  # 31
        ("2026-05-01", "2026-05-01"),  # a date
        ("no", "no"),  # False
        ("3e-3", 0.003),  # text
        ("1.", 1.0),
        ("-.5", -0.5),
        ("+7", 7),
        ("'7'", "7"),
        ("true", True),
        ("", None),
        ("~", None),
        ("!!str 7", "7"),
        ("[1, [2]]", [1, [2]]),
        ("&a [1]", [1]),
    ],
)
def test_plain_values_are_those_of_yaml_1_2(text, value):
    result = parse_document(f"key: {text}\n".encode(), is_json=False)["key"]
    assert (result, type(result)) == (value, type(value))


def test_aliases_and_defaults_are_read():
    text = "base: &b {size: [5, 2, 2], split: train}\ndata: [{<<: *b, name: a, split: x}, *b]\n"
    base = {"size": [5, 2, 2], "split": "train"}
    data = [{**base, "name": "a", "split": "x"}, base]
    assert parse_document(text.encode(), is_json=False) == {"base": base, "data": data}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("is_json", [True, False])
def test_files_of_other_editors_are_read(encoding, is_json):
    raw = '{"name": "Müller"}'.encode(encoding)
    assert parse_document(raw, is_json) == {"name": "Müller"}


CASES = {
    "bomb": (BOMB, "more than 100000 values"),
    "merge bomb": (BOMB + "\nz: {<<: [*a19]}", "values"),
    "loop": ("a: &a [*a]", "part of"),
    "loop of a mapping": ("&a b: {c: *a}\nd: &d {e: *d}", "part of"),
    "depth": ("[" * 5000, "16 deep"),
    "depth of blocks": ("- " * 17 + "x", "16 deep"),
    "double key": ("a: 1\nb: 2\na: 3", "'a' is there twice (line 3)"),
    "double key inside": ("a: {b: 1, b: 2}", "'b' is there twice"),
    "number as a key": ("1: 2", "a key is '1'"),
    "list as a key": ("? [a]\n: b", "a list or mapping"),
    "null as a key": ("~: 2", "a key is '~'"),
    "python": ("a: !!python/object/apply:os.system [ls]", "tag"),
    "custom tag": ("a: !x 1", "tag"),
    "binary": ("a: !!binary x", "tag"),
    "set": ("a: !!set {b}", "tag"),
    "date": ("a: !!timestamp 2026-99-99", "tag"),
    "text as a number": ("a: !!int x", "type int"),
    "text as a truth": ("a: !!bool x", "type bool"),
    "list as text": ("a: !!str [1]", "tag"),
    "infinity": ("a: 1e999", "the number inf"),
    "huge": ("a: 9999999999999999999", "below 2^63"),
    "two documents": ("a: 1\n---\nb: 2", "single document"),
    "no bytes of text": (b"\xff\xfe\x00", "UTF-8"),
    "Latin-1": ("a: Müller".encode("latin-1"), "UTF-8"),
    "NUL": (b"a: \x00", "special characters"),
    "bell": (r'a: "\a"', "cannot be printed"),
    "half a pair": (r'a: "\ud800"', "cannot be printed"),
    "large": ("#" * (MAX_BYTES + 1), "more than 4194304 bytes"),
    "merge of text": ("<<: x", "merging"),
    "undefined alias": ("a: *b", "undefined alias"),
    "open list": ("a: [", "expected"),
}


@pytest.mark.parametrize("name", CASES)
def test_refuses_in_one_line(name, tmp_path):
    text, reason = CASES[name]
    path = tmp_path / "a.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(InputError, match=r"a\.yaml cannot be read as a recipe: ") as raised:
        read_document(path, "recipe")
    assert reason in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    "text",
    ["{", "[" * 100_000, '{"a": NaN}', '{"a": 1e999}', r'{"a": "\ud800"}', "[" * 9 + "]" * 9],
)
def test_refuses_json_in_one_line(tmp_path, text):
    path = tmp_path / "a.json"
    path.write_text(text)
    with pytest.raises(InputError, match=r"a\.json cannot be read as a recipe: ") as raised:
        read_document(path, "recipe")
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("name", ["none.yaml", ".", "a\0b", "x" * 300])
def test_refuses_what_is_no_file(tmp_path, name):
    with pytest.raises(InputError, match="cannot be read as a recipe"):
        read_document(tmp_path / name, "recipe")
