"""Deflate by libdeflate and by the standard library: the same samples, the same refusals."""

import zlib

import numpy as np
import pytest

from cfzoo.runtime.volume.tiff import block_codec

SAMPLES = np.random.default_rng(0).integers(0, 300, (40, 50)).astype(np.uint16)
RAW = zlib.compress(SAMPLES.tobytes())
U2 = np.dtype("<u2")


def outcome(raw, shape, dtype=U2, predictor=1):
    """Return the samples, or the message of the refusal."""
    pieces = (raw[k : k + 100] for k in range(0, len(raw), 100))
    try:
        return block_codec.decode(pieces, shape, np.dtype(dtype), 8, predictor).tolist()
    except ValueError as error:
        return str(error)


def damage():
    """Yield blocks and shapes: whole, of other lengths, cut short, with other bytes or a tail."""
    yield RAW, (40, 50)
    yield RAW, (40, 49)
    yield RAW, (41, 50)
    yield RAW + b"behind", (40, 50)
    yield b"", (40, 50)
    yield zlib.compress(bytes(10**6)), (40, 50)  # a bomb
    yield zlib.compress(bytes(100)), (40_000, 50_000)  # less than was announced, 4 GB
    yield zlib.compress(SAMPLES.tobytes(), wbits=-15), (40, 50)  # without its header
    for k in (1, 5, 100, len(RAW) - 4, len(RAW) - 1):
        yield RAW[:k], (40, 50)
    for k in np.random.default_rng(1).integers(0, len(RAW), 40).tolist():
        yield RAW[:k] + bytes([RAW[k] ^ 64]) + RAW[k + 1 :], (40, 50)


def test_both_decoders_give_the_same_samples_and_messages(monkeypatch):
    assert block_codec._find_libdeflate() is not None
    fast = [outcome(*case) for case in damage()]
    monkeypatch.setattr(block_codec, "_find_libdeflate", lambda: None)
    assert fast == [outcome(*case) for case in damage()]
    assert fast[0] == SAMPLES.tolist() and sum(isinstance(each, str) for each in fast) > 40


@pytest.mark.parametrize(("dtype", "predictor"), [("<u2", 2), (">u2", 1), (">u2", 2)])
def test_samples_of_libdeflate_can_be_changed_in_place(dtype, predictor):
    assert block_codec._find_libdeflate() is not None
    stored = SAMPLES.copy()
    if predictor == 2:
        stored[:, 1:] -= SAMPLES[:, :-1]
    raw = zlib.compress(stored.astype(dtype).tobytes())
    assert outcome(raw, (40, 50), dtype, predictor) == SAMPLES.tolist()


def test_libdeflate_is_used_where_it_is_installed(monkeypatch):
    sizes = []

    def inflate(raw, out):
        sizes.append((len(raw), len(out)))
        return bytearray(zlib.decompress(raw))

    monkeypatch.setattr(block_codec, "_find_libdeflate", lambda: inflate)
    monkeypatch.setattr(zlib, "decompressobj", pytest.fail)
    assert outcome(RAW, (40, 50)) == SAMPLES.tolist()
    assert sizes == [(len(RAW), 4000)]
