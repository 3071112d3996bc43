"""The readers of docs/readers: artifacts in other languages, with nothing of cfzoo."""

import base64
import json
import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from cfzoo.runtime.artifact import bundled, read_artifact, verify
from cfzoo.runtime.errors import CfzooError
from cfzoo.runtime.session import Session

ROOT = Path(__file__).resolve().parents[2]
READERS = ROOT / "docs" / "readers"
HEADERS = Path(__file__).with_name("onnxruntime_headers.sh")
VECTORS = json.loads((READERS / "vectors.json").read_text(encoding="utf-8"))["vectors"]
LANGUAGES = ("reader.mjs", "reader.cpp")
NOT_TO_BE_HAD = 3  # exit status of HEADERS
MODELS = ("attention3d", "pyramid3d")


def run(*command, **options) -> subprocess.CompletedProcess:
    return subprocess.run([str(c) for c in command], capture_output=True, text=True, **options)


def install_javascript(folder: Path) -> list[Path | str]:
    for program in ("node", "npm"):
        if shutil.which(program) is None:
            pytest.skip(f"the reader in JavaScript is not tested: that needs {program}")
    shutil.copy(READERS / "reader.mjs", folder)
    shutil.copy(READERS / "package.json", folder)
    # Its other packages download programs of their own when they are installed.
    options = ("--ignore-scripts", "--no-audit", "--no-fund", "--no-package-lock")
    if (done := run("npm", "install", *options, cwd=folder)).returncode:
        pytest.skip(f"the reader in JavaScript is not tested: npm says {done.stderr[-300:]}")
    return ["node", folder / "reader.mjs"]


def compile_cpp(folder: Path) -> list[Path | str]:
    reason = "the reader in C++ is not tested:"
    for program in ("g++", "apt-get", "dpkg-deb"):
        if shutil.which(program) is None:
            pytest.skip(f"{reason} that needs {program}")
    for header in ("openssl/evp.h", "nlohmann/json.hpp"):
        if run("g++", "-E", "-x", "c++", "-include", header, "/dev/null").returncode:
            packages = "apt-get install libssl-dev nlohmann-json3-dev"
            pytest.skip(f"{reason} that needs {header}; on Debian: {packages}")
    done = run(HEADERS, folder)
    if done.returncode == NOT_TO_BE_HAD:
        pytest.skip(f"{reason} the headers of onnxruntime cannot be had here")
    assert done.returncode == 0, done.stderr
    spec = find_spec("onnxruntime")
    assert spec is not None and spec.origin is not None
    (library,) = Path(spec.origin).parent.glob("capi/libonnxruntime.so.*")
    for name in ("libonnxruntime.so", "libonnxruntime.so.1"):
        (folder / name).symlink_to(library)
    options = ("-std=c++17", "-Wall", "-Wextra", "-Werror", f"-I{folder}/usr/include/onnxruntime")
    libraries = (f"-L{folder}", "-lonnxruntime", "-lcrypto", f"-Wl,-rpath,{folder}")
    done = run("g++", READERS / "reader.cpp", "-o", folder / "reader", *options, *libraries)
    assert done.returncode == 0, done.stderr
    return [folder / "reader"]


@pytest.fixture(scope="module", params=LANGUAGES)
def reader(request, tmp_path_factory):
    """Command that reads an artifact in another language."""
    install = {"reader.mjs": install_javascript, "reader.cpp": compile_cpp}[request.param]
    return install(tmp_path_factory.mktemp("reader"))


def classify(reader, model: Path, cubes: np.ndarray) -> tuple[list[str], np.ndarray]:
    """Return what a reader says of a model, and its probabilities of cells."""
    path = model.with_suffix(".cubes")
    path.write_bytes(np.ascontiguousarray(cubes, "<f4").tobytes())
    done = run(*reader, model, path)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    return lines[:2], np.array(lines[2:], float)


def vector_cubes(vector: dict, shape: tuple[int, ...]) -> np.ndarray:
    return np.frombuffer(base64.b64decode(vector["cubes"]), "<f4").reshape(-1, *shape)


def open_session(data: bytes) -> Session:
    artifact = verify(data)
    session = Session(artifact, "cpu", batch_size=5, backend="onnxruntime", is_own=True)
    session.check(artifact)
    return session


def test_the_vectors_are_those_of_their_script(script):
    assert json.loads(script("docs/scripts/reader_vectors.py").make())["vectors"] == VECTORS


def test_readers_are_short():
    for name in LANGUAGES:
        assert len((READERS / name).read_text(encoding="utf-8").splitlines()) <= 150, name


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["name"])
def test_cfzoo_does_with_a_vector_as_it_says(vector):
    data = base64.b64decode(vector["file"])
    if vector["refused_by"] is not None:
        with pytest.raises(CfzooError):
            open_session(data)
        return
    session = open_session(data)
    answers = session.run(vector_cubes(vector, session.cube_shape))
    np.testing.assert_allclose(answers[:, 1], vector["probability"], atol=1e-6)


@pytest.mark.slow
def test_a_reader_does_with_the_vectors_as_they_say(reader, tmp_path):
    """But for those that only a guard can refuse, which are not given to a library here."""
    refused = set()
    for number, vector in enumerate(VECTORS):
        model = tmp_path / f"{number}.onnx"
        model.write_bytes(base64.b64decode(vector["file"]))
        if vector["refused_by"] is None:
            shape = read_artifact(model).test_cube.shape[1:]
            _, answers = classify(reader, model, vector_cubes(vector, shape))
            np.testing.assert_allclose(answers, vector["probability"], atol=1e-6)
        elif vector["refused_by"] != "guard":
            done = run(*reader, model)
            assert done.returncode == 3 and not done.stdout, vector["name"]
            assert len(done.stderr.splitlines()) == 1, done.stderr
            refused.add(vector["refused_by"])
    assert refused == {"digest", "contents", "answer"}


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_a_reader_answers_as_python_does(reader, name, tmp_path):
    model = tmp_path / f"{name}.onnx"
    shutil.copy(bundled()[name], model)
    artifact = read_artifact(model)
    session = open_session(artifact.model)
    rng = np.random.default_rng(0)
    cubes = rng.gamma(2, 300, (40, *session.cube_shape)).astype(np.uint16).astype(np.float32)
    cubes += artifact.test_cube * rng.uniform(0, 3, (40, 1, 1, 1, 1)).astype(np.float32)
    expected = np.concatenate([session.run(part)[:, 1] for part in np.split(cubes, 8)])
    lines, answers = classify(reader, model, cubes)
    assert lines[0] == f"{artifact.card.name} {artifact.card.version}"
    error = np.abs(answers - expected).max()
    print(f"{reader[-1].name}, {name}: {lines[1]}, largest difference from Python {error:.2g}")
    assert expected.std() > 0.02 and error <= 1e-5


@pytest.mark.slow
def test_a_reader_says_what_is_wrong_with_the_input(reader, tmp_path):
    model = bundled()[MODELS[0]]
    (tmp_path / "short.cubes").write_bytes(b"1234")
    for words in ((), (tmp_path / "nosuch.onnx",), (model, tmp_path / "short.cubes")):
        done = run(*reader, *words)
        assert done.returncode == 2 and len(done.stderr.splitlines()) == 1, done.stderr
