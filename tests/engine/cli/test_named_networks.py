"""inspect, check and run on a known network, and what these commands refuse."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

import main
from engine.cli.common import open_network
from engine.plan import Batch, compile, exhaust

Output = pytest.CaptureFixture[str]


def refused(capsys: Output, *words: Any) -> str:
    code = main.main([str(word) for word in words])
    printed = capsys.readouterr()
    assert (code, printed.out) == (main.BAD_INPUT, "")
    assert printed.err.count("\n") == 1
    return printed.err


@pytest.fixture
def two(tmp_path: Path) -> Path:
    """A file of two inputs, a sample at a time, of which only the first reaches an output."""
    nodes = [
        helper.make_node("Relu", ["a"], ["y"]),
        helper.make_node("Relu", ["b"], ["z"]),
    ]
    values = {
        name: helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 3]) for name in "abyz"
    }
    graph = helper.make_graph(nodes, "two", [values["a"], values["b"]], [values["y"], values["z"]])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    onnx.save(model, tmp_path / "two.onnx")
    return tmp_path / "two.onnx"


def test_a_known_network_runs_with_its_weights(capsys: Output, tmp_path: Path) -> None:
    x = np.random.default_rng(0).random((3, 1, 8, 8), np.float32)
    np.save(tmp_path / "x.npy", x)
    words = ("run", "resnet-digits", "--input", tmp_path / "x.npy", "--out", tmp_path / "y.npz")
    assert main.main([str(word) for word in words]) == 0
    project = open_network("resnet-digits")
    ((name, ref),) = project.graph.outputs
    assert capsys.readouterr().out.splitlines()[0] == f"{name}  3×10"
    plan = compile(project.graph, project.parameters, batch=3, mode="eval", backward=False)
    exhaust(plan.run(Batch({project.graph.inputs[0].id: x})))
    with np.load(tmp_path / "y.npz") as found:
        np.testing.assert_array_equal(found[name], plan.value(ref))


def test_an_input_that_does_not_count_has_a_gradient_of_zeros(two: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.array([[1, -1, 2]], np.float32))
    np.save(tmp_path / "b.npy", np.array([[5, 6, 7]], np.float32))
    inputs = [w for name in "ab" for w in ("--input", f"{name}={tmp_path / name}.npy")]
    words = ["run", two, *inputs, "--out", tmp_path / "y.npz", "--gradient", "y"]
    assert main.main([str(word) for word in words]) == 0
    with np.load(tmp_path / "y.npz") as found:
        assert found["y"].tolist() == [[1, 0, 2]] and found["z"].tolist() == [[5, 6, 7]]
        assert found["grad:a"].tolist() == [[1, 0, 1]] and found["grad:b"].tolist() == [[0, 0, 0]]


def test_a_file_for_one_sample_is_compared_by_one(capsys: Output, two: Path) -> None:
    assert main.main(["check", str(two)]) == 0
    assert capsys.readouterr().out.startswith("two: 1 samples")
    assert "--samples: expected at least 1" in refused(capsys, "check", two, "--samples", 0)


def test_what_run_cannot_read_is_named(capsys: Output, two: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.ones((1, 3), np.float32))
    np.save(tmp_path / "words.npy", np.array(["no", "numbers"]))
    np.save(tmp_path / "one.npy", np.array(3.0))
    words = ("run", two, "--out", tmp_path / "y.npz", "--input")
    assert "expected a name (a, b)" in refused(capsys, *words, tmp_path / "a.npy")
    assert "expected NAME=FILE.npy" in refused(capsys, *words, "a=")
    for name in ("words", "one"):
        assert "an array of numbers" in refused(capsys, *words, f"a={tmp_path / name}.npy")
    assert not (tmp_path / "y.npz").exists()


@pytest.mark.parametrize("shape", ["3x8x8", "x=", "x=3xwide", "x=-1x2"])
def test_a_shape_without_a_name_or_sizes_is_refused(capsys: Output, two: Path, shape: str) -> None:
    with pytest.raises(SystemExit) as left:
        main.main(["inspect", str(two), "--shape", shape])
    assert left.value.code == 2
    assert "expected INPUT=3x224x224" in capsys.readouterr().err


def test_a_picture_cannot_go_where_there_are_two_inputs(capsys: Output, two: Path) -> None:
    said = refused(capsys, "step", two, "--image", "strokes:7")
    assert "expected one input of 1 or 3 channels for a picture, received 2 inputs" in said


def test_a_network_without_its_file_says_so(capsys: Output, monkeypatch: Any) -> None:
    def gone(self: Path) -> bytes:
        raise FileNotFoundError(2, "No such file or directory")

    monkeypatch.setattr(Path, "read_bytes", gone)
    said = refused(capsys, "inspect", "resnet-digits")
    assert "expected its weights in" in said and "Install the program again" in said
