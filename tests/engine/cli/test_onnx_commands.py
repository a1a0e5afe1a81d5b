"""inspect, check, run and step on ONNX files, in the process that runs the tests."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import main
from engine.architectures import ARCHITECTURES
from engine.cli.common import open_network
from engine.onnx import export_onnx
from engine.parameters import initial_parameters
from engine.plan import Batch, compile, exhaust

Output = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def lenet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    graph = ARCHITECTURES["lenet5"].build()
    path = tmp_path_factory.mktemp("onnx") / "lenet5.onnx"
    export_onnx(graph, initial_parameters(graph, 0), path)
    return path


@pytest.fixture(scope="module")
def unknown(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """ReLU, an operator that nobody has, ReLU; sizes of the picture are open."""
    nodes = [
        helper.make_node("Relu", ["x"], ["a"], name="before"),
        helper.make_node("Riddle", ["a"], ["b"], name="what", domain="example", depth=3),
        helper.make_node("Relu", ["b"], ["y"], name="after"),
    ]
    graph = helper.make_graph(
        nodes,
        "odd",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3, "H", "W"])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("example", 1)]
    path = tmp_path_factory.mktemp("onnx") / "odd.onnx"
    onnx.save(helper.make_model(graph, opset_imports=opsets), path)
    return path


def run(capsys: Output, *words: Any) -> tuple[int, list[str], str]:
    code = main.main([str(word) for word in words])
    printed = capsys.readouterr()
    return code, printed.out.splitlines(), printed.err


def refused(capsys: Output, *words: Any) -> str:
    code, out, err = run(capsys, *words)
    assert (code, out) == (main.BAD_INPUT, [])
    assert err.count("\n") == 1
    return err


@pytest.mark.parametrize("name", ["inspect", "check", "run"])
def test_help_has_an_example(capsys: Output, name: str) -> None:
    with pytest.raises(SystemExit) as left:
        main.main([name, "--help"])
    assert left.value.code == 0
    assert "example:" in capsys.readouterr().out


def test_inspect_counts(capsys: Output, lenet: Path) -> None:
    code, out, _ = run(capsys, "inspect", lenet)
    assert code == 0 and out[0].endswith("image 1×28×28 → logits 10")
    assert any(line.startswith("61,706 parameters, 416,520 multiply-adds") for line in out)
    _, text, _ = run(capsys, "inspect", lenet, "--json")
    found = json.loads("\n".join(text))
    assert found["parameters"] == 61706 and found["missing"] == {} and found["samples"] == "any"
    _, known, _ = run(capsys, "inspect", "lenet5")
    assert known[-1].split(",")[0] == next(x for x in out if "parameters," in x).split(",")[0]


def test_inspect_tells_what_is_missing_and_asks_for_sizes(capsys: Output, unknown: Path) -> None:
    assert "x: ?×3×?×?" in refused(capsys, "inspect", unknown)
    code, out, _ = run(capsys, "inspect", unknown, "--shape", "x=3x8x8")
    assert code == 0
    assert any(x.startswith("missing: Riddle, 1 nodes") for x in out)
    assert any(x.startswith("1 more nodes come after") for x in out)
    assert "expected sizes that fit" in refused(capsys, "inspect", unknown, "--shape", "x=4x8x8")


def test_inspect_names_the_kernel_of_every_layer(
    capsys: Output, lenet: Path, unknown: Path
) -> None:
    for network, samples in ((lenet, ()), ("lenet5", (32,))):
        code, out, _ = run(capsys, "inspect", network, "--kernels", *samples)
        assert code == 0 and out[1 if network == "lenet5" else 2].endswith("  kernel")
        _, text, _ = run(capsys, "inspect", network, "--json", "--kernels", *samples)
        found = {x["id"]: x["kernel"] for x in json.loads("\n".join(text))["layers"]}
        project = open_network(str(network))
        plan = compile(project.graph, project.parameters, batch=samples[0] if samples else 1)
        assert found == {c.node: c.kernel for c in plan.choices}
        for node, kernel in found.items():
            line = next(line for line in out if line.split()[0] == node)
            assert line.endswith(f"  {kernel}")
    _, out, _ = run(capsys, "inspect", unknown, "--shape", "x=3x8x8", "--kernels")
    assert any(line.split()[1:2] == ["Riddle"] and line.endswith("  ?") for line in out)
    assert "at least 1 sample" in refused(capsys, "inspect", "lenet5", "--kernels", 0)


def test_check_compares_with_another_engine(capsys: Output, lenet: Path, unknown: Path) -> None:
    code, out, _ = run(capsys, "check", lenet)
    assert code == 0 and out[1].endswith("agrees") and "onnxruntime" in out[0]
    code, out, _ = run(capsys, "check", lenet, "--reference", "--samples", 1)
    assert code == 0 and "reference evaluator" in out[0] and "1×10" in out[1]
    code, out, _ = run(capsys, "check", "resnet-digits")
    assert code == 0 and out[1].endswith("agrees")
    assert "Riddle" in refused(capsys, "check", unknown, "--shape", "x=3x8x8")


def test_a_difference_is_noticed(capsys: Output, lenet: Path, monkeypatch: Any) -> None:
    from engine.onnx import comparison

    right = comparison.ours

    def wrong(*arguments: Any) -> Any:
        return {k: v * np.float32(1.01) for k, v in right(*arguments).items()}

    monkeypatch.setattr(comparison, "ours", wrong)
    code, out, _ = run(capsys, "check", lenet)
    assert code == 1 and out[1].endswith("DIFFERS")


def test_run_writes_outputs_and_gradients(capsys: Output, lenet: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    x = rng.random((2, 1, 28, 28), np.float32)
    np.save(tmp_path / "x.npy", x)
    out = tmp_path / "y.npz"
    code, said, _ = run(
        capsys, "run", lenet, "--input", f"image={tmp_path / 'x.npy'}", "--out", out,
        "--gradient", "logits:3",
    )  # fmt: skip
    assert code == 0 and said[0] == "logits  2×10"
    graph = ARCHITECTURES["lenet5"].build()
    parameters = initial_parameters(graph, 0)
    with np.load(out) as found:
        plan = compile(graph, parameters, batch=2, mode="eval", backward=False)
        exhaust(plan.run(Batch({"image": x})))
        np.testing.assert_allclose(found["logits"], plan.output(), atol=1e-6)
        gradient = found["grad:image"]
        assert gradient.shape == x.shape
        assert found["grad:conv1.weight"].shape == (6, 1, 5, 5)

        def score(moved: Any) -> float:
            exact = compile(graph, parameters, batch=2, mode="eval", dtype="float64")
            exhaust(exact.run(Batch({"image": moved})))
            return float(exact.output()[:, 3].sum())

        direction = rng.standard_normal(x.shape)
        measured = (score(x + 1e-6 * direction) - score(x - 1e-6 * direction)) / 2e-6
        claimed = float((gradient.astype(float) * direction).sum())
        assert abs(measured - claimed) < 1e-4 * max(1.0, abs(measured))


def test_run_goes_as_far_as_it_can(capsys: Output, unknown: Path, tmp_path: Path) -> None:
    x = np.random.default_rng(0).standard_normal((2, 3, 4, 4)).astype("float32")
    np.save(tmp_path / "x.npy", x)
    for word in (tmp_path / "x.npy", f"x={tmp_path / 'x.npy'}"):
        code, said, _ = run(capsys, "run", unknown, "--input", word, "--out", tmp_path / "y.npz")
        assert code == 0 and said[0].startswith("2 layers cannot run (Riddle)")
    with np.load(tmp_path / "y.npz") as found:
        assert np.array_equal(found["before"], np.maximum(x, 0))


def test_run_refuses_what_does_not_fit(capsys: Output, lenet: Path, tmp_path: Path) -> None:
    out = tmp_path / "y.npz"
    (tmp_path / "bad.npy").write_bytes(b"no array")
    np.save(tmp_path / "x.npy", np.zeros((1, 1, 28, 28), "float32"))
    words = ("run", lenet, "--out", out, "--input")
    assert "expected an .npy file" in refused(capsys, *words, f"image={tmp_path / 'bad.npy'}")
    assert "Input image: expected" in refused(capsys, *words, f"other={tmp_path / 'x.npy'}")
    good = f"image={tmp_path / 'x.npy'}"
    assert "--gradient: expected" in refused(capsys, *words, good, "--gradient", "nothing")
    assert "a class from 0 to 9" in refused(capsys, *words, good, "--gradient", "logits:10")
    assert not out.exists()


def test_step_walks_through_an_onnx_file(capsys: Output, lenet: Path) -> None:
    code, out, _ = run(capsys, "step", lenet, "--image", "strokes:7", "--phase", "backward")
    assert code == 0
    assert any("conv1.weight" in line for line in out)
    code, out, _ = run(capsys, "step", lenet, "--image", "strokes:7", "--backward", "--class", 3)
    assert code == 0 and "label 3" in out[0]
    assert {line.split()[1] for line in out[1:-1]} == {"loss", "backward"}


def test_an_initializer_of_the_file_is_a_gradient(capsys: Output, tmp_path: Path) -> None:
    weight = np.arange(6, dtype="float32").reshape(3, 2)
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"], name="multiply")],
        "one",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 2])],
        [numpy_helper.from_array(weight, "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    onnx.save(model, tmp_path / "one.onnx")
    np.save(tmp_path / "x.npy", np.ones((4, 3), "float32"))
    code, _, _ = run(
        capsys, "run", tmp_path / "one.onnx", "--input", f"={tmp_path / 'x.npy'}",
        "--out", tmp_path / "y.npz", "--gradient", "y",
    )  # fmt: skip
    assert code == 0
    with np.load(tmp_path / "y.npz") as found:
        assert np.array_equal(found["y"], np.ones((4, 3)) @ weight)
        assert np.array_equal(found["grad:x"], np.ones((4, 2)) @ weight.T)
        assert np.array_equal(found["grad:multiply.weight"], np.full((2, 3), 4.0))
