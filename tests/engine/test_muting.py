"""A muted layer is passed by, keeps its weights, and changes no shape that another layer reads."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from engine.export import ExportOptions, export
from engine.graph import Graph, GraphError, Input, Loss, Node
from engine.layers.add import Add
from engine.layers.base import REGISTRY, HyperparameterError, Record, ShapeError, Spec
from engine.layers.conv2d import Conv2d
from engine.layers.flatten import Flatten
from engine.layers.linear import Linear
from engine.layers.muted import Muted
from engine.layers.relu import ReLU
from engine.losses import CrossEntropy
from engine.muting import is_muted, mute, unmute, without_muted
from engine.parameters import initial_parameters
from engine.plan import Batch, compile, exhaust
from engine.project_file import Project, load, save
from engine.trace import Trace


def network() -> Graph:
    """A residual block: 4 → 2 → 4 maps beside a skip."""
    return Graph(
        inputs=(Input("image", (4, 3, 3)),),
        nodes=(
            Node("relu", ReLU(), (("image", 0),)),
            Node("down", Conv2d(2, kernel_size=1), (("relu", 0),)),
            Node("up", Conv2d(4, kernel_size=1), (("down", 0),)),
            Node("add", Add(), (("up", 0), ("relu", 0))),
            Node("flatten", Flatten(), (("add", 0),)),
            Node("fc", Linear(3), (("flatten", 0),)),
        ),
        outputs=(("logits", ("fc", 0)),),
        losses=(Loss("loss", CrossEntropy(), ("fc", 0)),),
    )


def muted(*ids: str) -> Graph:
    graph = network()
    return mute(graph, graph.infer(), ids)


def test_a_layer_that_keeps_the_shape_is_passed_by() -> None:
    graph = muted("relu")
    assert is_muted(graph.node("relu")) and graph.infer().valid
    assert unmute(graph, {"relu"}) == network()
    assert "Muted" not in REGISTRY


def test_a_branch_is_muted_whole_but_not_in_part() -> None:
    graph = muted("down", "up")
    assert graph.infer().specs["up", 0].shape == (1, 4, 3, 3)
    with pytest.raises(GraphError, match="down: muted, up would receive 4×3×3 instead of 2×3×3"):
        muted("down")
    with pytest.raises(GraphError, match="loss would receive 36 instead of 3"):
        muted("fc")


def test_an_incomplete_layer_and_shared_weights_are_refused() -> None:
    graph = network().replace_node("relu", inputs=(None,))
    with pytest.raises(GraphError, match="relu: its shape is unknown"):
        mute(graph, graph.infer(), {"relu"})
    graph = network().add(Node("again", Conv2d(2, kernel_size=1), (("relu", 0),), "down"))
    for name in ("again", "down"):
        with pytest.raises(GraphError, match=f"{name}: its weights are shared"):
            mute(graph, graph.infer(), {name})


def test_its_weights_stay_and_are_not_trained() -> None:
    before, graph = network(), muted("down", "up")
    was = before.parameter_specs(before.infer().specs)
    now = graph.parameter_specs(graph.infer().specs)
    assert {k: s.shape for k, s in was.items()} == {k: s.shape for k, s in now.items()}
    assert {s.kind for k, s in now.items() if k[0] in ("down", "up")} == {"statistic"}
    assert graph.costs(graph.infer().specs)["up"].parameters == 0


def test_a_run_passes_it_by_and_sends_a_zero_to_the_other_branch() -> None:
    graph = mute(network(), network().infer(), {"add"})
    x = np.random.default_rng(0).standard_normal((2, 4, 3, 3)).astype("float32")
    trace = Trace()
    plan = compile(graph, initial_parameters(graph, 3), batch=2)
    exhaust(plan.run(Batch.of(graph, x, np.array([0, 2])), trace=trace))
    end = len(trace)
    up, out = (trace.look("value", (name, 0), end) for name in ("up", "add"))
    np.testing.assert_array_equal(up, out)
    dy = trace.look("grad", ("add", 0), end)
    assert dy is not None and dy.any()
    np.testing.assert_array_equal(trace.look("grad", ("up", 0), end), dy)
    # what reads the skip gets its gradient from the branch alone
    skip = trace.look("part", ("add", 1), end)
    assert skip is not None and not skip.any()


def test_it_says_where_its_numbers_come_from() -> None:
    layer = Muted.around(Add(), (Spec((1, 2)), Spec((1, 2))), 1)
    xs = np.array([1.0, 2.0]), np.array([3.0, 4.0])
    record = Record(xs, (xs[1],), (np.array([5.0, 6.0]),), {}, {})
    (term,) = layer.reads((1,), record).terms
    assert term.source == ("input", 1, (1,)) and term.product == 4.0
    assert layer.feeds((0,), record, 0).terms == ()
    assert layer.feeds((0,), record, 1).terms[0].product == 5.0
    assert layer.extent(0, Spec((1, 2)), Spec((1, 2))).sees(((0, 1),)) is None
    assert layer.extent(1, Spec((1, 2)), Spec((1, 2))).sees(((0, 1),)) == ((0, 1),)
    with pytest.raises(ShapeError, match="1 connected"):
        layer.outputs(Spec((1, 2)))


@pytest.mark.parametrize(
    "of", ["no json", "[]", '{"layer": {"kind": "Riddle"}, "receives": []}', '{"receives": 3}']
)
def test_what_is_no_layer_is_refused(of: str) -> None:
    with pytest.raises(HyperparameterError, match="Muted.of"):
        Muted(of)


def test_it_comes_back_from_a_file_with_its_weights(tmp_path: Path) -> None:
    graph = muted("down", "up")
    parameters = initial_parameters(graph, 1)
    save(Project(graph, parameters), tmp_path / "muted.gflow")
    again = load(tmp_path / "muted.gflow")
    assert again.graph == graph
    assert (again.parameters["up", "weight"] == parameters["up", "weight"]).all()


def test_it_is_exported_as_what_it_does(tmp_path: Path) -> None:
    graph = muted("down", "up")
    plain = without_muted(mute(graph, graph.infer(), {"add"}))
    assert plain.node("add").inputs == (("up", 0),) and plain.infer().valid
    found = export(tmp_path / "muted.onnx", graph, initial_parameters(graph, 1), ExportOptions())
    assert found.check is not None and found.check.agrees
    script = tmp_path / "muted.py"
    export(script, graph, initial_parameters(graph, 1), ExportOptions("pytorch"))
    assert "Conv2d" not in script.read_text()


def test_the_command_check_compares_what_it_does(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from main import main

    graph = mute(network(), network().infer(), {"add"})
    save(Project(graph, initial_parameters(graph, 1)), tmp_path / "muted.gflow")
    assert main(["check", str(tmp_path / "muted.gflow")]) == 0
    assert capsys.readouterr().out


def test_an_output_that_nobody_reads_keeps_its_shape_too() -> None:
    graph = replace(network(), losses=())
    with pytest.raises(GraphError, match="fc: muted, the output logits would be 36 instead of 3"):
        mute(graph, graph.infer(), {"fc"})
