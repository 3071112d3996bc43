import socket

import pytest

from cfzoo.runtime.artifact import find_model, is_remote
from cfzoo.runtime.artifact.address import ModelAddress, check_redirect, parse_address
from cfzoo.runtime.artifact.model import _parse_weighted
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
def test_parses_addresses(address, url, name, monkeypatch):
    monkeypatch.delenv("HF_ENDPOINT", raising=False)
    assert is_remote(address)
    assert parse_address(address + PIN) == ModelAddress(url, HEX, name)
    assert parse_address(address + PIN.upper().replace("SHA", "sha")) == ModelAddress(
        url, HEX, name
    )


def test_hf_endpoint_names_a_mirror(monkeypatch):
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
        (f"ftp://a.org/m.onnx{PIN}", "is not an address"),
        (f"file:///etc/passwd{PIN}", "is not an address"),
        (f"https://{PIN}", "is not an address"),
        (f"https://a.org:x/m{PIN}", "is not an address"),
        (f"https://[/m{PIN}", "is not an address"),
        (f"https://me:secret@a.org/m.onnx{PIN}", "holds a user name"),
        (f"https://a.org/e.json{PIN}", "is an ensemble"),
        (f"hf://a/b{PIN}", "expected hf://OWNER/NAME@REVISION"),
        (f"hf://b@v1{PIN}", "expected hf://OWNER/NAME@REVISION"),
        (f"hf://a/b@v1/x?y{PIN}", "expected hf://OWNER/NAME@REVISION"),
    ],
)
def test_refuses_invalid_addresses(address, message):
    with pytest.raises(InputError, match=message) as raised:
        find_model(address)
    assert "secret" not in str(raised.value) and "\n" not in str(raised.value)


def test_distinguishes_weights_from_checksums():
    address = f"https://a.org/m.onnx?a=b{PIN}"
    assert _parse_weighted(address) == (address, None)
    assert _parse_weighted(f"{address}=0.25") == (address, 0.25)
    digits = "https://a.org/m.onnx#sha256=" + "1" * 64  # which is a number, too
    assert _parse_weighted(digits) == (digits, None)
    assert _parse_weighted(f"{digits}=1e-1") == (digits, 0.1)
    with pytest.raises(InputError, match="after the '#'"):
        _parse_weighted(f"{address}=x")


ADDRESSES = {
    "hub.org": ["93.184.216.34"],
    "cdn.org": ["93.184.216.35", "2606:2800:220:1::1"],
    "lab.org": ["10.1.2.3"],
    "mixed.org": ["93.184.216.34", "192.168.0.1"],
    "localhost": ["127.0.0.1", "::1"],
}


@pytest.fixture
def names(monkeypatch):
    """A name server that knows `ADDRESSES` alone; numbers stand for themselves."""

    def getaddrinfo(host, port, type):
        ips = ADDRESSES.get(host, [host or "none"])
        if not set("".join(ips)) <= set("0123456789abcdef.:"):
            raise socket.gaierror(f"{host} is unknown")
        return [(None, type, 6, "", (ip, port)) for ip in ips]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)


@pytest.mark.parametrize(
    ("source", "target"),
    [
        ("https://hub.org/m", "https://cdn.org:8443/m"),
        ("https://hub.org/m", "https://hub.org/other"),
        ("https://hub.org/m", "https://unknown/m"),  # only a proxy can resolve it, if anything
        ("https://hub.org/m", "https://[2606:2800:220:1::1]/m"),
        ("https://lab.org/m", "https://10.9.9.9/m"),
        ("https://lab.org/m", "https://cdn.org/m"),
        ("http://localhost:1/m", "http://127.0.0.1:2/m"),
        ("http://[::1]:1/m", "http://localhost:2/m"),
        ("http://localhost:1/m", "https://hub.org/m"),
    ],
)
def test_allows_redirects_to_public_hosts_and_within_a_zone(names, source, target):
    check_redirect(source, target)


@pytest.mark.parametrize(
    ("source", "target", "message"),
    [
        ("https://hub.org/m", "http://hub.org/m", "expected https://"),
        ("https://hub.org/m", "ftp://hub.org/m", "expected https://"),
        ("https://hub.org/m", "file:///etc/passwd", "expected https://"),
        ("https://hub.org/m", "http://localhost/m", "expected https://"),
        ("http://localhost:1/m", "http://hub.org/m", "expected https://"),
        ("http://localhost:1/m", "http://lab.org/m", "expected https://"),
        ("http://localhost:1/m", "http://unknown/m", "expected https://"),
        ("https://hub.org/m", "https://localhost/m", "not public"),
        ("https://hub.org/m", "https://127.0.0.1/m", "not public"),
        ("https://hub.org/m", "https://[::1]/m", "not public"),
        ("https://hub.org/m", "https://[::ffff:127.0.0.1]/m", "not public"),
        ("https://hub.org/m", "https://[::ffff:10.0.0.1]/m", "not public"),
        ("https://hub.org/m", "https://0.0.0.0/m", "not public"),
        ("https://hub.org/m", "https://169.254.169.254/m", "not public"),  # link-local
        ("https://hub.org/m", "https://[fe80::1]/m", "not public"),
        ("https://hub.org/m", "https://[fd00::1]/m", "not public"),
        ("https://hub.org/m", "https://100.64.0.1/m", "not public"),
        ("https://hub.org/m", "https://user@lab.org/m", "not public"),
        ("https://hub.org/m", "https://mixed.org/m", "not public"),
        ("https://mixed.org/m", "https://lab.org/m", "not public"),
        ("https://lab.org/m", "https://localhost/m", "not public"),
        ("http://localhost:1/m", "https://lab.org/m", "not public"),
    ],
)
def test_refuses_redirects_to_other_zones(names, source, target, message):
    with pytest.raises(InputError, match=message) as raised:
        check_redirect(source, target)
    assert "\n" not in str(raised.value)


def test_resolves_names_and_numbers_as_the_system_does():
    for target in ("https://localhost/m", "https://2130706433/m", "https://0x7f.1/m"):
        with pytest.raises(InputError, match="not public"):
            check_redirect("https://93.184.216.34/m", target)
    check_redirect("https://93.184.216.34/m", "https://a..b/m")  # which no client can reach
