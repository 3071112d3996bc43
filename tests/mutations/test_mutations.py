"""Break the code in places that matter; the tests must notice each time.

Every row is one small change to a copy of the package and the test file that has to fail on it.
"""

import ast
import re
import shutil
import sys
from importlib.util import cache_from_source
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from fork_server import ForkServer
from mutants import (
    assigned_index,
    assigned_value,
    call,
    compare,
    condition,
    left_operand,
    mutate,
    number,
    without_assignment,
    without_invert,
    without_slice,
)

ROOT = Path(__file__).resolve().parents[2]

MUTATIONS = {
    # what is broken: (file::function, change, tests that must fail)
    "rounding of y": (
        "runtime/cubes/grid.py::Grid.starts",
        call("rint", "np.floor({0} + 0.5)", 0),
        "runtime/cubes/test_grid.py",
    ),
    "rounding of z": (
        "runtime/cubes/grid.py::Grid.starts",
        call("trunc", "np.rint({0})"),
        "runtime/cubes/test_grid.py",
    ),
    "number of data voxels": (
        "runtime/cubes/grid.py::Grid.of",
        call("round", "int({0})"),
        "runtime/cubes/test_grid.py",
    ),
    "axis order": (
        "runtime/cubes/grid.py::Grid.starts",
        number(2, 1, 3),  # that of zyx[:, 2]
        "runtime/test_pipeline.py",
    ),
    "last place that fits": (
        "runtime/cubes/grid.py::Grid.inside",
        compare(ast.LtE, ast.Lt),
        "runtime/cubes/test_grid.py",
    ),
    "centres of resampling": (
        "runtime/cubes/grid.py::resampling_matrix",
        number(0.5, 0.4, 2),
        "runtime/cubes/test_grid.py",
    ),
    "padding wraps around": (
        "runtime/cubes/grid.py::copy_cubes",
        call("clip", "{0} % ({2} + 1)"),
        "runtime/cubes/test_grid.py",
    ),
    "padding along z in the window": (
        "runtime/cubes/window.py::Window.copy_cubes",
        call("clip", "{0} % ({2} + 1)"),
        "runtime/cubes/test_reader.py",
    ),
    "channel order": (
        "runtime/cubes/reader.py::_copy_cubes",
        call("swapaxes", "{self}[:, ::-1].swapaxes(0, 1)"),
        "runtime/test_pipeline.py",
    ),
    "candidates at an edge of a feature": (
        "runtime/shift/feature_counts.py::FeatureCounts.of",
        compare(ast.LtE, ast.Lt),
        "runtime/shift/test_feature_counts.py",
    ),
    "nearest training block": (
        "runtime/shift/training_features.py::TrainingFeatures.find_nearest",
        call("argmin", "np.argmax({0})"),
        "runtime/shift/test_score.py",
    ),
    "points of a batch": (
        "runtime/session/answer_table.py::AnswerTable.store",
        assigned_index("np.sort({0})"),
        "runtime/test_pipeline.py",
    ),
    "batches of a read": (
        "runtime/pipeline.py::_classify_batch",
        call("parts", "list({call})[::-1]"),
        "runtime/test_pipeline.py",
    ),
    "digest": (
        "runtime/artifact/artifact.py::verify",
        condition(False, 0),
        "runtime/artifact/test_artifact.py",
    ),
    "custom domains": (
        "runtime/artifact/onnx_guard.py::_add_node",
        condition(False, 0),
        "runtime/artifact/test_onnx_guard.py",
    ),
    "repeated fields": (
        "runtime/artifact/protobuf.py::Reader.read_message",
        condition(False, 7),
        "runtime/artifact/test_onnx_guard.py",
    ),
    "margins that crop": (
        "runtime/artifact/graph/cuts.py::pad",
        call("min", "0", 1),
        "runtime/artifact/graph/test_operators.py",
    ),
    "operators that mix cubes": (
        "runtime/artifact/graph/node.py::Node.axis",
        condition(False, 1),
        "runtime/artifact/graph/test_operators.py",
    ),
    "tensors that are kept": (
        "runtime/artifact/graph/graph.py::Graph.close",
        condition(False, 1),
        "runtime/artifact/graph/test_shapes.py",
    ),
    "budget of a graph": (
        "runtime/artifact/graph/budget.py::Cost.check",
        condition(False, 0),
        "runtime/artifact/test_hostile.py",
    ),
    "budget of fields": (
        "runtime/artifact/protobuf.py::Reader._spend",
        condition(False, 0),
        "runtime/artifact/test_hostile.py",
    ),
    "keys that occur twice": (
        "runtime/artifact/json_text.py::read_json",
        condition(False, 2),
        "runtime/artifact/test_hostile.py",
    ),
    "NaN becomes a label": (
        "runtime/session/session.py::Session._run",
        assigned_value("0"),
        "runtime/test_pipeline.py",
    ),
    "threshold": (
        "runtime/pipeline.py::combine_answers",
        compare(ast.GtE, ast.Gt),
        "runtime/test_pipeline.py",
    ),
    "ddof of the normalisation": (
        "runtime/cubes/scale.py::measure_scale",
        call("max", "{0} + 1"),
        "runtime/test_pipeline.py",
    ),
    "the order of x and z in files": (
        "runtime/points/points.py::parse_points",
        without_slice(),
        "runtime/points/test_points.py",
    ),
    "telemetry": (
        "runtime/session/backends/onnxruntime_backend.py::load_onnxruntime",
        without_assignment(),
        "runtime/session/test_session.py",
    ),
    "order of an ensemble's members": (
        "runtime/artifact/ensemble.py::Ensemble.combine",
        call("sorted", "list({0})"),
        "runtime/artifact/test_ensemble.py",
    ),
    "digest of a member": (
        "runtime/artifact/ensemble_file.py::_read_member",
        condition(True, 1),
        "runtime/artifact/test_ensemble_file.py",
    ),
    "reach of several cubes": (
        "runtime/cubes/reader.py::reach",
        call("min", "np.max({0}, axis=0)", 0),
        "runtime/cubes/test_reader.py",
    ),
    "calibration by the block that is tested": (
        "zoo/evaluation/calibration.py::cross_calibrate",
        without_invert,
        "zoo/evaluation/test_calibration.py",
    ),
    "intervals over few brains": (
        "analysis/measures.py::interval",
        call("ppf", "{func}({0}, 1000)"),
        "analysis/test_measures.py",
    ),
    "a piece of the ring": (
        "runtime/cubes/window.py::Window.copy_cubes",
        call("copy_cubes", "{func}({0}, {1}, {2}[:, ::-1])", 1),
        "runtime/cubes/test_reader.py",
    ),
    "planes that are gone": (
        "runtime/cubes/window.py::_bounds",
        left_operand(ast.Add, 1),
        "runtime/cubes/test_reader.py",
    ),
    "points whose planes are not there yet": (
        "runtime/cubes/window.py::Window.load",
        condition(False, 1),
        "runtime/cubes/test_reader.py",
    ),
    "results that overtake each other": (
        "runtime/threads.py::in_threads",
        call("popleft", "{self}.pop()", 1),
        "runtime/test_threads.py",
    ),
    "a file that was changed": (
        "runtime/artifact/locate.py::_read",
        condition(False, 1),
        "runtime/artifact/test_artifact.py",
    ),
    "checksum of a download": (
        "runtime/artifact/transfer.py::Transfer._check_content",
        condition(True, 0),
        "runtime/artifact/test_transfer.py",
    ),
    "redirect to a private host": (
        "runtime/artifact/address.py::check_redirect",
        condition(False, 1),
        "runtime/artifact/test_address.py",
    ),
    "credentials of .netrc": (
        "runtime/artifact/transfer.py::Transfer.check_response",
        condition(False, 0),
        "runtime/artifact/test_transfer.py",
    ),
    "weight after a checksum": (
        "runtime/artifact/model.py::_parse_weighted",
        condition(False, 0),
        "runtime/artifact/test_address.py",
    ),
    "labels of another window": (
        "runtime/labelling/label_file.py::LabelFile.write",
        condition(False, 0),
        "runtime/labelling/test_history.py",
    ),
    "the threshold itself": (
        "plugin/curation.py::Curation.types",
        compare(ast.GtE, ast.Gt),
        "plugin/test_curation.py",
    ),
    "a label that loses": (
        "plugin/curation.py::Curation.types",
        call("where", "{2}", 1),
        "plugin/test_curation.py",
    ),
    "points without their scale": (
        "plugin/layers.py::points_of",
        left_operand(ast.MatMult),
        "plugin/test_layers.py",
    ),
    "halves after a conversion": (
        "plugin/layers.py::points_of",
        call("round", "{func}({0}, 15)"),
        "plugin/test_layers.py",
    ),
}


