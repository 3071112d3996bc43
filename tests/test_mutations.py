"""Break the code in places that matter; the tests must notice each time.

Every row is one small change to a copy of the package and the test file that has to fail on it.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

MUTATIONS = {
    # what is broken: (file, old text, new text, tests that must fail)
    "rounding of y": (
        "runtime/cubes/grid.py",
        "np.rint(zyx[:, 1] - ny / 2)",
        "np.floor(zyx[:, 1] - ny / 2 + 0.5)",
        "runtime/cubes/test_grid.py",
    ),
    "rounding of z": (
        "runtime/cubes/grid.py",
        "np.trunc(zyx[:, 0] - nz // 2)",
        "np.rint(zyx[:, 0] - nz / 2)",
        "runtime/cubes/test_grid.py",
    ),
    "number of data voxels": (
        "runtime/cubes/grid.py",
        "round(n * network / data)",
        "int(n * network / data)",
        "runtime/cubes/test_grid.py",
    ),
    "axis order": (
        "runtime/cubes/grid.py",
        "np.rint(zyx[:, 2] - nx / 2)",
        "np.rint(zyx[:, 1] - nx / 2)",
        "runtime/test_pipeline.py",
    ),
    "last place that fits": (
        "runtime/cubes/grid.py",
        "starts + self.data_shape <=",
        "starts + self.data_shape <",
        "runtime/cubes/test_grid.py",
    ),
    "centres of resampling": (
        "runtime/cubes/grid.py",
        "dtype=np.float32)[:, None] + np.float32(0.5)) * scale",
        "dtype=np.float32)[:, None] + np.float32(0.4)) * scale",
        "runtime/cubes/test_grid.py",
    ),
    "padding wraps around": (
        "runtime/cubes/grid.py",
        "np.clip(np.arange(s, s + n), 0, most - 1)",
        "np.arange(s, s + n) % most",
        "runtime/cubes/test_grid.py",
    ),
    "padding along z in the window": (
        "runtime/cubes/window.py",
        "np.clip(planes, 0, self.volume.shape[0] - 1) %",
        "(planes % self.volume.shape[0]) %",
        "runtime/cubes/test_reader.py",
    ),
    "channel order": (
        "runtime/cubes/reader.py",
        "block[filled:stop].swapaxes(0, 1)",
        "block[filled:stop, ::-1].swapaxes(0, 1)",
        "runtime/test_pipeline.py",
    ),
    "points of a batch": (
        "runtime/pipeline.py",
        "probability[rows] = cells",
        "probability[np.sort(rows)] = cells",
        "runtime/test_pipeline.py",
    ),
    "batches of a read": (
        "runtime/pipeline.py",
        "for part in batch.parts(job.sessions[0].batch_size)",
        "for part in list(batch.parts(job.sessions[0].batch_size))[::-1]",
        "runtime/test_pipeline.py",
    ),
    "digest": (
        "runtime/artifact/artifact.py",
        "body_digest(data) != digest",
        "False",
        "runtime/artifact/test_artifact.py",
    ),
    "custom domains": (
        "runtime/artifact/onnx_guard.py",
        'text(node, 7, "node domain") not in ("", "ai.onnx")',
        "False",
        "runtime/artifact/test_onnx_guard.py",
    ),
    "repeated fields": (
        "runtime/artifact/protobuf.py",
        "number in found and not repeated",
        "False",
        "runtime/artifact/test_onnx_guard.py",
    ),
    "NaN becomes a label": (
        "runtime/session/session.py",
        "flat, flat))] = np.nan",
        "flat, flat))] = 0",
        "runtime/test_pipeline.py",
    ),
    "threshold": (
        "runtime/pipeline.py",
        "probability >= job.threshold",
        "probability > job.threshold",
        "runtime/test_pipeline.py",
    ),
    "ddof of the normalisation": (
        "runtime/cubes/scale.py",
        "max(count - 1, 1)",
        "count",
        "runtime/test_pipeline.py",
    ),
    "the order of x and z in files": (
        "runtime/points/points.py",
        "reshape(-1, 3)[:, ::-1]",
        "reshape(-1, 3)",
        "runtime/points/test_points.py",
    ),
    "telemetry": (
        "runtime/session/backends/onnxruntime_backend.py",
        'os.environ["ORT_DISABLE_TELEMETRY"] = "1"',
        "pass",
        "runtime/session/test_session.py",
    ),
    "order of an ensemble's members": (
        "runtime/artifact/ensemble.py",
        "order = sorted(range(len(keys)), key=keys.__getitem__)",
        "order = list(range(len(keys)))",
        "runtime/artifact/test_ensemble.py",
    ),
    "digest of a member": (
        "runtime/artifact/ensemble_file.py",
        'artifact.card.digest == entry["digest"]',
        "artifact",
        "runtime/artifact/test_ensemble_file.py",
    ),
    "reach of several cubes": (
        "runtime/cubes/reader.py",
        "low = np.min(",
        "low = np.max(",
        "runtime/cubes/test_reader.py",
    ),
    "calibration by the block that is tested": (
        "zoo/evaluation/calibration.py",
        "fit(labels[~test], margin[~test], train_groups)",
        "fit(labels, margin, groups)",
        "zoo/evaluation/test_calibration.py",
    ),
    "intervals over few brains": (
        "analysis/measures.py",
        "student.ppf(0.975, count - 1)",
        "student.ppf(0.975, 1000)",
        "analysis/test_measures.py",
    ),
    "checksum of what was fetched": (
        "runtime/artifact/download.py",
        "    found = _sha256(part)\n",
        "    found = remote.sha256\n",
        "runtime/artifact/test_download.py",
    ),
    "a server that sends all again": (
        "runtime/artifact/download.py",
        "        if response.status_code != HTTPStatus.PARTIAL_CONTENT:\n            have = 0\n",
        "",
        "runtime/artifact/test_download.py",
    ),
    "weight after a checksum": (
        "runtime/artifact/model.py",
        'split_weight(text) if is_remote(text) else text.rpartition("=")',
        'text.rpartition("=")',
        "runtime/artifact/test_address.py",
    ),
    "a piece of the ring": (
        "runtime/cubes/window.py",
        "out[group, part]",
        "out[group, : part.stop - part.start]",
        "runtime/cubes/test_reader.py",
    ),
    "planes that are gone": (
        "runtime/cubes/window.py",
        ".max()) + volume.chunks[0] - 1",
        ".max())",
        "runtime/cubes/test_reader.py",
    ),
    "points whose planes are not there yet": (
        "runtime/cubes/window.py",
        "return int(missing[0]) if len(missing) else len(low)",
        "return len(low)",
        "runtime/cubes/test_reader.py",
    ),
    "results that overtake each other": (
        "runtime/threads.py",
        "            while waiting:\n                yield waiting.popleft()",
        "            while waiting:\n                yield waiting.pop()",
        "runtime/test_threads.py",
    ),
    "a file that was changed": (
        "runtime/artifact/locate.py",
        "if digest is not None and not",
        "if False and not",
        "runtime/artifact/test_artifact.py",
    ),
    "the threshold itself": (
        "plugin/curation.py",
        "self.results.probability >= float",
        "self.results.probability > float",
        "plugin/test_curation.py",
    ),
    "a label that loses": (
        "plugin/curation.py",
        "np.where(self.labels > 0, self.labels, decided)",
        "decided",
        "plugin/test_curation.py",
    ),
    "points without their scale": (
        "plugin/layers.py",
        "np.asarray(layer.data, np.float64) @ linear.T",
        "np.asarray(layer.data, np.float64)",
        "plugin/test_layers.py",
    ),
    "halves after a conversion": (
        "plugin/layers.py",
        "np.linalg.solve(axes, world.T).T, DECIMALS)",
        "np.linalg.solve(axes, world.T).T, 15)",
        "plugin/test_layers.py",
    ),
}


def run_on_copy(tmp_path, tests, file=None, old="", new=""):
    package = tmp_path / "cfzoo"
    ignore = shutil.ignore_patterns(".*", "__pycache__", "docs", "benchmarks", "build")
    shutil.copytree(ROOT, package, ignore=ignore)
    (tmp_path / "shared").symlink_to(ROOT.parent / "shared")
    if file:
        source = (package / file).read_text()
        assert source.count(old) == 1, f"{old!r} is no longer in {file}: renew the mutation"
        (package / file).write_text(source.replace(old, new))
    command = [sys.executable, "-m", "pytest", "-xq", "-p", "no:cacheprovider", f"tests/{tests}"]
    env = os.environ | {"PYTHONPATH": str(tmp_path)}
    return subprocess.run(command, cwd=package, env=env, capture_output=True, text=True)


@pytest.mark.slow
@pytest.mark.parametrize("tests", sorted({row[-1] for row in MUTATIONS.values()}))
def test_without_a_mutation_all_pass(tests, tmp_path):
    """Or a failure below would say nothing."""
    done = run_on_copy(tmp_path, tests)
    assert done.returncode == 0, done.stdout[-2000:]


@pytest.mark.slow
@pytest.mark.parametrize("name", MUTATIONS)
def test_a_test_fails(name, tmp_path):
    file, old, new, tests = MUTATIONS[name]
    done = run_on_copy(tmp_path, tests, file, old, new)
    assert done.returncode == 1, done.stdout[-2000:]
    assert " failed" in done.stdout
