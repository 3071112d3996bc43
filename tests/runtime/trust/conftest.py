"""Fixtures of signatures: keys of a lab and of a stranger, and files that they sign."""

import dataclasses
from typing import Any

import minisign
import pytest

from cfzoo.runtime.trust import TrustedKey, check, trust_key


@dataclasses.dataclass
class Signer:
    """A pair of keys."""

    pair: Any = dataclasses.field(default_factory=minisign.KeyPair.generate)

    @property
    def key(self):
        return self.pair.public_key.to_base64().decode()

    @property
    def key_id(self):
        return TrustedKey(self.key, (), "").key_id

    def sign(self, path, content=None, **options):
        """Sign a file, or other content in its name."""
        data = path.read_bytes() if content is None else content
        signature = self.pair.secret_key.sign(data, trusted_comment="a comment", **options)
        path.with_name(path.name + ".minisig").write_bytes(bytes(signature) + b"\n")
        return path

    def publish(self, path):
        path.write_text(f"untrusted comment: minisign public key\n{self.key}\n")
        return path


@pytest.fixture(scope="session")
def lab():
    return Signer()


@pytest.fixture(scope="session")
def stranger():
    return Signer()


@pytest.fixture
def config(tmp_path, monkeypatch):
    """An empty folder of settings, and no policy from the environment."""
    folder = tmp_path / "config"
    folder.mkdir()
    monkeypatch.setenv("CFZOO_CONFIG", str(folder))
    monkeypatch.delenv("CFZOO_SIGNATURES", raising=False)
    check._warn.cache_clear()
    return folder


@pytest.fixture
def model(make_artifact, tmp_path, lab, config):
    """An artifact that the lab has signed, whose key is trusted."""
    trust_key(lab.key, "lab")
    return lab.sign(make_artifact(tmp_path, name="lab"))
