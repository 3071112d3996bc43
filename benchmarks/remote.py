"""Classify a brain from a disk, from a server of objects, and from one that is slow and fails.

    python benchmarks/remote.py [--points 20000] [--rounds 2]

The same OME-Zarr lies on the disk and in a bucket of moto, a server of S3 on this computer.
``local`` reads the disk; ``bucket`` the server; ``slow`` and ``unreliable`` the server with 20 ms
before each answer, of which the latter drops one request in ten: by turns it closes the connection,
stops in the middle of the data, and answers 503. All runs are interleaved, and their files must be
equal byte by byte. Results go to results/remote.json. Needs the ``remote`` extra and ``moto``.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

import click
import numpy as np
import zarr

from cfzoo.runtime.files import atomic_write
from cfzoo.runtime.results import Results, write_xml

STORED = Path(__file__).parent / "results" / "remote.json"
SERVERS = Path(__file__).parents[1] / "tests" / "runtime" / "remote"
SHAPE, CHUNKS = (128, 768, 896), (32, 64, 64)
WAIT, DROP = 0.02, 10
FILES = ("points.xml", "points.csv", "points.yml")
ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "key",
    "AWS_SECRET_ACCESS_KEY": "secret",
    "AWS_DEFAULT_REGION": "us-east-1",
}


@click.command()
@click.option("--points", default=20_000, show_default=True)
@click.option("--rounds", default=2, show_default=True)
def main(points, rounds):
    """Measure, and store the results."""
    with tempfile.TemporaryDirectory() as folder:
        results = measure(Path(folder), points, rounds)
    with atomic_write(STORED) as file:
        file.write(json.dumps(results, indent=1) + "\n")
    print(json.dumps(results, indent=1))


def measure(folder: Path, count: int, rounds: int) -> dict:
    """Classify by each way in turn; return the times."""
    from botocore.session import get_session

    rng = np.random.default_rng(0)
    data = rng.poisson(300, SHAPE).astype(np.uint16)
    zarr.create_array(folder / "brain.zarr", data=data, chunks=CHUNKS)
    zyx = rng.integers(0, SHAPE, (count, 3)).astype(np.float64)
    n = len(zyx)
    points = Results(zyx, np.ones(n, np.int8), np.ones(n, np.float32), np.zeros(n, np.uint8))
    write_xml(folder / "points.xml", points)
    with Server() as address:
        environment = ENVIRONMENT | {"AWS_ENDPOINT_URL": address}
        os.environ |= environment
        client = get_session().create_client("s3")
        client.create_bucket(Bucket="brains")
        files = [path for path in (folder / "brain.zarr").rglob("*") if path.is_file()]
        for path in files:
            key = path.relative_to(folder).as_posix()
            client.put_object(Bucket="brains", Key=key, Body=path.read_bytes())
        ways = {
            "local": (str(folder / "brain.zarr"), 0.0, 0),
            "bucket": ("s3://brains/brain.zarr", 0.0, 0),
            "slow": ("s3://brains/brain.zarr", WAIT, 0),
            "unreliable": ("s3://brains/brain.zarr", WAIT, DROP),
        }
        seconds: dict[str, list[float]] = {name: [] for name in ways}
        dropped = requests = 0
        for number in range(rounds):
            for name, (volume, wait, drop) in ways.items():
                _set(wait, drop)
                out = folder / f"{name}-{number}"
                start = time.perf_counter()
                classify(volume, folder / "points.xml", out, environment)
                seconds[name].append(round(time.perf_counter() - start, 2))
                state = _set(0.0, 0)
                if name == "unreliable":
                    dropped, requests = state["dropped"], state["requests"]
                print(f"{name} {seconds[name][-1]} s, {state}", flush=True)
                for file in FILES:
                    if (out / file).read_bytes() != (folder / "local-0" / file).read_bytes():
                        raise click.ClickException(f"{file} of {name} differs from the local one")
    least = {name: min(values) for name, values in seconds.items()}
    return {
        "points": count,
        "shape": SHAPE,
        "chunks": CHUNKS,
        "objects": len(files),
        "megabytes": round(sum(path.stat().st_size for path in files) / 1e6, 1),
        "wait_seconds": WAIT,
        "requests": requests,
        "dropped": dropped,
        "seconds": seconds,
        "least_seconds": least,
        "times_local": {name: round(value / least["local"], 2) for name, value in least.items()},
        "files_equal": True,
    }


def classify(volume: str, points: Path, out: Path, environment: dict) -> None:
    """Run ``cfzoo classify`` in a process of its own."""
    words = ["classify", volume, str(points), "--voxel-size", "5", "2", "2", "-o", str(out), "-q"]
    command = [sys.executable, "-c", "from cfzoo.cli import main; main()", *words]
    if code := subprocess.run(command, env=os.environ | environment).returncode:
        raise click.ClickException(f"classify ended with {code}")


class Server:
    """moto in a process of its own, so that it does not wait for this one's threads."""

    def __enter__(self) -> str:
        self.process = subprocess.Popen(
            [sys.executable, __file__, "serve"], stdout=subprocess.PIPE, text=True
        )
        return self.process.stdout.readline().strip()

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()


def _set(wait: float, drop: int) -> dict:
    """Set how the server behaves from now on; return what it has counted until now."""
    url, headers = os.environ["AWS_ENDPOINT_URL"], {"X-Behaviour": f"{wait} {drop}"}
    request = urllib.request.Request(url, method="POST", headers=headers)
    with urllib.request.urlopen(request) as answer:
        return json.loads(answer.read())


def run_server() -> None:
    """Serve until killed; the first line of the output is the address."""
    sys.path.append(str(SERVERS))
    from moto.server import DomainDispatcherApplication, create_backend_app
    from object_servers import Unreliable, serve
    from werkzeug.wrappers import Response

    app = Unreliable(DomainDispatcherApplication(create_backend_app), drop=0)

    def steered(environ, start_response):
        behaviour = environ.get("HTTP_X_BEHAVIOUR")
        if not behaviour:
            return app(environ, start_response)
        counts = json.dumps({"requests": len(app.requests), "dropped": app.dropped})
        wait, drop = behaviour.split()
        app.wait, app.drop, app.dropped = float(wait), int(drop), 0
        app.requests.clear()
        return Response(counts)(environ, start_response)

    with serve(steered) as address:
        print(address, flush=True)
        time.sleep(1e6)


if __name__ == "__main__":
    if sys.argv[1:] == ["serve"]:
        run_server()
    else:
        main()
