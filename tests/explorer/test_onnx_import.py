"""An ONNX file opens in the window: read beside it, drawn, run, and stepped backward."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from pytestqt.qtbot import QtBot

from engine.architectures import ARCHITECTURES
from engine.layers.opaque import Opaque
from engine.onnx import export_onnx
from engine.parameters import initial_parameters
from explorer.onnx_import import usual


def opened(bench: Any, qtbot: QtBot, path: Path) -> None:
    assert bench.controller.projects.open(path)
    qtbot.waitUntil(lambda: not bench.controller.projects.builders.busy)


@pytest.fixture
def lenet(tmp_path: Path) -> Path:
    graph = ARCHITECTURES["lenet5"].build()
    path = tmp_path / "mine.onnx"
    export_onnx(graph, initial_parameters(graph, 5), path)
    return path


@pytest.fixture
def riddle(tmp_path: Path) -> Path:
    """A convolution, an operator that nobody has, a ReLU; sizes are open."""
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["a"], name="conv"),
        helper.make_node("Riddle", ["a"], ["b"], name="what", domain="example"),
        helper.make_node("Relu", ["b"], ["y"], name="after"),
    ]
    graph = helper.make_graph(
        nodes,
        "odd",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3, 9, "W"])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.ones((2, 3, 3, 3), "float32"), "w")],
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("example", 1)]
    path = tmp_path / "odd.onnx"
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), path)
    return path


def test_it_is_drawn_and_runs_both_ways(bench: Any, qtbot: QtBot, lenet: Path) -> None:
    c, d = bench.controller, bench.document
    opened(bench, qtbot, lenet)
    wanted = initial_parameters(ARCHITECTURES["lenet5"].build(), 5)
    assert len(d.graph.nodes) == 12 and set(d.layout) >= {n.id for n in d.graph.nodes}
    assert np.array_equal(d.parameters["conv1", "weight"], wanted["conv1", "weight"])
    assert d.run is not None and d.graph.losses
    qtbot.waitUntil(lambda: d.run.complete)
    assert any(step.phase == "backward" for step in d.run.trace.steps)
    assert d.path is None and not d.modified and d.title == "mine"
    assert bench.notices[-1].text == "Opened mine.onnx."
    assert c.settings["recent"][0] == str(lenet)


def test_what_is_not_known_is_drawn_and_what_comes_before_runs(
    bench: Any, qtbot: QtBot, riddle: Path
) -> None:
    d = bench.document
    opened(bench, qtbot, riddle)
    assert isinstance(d.graph.node("what").layer, Opaque)
    assert d.graph.inputs[0].shape == (3, 9, 224)
    assert "what" in d.inference.errors and "after" in d.layout
    assert "Riddle, which one more layer needs" in str(d.inference.errors["what"])
    said = bench.notices[-1]
    assert said.level == "warning"
    assert "x 3×9×224" in said.text and "Riddle (1)" in said.text and "1 more layers" in said.text
    assert d.run is not None and [s.node for s in d.run.trace.steps] == ["conv"]


@pytest.mark.parametrize("content", [b"", b"no model", b"PK\x03\x04"])
def test_a_damaged_file_changes_nothing(
    bench: Any, qtbot: QtBot, tmp_path: Path, content: bytes
) -> None:
    path = tmp_path / "broken.onnx"
    path.write_bytes(content)
    before = bench.document.content
    opened(bench, qtbot, path)
    assert bench.document.content is before
    assert bench.notices[-1].level == "error" and "broken.onnx" in bench.notices[-1].text


def test_the_program_starts_with_a_file(bench: Any, qtbot: QtBot, lenet: Path) -> None:
    c, d = bench.controller, bench.document
    c.projects.start(lenet)
    assert d.graph.nodes  # never an empty window
    qtbot.waitUntil(lambda: not c.projects.builders.busy)
    assert d.title == "mine"
    lenet.write_bytes(b"")
    c.projects.start(lenet)
    qtbot.waitUntil(lambda: not c.projects.builders.busy)
    assert d.graph.nodes and bench.notices[-1].level == "error"


def test_opening_something_else_gives_it_up(bench: Any, qtbot: QtBot, lenet: Path) -> None:
    c, d = bench.controller, bench.document
    c.projects.open(lenet)
    c.projects.new()
    qtbot.waitUntil(lambda: not c.projects.builders.busy)
    assert d.graph.name == "new network"
    assert all(notice.text != "Opened mine.onnx." for notice in bench.notices)


def test_the_usual_sizes() -> None:
    assert usual(None) == (0, 3, 224, 224)
    assert usual((None, None, 100, None)) == (0, 3, 100, 224)
    assert usual((1, 10)) == (1, 10)
