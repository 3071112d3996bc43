import numpy as np
import pytest

from cfzoo.analysis.predictions import Predictions, read_predictions, write_predictions
from cfzoo.runtime.errors import InputError


@pytest.fixture
def predictions():
    rng = np.random.default_rng(0)
    return Predictions(
        names=("b", "a, with a comma"),
        dataset=np.array([0, 0, 1]),
        zyx=np.array([[1.0, 2.5, 300000], [4, 5, 6], [7, 8, 9]]),
        edge=np.array([False, True, False]),
        labels=np.array([1, 0, 1]),
        margin={"x:y": rng.normal(0, 5, (2, 3)), "z": rng.normal(0, 5, (1, 3))},
    )


def test_table_is_read_as_it_was_written(predictions, tmp_path):
    write_predictions(tmp_path / "p.csv", predictions)
    table = read_predictions(tmp_path / "p.csv")
    assert table.names == predictions.names and list(table.margin) == ["x:y", "z"]
    for name in ("dataset", "zyx", "edge", "labels"):
        assert np.array_equal(getattr(table, name), getattr(predictions, name)), name
        assert getattr(table, name).dtype == getattr(predictions, name).dtype
    for name, margin in predictions.margin.items():
        np.testing.assert_allclose(table.margin[name], margin, rtol=1e-5)
    assert table.rows("a, with a comma").tolist() == [2]
    write_predictions(tmp_path / "q.csv", table)
    assert (tmp_path / "q.csv").read_bytes() == (tmp_path / "p.csv").read_bytes()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "begins with"),
        ("x,y,z\n1,2,3\n", "begins with"),
        ("dataset,x,y,z,edge,label,m:0\n", "a line for each"),
        ("dataset,x,y,z,edge,label,m:0\na,1,2,3,0,1\n", "line 2 has 6 values"),
        ("dataset,x,y,z,edge,label,m:0\na,1,2,3,0,1,x\n", "not a number"),
        ("dataset,x,y,z,edge,label,m:0\na,1,2,3,0,2,0\n", "expected 0 or 1"),
        ("dataset,x,y,z,edge,label,m:0\na,1,2,3,0,1,nan\n", "missing"),
        ("dataset,x,y,z,edge,label,m:0\na,1,2,3,0,1,inf\n", "infinite"),
        ("dataset,x,y,z,edge,label,m:0,m:0\na,1,2,3,0,1,0,0\n", "two columns"),
    ],
)
def test_refuses_other_tables(tmp_path, text, message):
    (tmp_path / "p.csv").write_text(text)
    with pytest.raises(InputError, match=message):
        read_predictions(tmp_path / "p.csv")


def test_reads_a_table_of_another_program(tmp_path):
    text = "\ufeffdataset,x,y,z,edge,label,C:\\m1.onnx,C:\\m2.onnx\r\na,1,2,3,0,1,0.5,-1\r\n\r\n"
    (tmp_path / "p.csv").write_bytes(text.encode())
    table = read_predictions(tmp_path / "p.csv")
    assert list(table.margin) == ["C:\\m1.onnx", "C:\\m2.onnx"] and len(table) == 1


def test_refuses_a_missing_table(tmp_path):
    with pytest.raises(InputError, match="cannot be read"):
        read_predictions(tmp_path / "p.csv")
