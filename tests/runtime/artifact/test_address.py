import pytest

from cfzoo.runtime.artifact import find_model, is_remote
from cfzoo.runtime.artifact.address import ModelAddress, parse_address
from cfzoo.runtime.artifact.model import _parted
from cfzoo.runtime.errors import InputError

HEX = "0123456789abcdef" * 4
PIN = f"#sha256={HEX}"


@pytest.mark.parametrize(
    ("address", "url", "name"),
    [
        ("https://a.org/b/m-1.0.0.onnx", "https://a.org/b/m-1.0.0.onnx", "m-1.0.0.onnx"),
        ("https://a.org/m.onnx?download=1", "https://a.org/m.onnx?download=1", "m.onnx"),
        ("http://127.0.0.1:80/m.onnx", "http://127.0.0.1:80/m.onnx", "m.onnx"),
        ("http://[::1]:80/m.onnx", "http://[::1]:80/m.onnx", "m.onnx"),
        ("https://a.org/", "https://a.org/", "model.onnx"),
        ("https://a.org/..%2F..%2Fx", "https://a.org/..%2F..%2Fx", "x"),
        ("https://a.org/%00%2e%2e", "https://a.org/%00%2e%2e", "_.."),
        (
            "hf://lab/net@v1.0.0",
            "https://huggingface.co/lab/net/resolve/v1.0.0/net.onnx",
            "net.onnx",
        ),
        (
            "hf://lab/net@0a1b/deep/m.onnx",
            "https://huggingface.co/lab/net/resolve/0a1b/deep/m.onnx",
            "m.onnx",
        ),
    ],
)
def test_addresses(address, url, name, monkeypatch):
    monkeypatch.delenv("HF_ENDPOINT", raising=False)
    assert is_remote(address)
    assert parse_address(address + PIN) == ModelAddress(url, HEX, name)
    assert parse_address(address + PIN.upper().replace("SHA", "sha")) == ModelAddress(
        url, HEX, name
    )


def test_a_mirror_of_hugging_face(monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", "https://mirror.org/hf/")
    assert parse_address(f"hf://a/b@c{PIN}").url == "https://mirror.org/hf/a/b/resolve/c/b.onnx"
    monkeypatch.setenv("HF_ENDPOINT", "http://mirror.org")
    with pytest.raises(InputError, match="not encrypted"):
        parse_address(f"hf://a/b@c{PIN}")


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("https://a.org/m.onnx", r"no checksum; .*https://a.org/m.onnx#sha256= and 64"),
        ("https://a.org/m.onnx#sha256=12", "'sha256=12' after the '#'"),
        (f"https://a.org/m.onnx{PIN}0", "after the '#'"),
        (f"https://a.org/m.onnx{PIN}=half", "after the '#'"),
        ("https://a.org/m.onnx#md5=" + HEX[:32], "after the '#'"),
        ("https://a.org/m.onnx=0.5", "no checksum"),
        (f"http://a.org/m.onnx{PIN}", "not encrypted"),
        (f"http://127.0.0.1.a.org/m.onnx{PIN}", "not encrypted"),
        (f"ftp://a.org/m.onnx{PIN}", "is no address"),
        (f"file:///etc/passwd{PIN}", "is no address"),
        (f"https://{PIN}", "is no address"),
        (f"https://a.org:x/m{PIN}", "is no address"),
        (f"https://[/m{PIN}", "is no address"),
        (f"https://me:secret@a.org/m.onnx{PIN}", "holds a user name"),
        (f"https://a.org/e.json{PIN}", "is an ensemble"),
        (f"hf://a/b{PIN}", "expected hf://OWNER/NAME@REVISION"),
        (f"hf://b@v1{PIN}", "expected hf://OWNER/NAME@REVISION"),
        (f"hf://a/b@v1/x?y{PIN}", "expected hf://OWNER/NAME@REVISION"),
    ],
)
def test_wrong_addresses(address, message):
    with pytest.raises(InputError, match=message) as raised:
        find_model(address)
    assert "secret" not in str(raised.value) and "\n" not in str(raised.value)


def test_weights_and_checksums():
    address = f"https://a.org/m.onnx?a=b{PIN}"
    assert _parted(address) == (address, None)
    assert _parted(f"{address}=0.25") == (address, 0.25)
    digits = "https://a.org/m.onnx#sha256=" + "1" * 64  # which is a number, too
    assert _parted(digits) == (digits, None)
    assert _parted(f"{digits}=1e-1") == (digits, 0.1)
    with pytest.raises(InputError, match="after the '#'"):
        _parted(f"{address}=x")
