"""Fuzz the artifact guard with mutated models that are sealed again with the right digest.

``python benchmarks/fuzz/artifact.py --executions 1000000 --seed 0`` calls `verify` on mutants: one
field changed, left out, repeated or moved (sealed again), or bytes changed at random (of which one
in ten is not). Any exception but `ArtifactError` is a failure.

``python benchmarks/fuzz/artifact.py --load 2000`` gives mutants that the guard accepts to
onnxruntime and OpenVINO in child processes, and counts those that crash, hang or are refused there.

Both print one line of JSON.
"""

import argparse
import json
import random
import sys
import time
import traceback
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from artifact_loader import Loader
from artifact_mutants import Mutator
from artifact_seeds import read_seeds

from cfzoo.runtime.artifact import verify
from cfzoo.runtime.errors import ArtifactError

SLOW = 0.1  # seconds


def fuzz(executions: int, seed: int) -> dict:
    """Verify mutants; return counts of what happened."""
    rng = random.Random(seed)
    mutator = Mutator(read_seeds(), rng)
    counts: Counter[str] = Counter()
    tracebacks: Counter[str] = Counter()
    slowest = 0.0
    start = time.monotonic()
    for _ in range(executions):
        data, is_sealed = mutator.mutant()
        counts["with a right digest"] += is_sealed
        before = time.process_time()
        try:
            verify(data)
            counts["accepted"] += 1
        except ArtifactError:
            counts["refused"] += 1
        except Exception:
            tracebacks[traceback.format_exc(limit=-2)] += 1
        seconds = time.process_time() - before
        slowest = max(slowest, seconds)
        counts["over 100 ms"] += seconds > SLOW
    return {
        "executions": executions,
        "seed": seed,
        **counts,
        "slowest ms": round(1000 * slowest, 1),
        "seconds": round(time.monotonic() - start, 1),
        "tracebacks": dict(tracebacks),
    }


def load(number: int, seed: int) -> dict:
    """Load accepted mutants with both libraries; return counts of what happened."""
    rng = random.Random(seed)
    mutator = Mutator(read_seeds(), rng)
    loader = Loader()
    counts: Counter[str] = Counter()
    faults: list[str] = []
    start = time.monotonic()
    operators: Counter[str] = Counter()
    accepted = set()
    while len(accepted) < number:
        data = mutator.structural_mutant(rounds=rng.choice((1, 1, 2, 3)), large=0.7)
        counts["mutants"] += 1
        try:
            artifact = verify(data)
        except ArtifactError:
            continue
        if data in accepted:
            continue
        accepted.add(data)
        operators.update(set(artifact.outline.operators))
        for library, verdict in loader.check(data).items():
            counts[f"{library}: {verdict.split(':')[0]}"] += 1
            if verdict != "good":
                faults.append(f"{library}: {verdict}")
                folder = Path("fuzz-faults")
                folder.mkdir(exist_ok=True)
                (folder / f"{len(accepted)}-{library}.onnx").write_bytes(data)
                print(len(accepted), faults[-1][:300], file=sys.stderr, flush=True)
    return {
        "accepted": number,
        "seed": seed,
        **counts,
        "seconds": round(time.monotonic() - start, 1),
        "operators": dict(sorted(operators.items())),
    }


def main():
    """Parse the command line and print the counts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--executions", type=int, default=0)
    parser.add_argument("--load", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    report = load(args.load, args.seed) if args.load else fuzz(args.executions, args.seed)
    print(json.dumps(report))
    return 1 if report.get("tracebacks") else 0


if __name__ == "__main__":
    sys.exit(main())
