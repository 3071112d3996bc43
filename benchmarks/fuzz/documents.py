"""Fuzz the readers of YAML and JSON: recipes, data files, reports, ensembles and cards.

``python benchmarks/fuzz/documents.py --executions 200000 --seed 0`` reads mutants of real
documents: bytes changed, left out, repeated and exchanged, with pieces of YAML and JSON that are
known to do harm. Each must be read, or refused with an error of cfzoo in one line. It prints one
line of JSON.
"""

import argparse
import hashlib
import json
import random
import sys
import tempfile
import time
import traceback
from collections import Counter
from pathlib import Path

from cfzoo.runtime.artifact import Card, bundled, ensemble_json, read_artifact, read_ensemble
from cfzoo.runtime.artifact import Ensemble as RuntimeEnsemble
from cfzoo.runtime.errors import CfzooError
from cfzoo.zoo.data import read_data
from cfzoo.zoo.recipe import BUNDLED_RECIPES, read_recipe

ROOT = Path(__file__).resolve().parents[2]
SLOW = 0.5  # seconds
PIECES = (
    *(b"&a ", b"*a", b"<<: *a", b"<<: ", b"!!python/object/apply:os.system ", b"!!binary ", b"!x "),
    *(b"- ", b"? ", b": ", b"\n", b"\t", b"[", b"]", b"{", b"}", b",", b'"', b"'", b"|\n", b">-\n"),
    *(
        b"\xef\xbb\xbf",
        b"\xff\xfe",
        b"\x00",
        b"\x80",
        b"\xed\xa0\x80",
        b"---\n",
        b"...\n",
        b"%YAML",
    ),
    *(b"null", b"true", b"~", b".nan", b"-.inf", b"NaN", b"Infinity", b"1e999", b"-0", b"0x10"),
    *(b"9" * 30, b"9" * 5000, b"1:30:00", b"2026-99-99", b"2026-05-01T00:00:00", b"=", b"\\ud800"),
    *(
        b"[" * 50,
        b"{" * 50,
        b"[" * 5000,
        b"[[1]]",
        b"{}",
        b"[]",
        b'""',
        b"&a [*a, *a]",
        b"x" * 3000,
    ),
    *(b"\xe2\x80\xa8", b"\xc2\x85", b"\xe2\x80\xae", b"\x1b[2J", b"#", b"@", b"`", b"!!set {a}"),
)


def read_signed_ensemble(path: Path) -> None:
    """Read an ensemble after giving it the digest of its content, where it has one."""
    try:
        fields = json.loads(path.read_bytes())
        content = {key: value for key, value in fields.items() if key != "digest"}
        text = json.dumps(content, sort_keys=True, ensure_ascii=True)
        fields["digest"] = hashlib.sha256(text.encode()).hexdigest()
        path.write_text(json.dumps(fields), encoding="utf-8")
    except (ValueError, AttributeError, RecursionError, UnicodeError):
        pass
    read_ensemble(path)


def read_card(path: Path) -> None:
    """Read a card as the artifact gives it, which is text."""
    Card.from_json(path.read_bytes().decode("utf-8", "replace"))


def list_seeds() -> list[tuple[object, str, bytes]]:
    """List what reads a document, its suffix and its bytes."""
    recipes = sorted(BUNDLED_RECIPES.glob("*.yaml"))
    seeds = [(read_recipe, ".yaml", path.read_bytes()) for path in recipes]
    cards = [path.with_suffix(".json") for path in bundled().values()]
    seeds += [(read_recipe, ".json", path.read_bytes()) for path in cards if path.is_file()]
    seeds += [(read_card, ".json", path.read_bytes()) for path in cards if path.is_file()]
    data = (ROOT / "benchmarks").glob("*.yaml")
    seeds += [(lambda path: read_data([path]), ".yaml", path.read_bytes()) for path in data]
    artifacts = [read_artifact(name) for name in list(bundled())[:2]]
    ensemble = ensemble_json(
        RuntimeEnsemble.of(artifacts),
        [artifact.card.file_name for artifact in artifacts],
    )
    fields = json.loads(ensemble) | {"name": "both", "version": "1.0.0"}
    seeds.append((read_signed_ensemble, ".json", json.dumps(fields, indent=1).encode()))
    return seeds


def mutate(content: bytes, random_: random.Random) -> bytes:
    """Change a document in one to six places."""
    data = bytearray(content)
    for _ in range(random_.randint(1, 6)):
        start = random_.randrange(len(data) + 1)
        end = min(len(data), start + random_.choice((0, 1, 1, 4, 20, 200)))
        kind = random_.randrange(5)
        if kind == 0:
            data[start:end] = random_.choice(PIECES)
        elif kind == 1:
            data[start:start] = random_.choice(PIECES)
        elif kind == 2:
            data[start:start] = data[start:end]
        elif kind == 3:
            del data[start:end]
        elif start < len(data):
            data[start] = random_.randrange(256)
    return bytes(data)


def run(executions: int, seed: int) -> dict:
    """Read mutants; return what happened."""
    random_ = random.Random(seed)
    seeds = list_seeds()
    counts: Counter[str] = Counter()
    tracebacks: Counter[str] = Counter()
    slowest, start = 0.0, time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(executions):
            read, suffix, content = random_.choice(seeds)
            path = Path(folder, f"document{suffix}")
            path.write_bytes(mutate(content, random_))
            begin = time.process_time()
            try:
                read(path)
                counts["read"] += 1
            except CfzooError as error:
                counts["refused"] += 1
                counts["refused in several lines"] += "\n" in str(error)
            except Exception:
                tracebacks[traceback.format_exc(limit=-3)] += 1
            seconds = time.process_time() - begin
            slowest = max(slowest, seconds)
            counts["slow"] += seconds > SLOW
    return {
        "executions": executions,
        "seed": seed,
        **counts,
        "slowest s": round(slowest, 3),
        "tracebacks": sum(tracebacks.values()),
        "kinds": tracebacks.most_common(5),
        "seconds": round(time.monotonic() - start),
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--executions", type=int, default=200_000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    result = run(arguments.executions, arguments.seed)
    print(json.dumps(result))
    sys.exit(bool(result["tracebacks"]))