# What the tests import from others, but for what starts a thread, which a fork would lose.
MODULES = (
    *("pytest", "hypothesis", "pytest_httpserver", "anyio.pytest_plugin", "xdist.plugin"),
    *("numpy", "tifffile", "click", "tqdm", "onnx", "requests", "torch", "scipy.stats"),
    *("matplotlib", "zarr", "napari.qt", "qtpy.QtTest"),
)
FAILURES = []  # the tests that noticed a mutation


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A process that runs tests of a copy of the package."""
    folder = tmp_path_factory.mktemp("mutated")
    ignore = shutil.ignore_patterns(".*", "__pycache__", "docs", "benchmarks", "build", "web")
    shutil.copytree(ROOT, folder / "cfzoo", ignore=ignore)
    (folder / "shared").symlink_to(ROOT.parent / "shared")
    with ForkServer(MODULES, folder) as server:
        yield server


@pytest.fixture
def mutated(server):
    """Return a function that changes the copy until the test ends."""
    originals = {}

    def change(function, edit):
        file, _, name = function.partition("::")
        path = server.package / file
        originals[path] = path.read_bytes()
        mutate(path, name, edit)

    yield change
    for path, content in originals.items():
        path.write_bytes(content)
        # Two versions of a file may agree in size and second, by which Python tells its code.
        Path(cache_from_source(path)).unlink(missing_ok=True)


@pytest.mark.slow
@pytest.mark.parametrize("name", MUTATIONS)
def test_a_test_fails(name, server, mutated):
    function, edit, tests = MUTATIONS[name]
    mutated(function, edit)
    code, printed = server.run([f"tests/{tests}"])
    assert code == 1, printed[-2000:]
    # A change that no longer makes sense would fail by itself.
    assert not any(name in printed for name in ("NameError", "SyntaxError", "ImportError"))
    (failed,) = re.findall(r"^FAILED (.+?)(?: - .*)?$", printed, re.MULTILINE)
    FAILURES.append(failed)


@pytest.mark.slow
def test_without_a_mutation_they_pass(server):
    """Or the failures above would say nothing."""
    if not FAILURES:
        pytest.skip("no mutation was tried")
    code, printed = server.run(sorted(set(FAILURES)))
    assert code == 0, printed[-2000:]
