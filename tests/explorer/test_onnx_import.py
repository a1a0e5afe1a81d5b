"""An ONNX file opens in the window: read beside it, drawn, run, and stepped backward."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QSpinBox
from pytestqt.qtbot import QtBot

from engine.architectures import ARCHITECTURES
from engine.layers.opaque import Opaque
from engine.onnx import export_onnx
from engine.parameters import initial_parameters
from explorer import folding, theme
from explorer.onnx_import import usual
from explorer.open_sizes import REMEMBERED, OpenSizes, OpenSizesBar, remembered, with_answer
from explorer.settings import Settings
from explorer.window import Window


@pytest.fixture
def window(qtbot: QtBot, qapp: QApplication, tmp_path: Path) -> Iterator[Window]:
    theme.apply(qapp)
    window = Window(Settings(tmp_path / "settings.json"))
    qtbot.addWidget(window)
    window.resize(1280, 800)
    window.controller.start(None)
    window.show()
    yield window
    window.close()


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
    assert "Riddle (1)" in said.text and "1 more layers" in said.text
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


def test_open_sizes_are_asked_for_once(bench: Any, qtbot: QtBot, riddle: Path) -> None:
    c, d = bench.controller, bench.document
    asked: list[OpenSizes] = []
    c.projects.sizes_asked.connect(asked.append)
    opened(bench, qtbot, riddle)
    assert asked == [OpenSizes(riddle, {"x": (None, 3, 9, None)}, {"x": (0, 3, 9, 224)})]
    assert asked[0].open_axes("x") == (3,)
    c.projects.open_sized(asked[0], {"x": (0, 3, 9, 31)})
    qtbot.waitUntil(lambda: not c.projects.builders.busy)
    assert d.graph.inputs[0].shape == (3, 9, 31) and len(asked) == 1
    c.projects.new()
    opened(bench, qtbot, riddle)
    assert d.graph.inputs[0].shape == (3, 9, 31) and len(asked) == 1


def shown_boxes(window: Window) -> list[QSpinBox]:
    """Without those of an earlier question, which wait to be deleted."""
    return [box for box in window.open_sizes.findChildren(QSpinBox) if box.isVisible()]


def test_open_sizes_can_be_asked_for_again(window: Any, qtbot: QtBot, riddle: Path) -> None:
    c = window.controller
    window.actions_by_id["file.sizes"].trigger()
    assert window.open_sizes.isHidden()
    assert "no ONNX file" in window.notices.text
    c.projects.open(riddle)
    qtbot.waitUntil(lambda: not window.open_sizes.isHidden())
    for size in (40, 23):
        (box,) = shown_boxes(window)
        box.setValue(size)
        QTest.mouseClick(window.open_sizes.button, Qt.MouseButton.LeftButton)
        qtbot.waitUntil(lambda: not c.projects.builders.busy)
        assert c.document.graph.inputs[0].shape == (3, 9, size) and window.open_sizes.isHidden()
        window.actions_by_id["file.sizes"].trigger()
        (box,) = shown_boxes(window)
        assert box.value() == size  # what is in use is offered
    QTest.mouseClick(window.open_sizes.close_button, Qt.MouseButton.LeftButton)
    c.projects.new()
    window.actions_by_id["file.sizes"].trigger()
    assert window.open_sizes.isHidden()


def test_sizes_that_do_not_fit_are_not_remembered(bench: Any, qtbot: QtBot, riddle: Path) -> None:
    c, d = bench.controller, bench.document
    asked: list[OpenSizes] = []
    c.projects.sizes_asked.connect(asked.append)
    opened(bench, qtbot, riddle)
    before = d.content
    c.projects.open_sized(asked[0], {"x": (0, 5, 9, 31)})
    qtbot.waitUntil(lambda: not c.projects.builders.busy)
    assert d.content is before and bench.notices[-1].level == "error"
    assert c.settings["sizes"] == {}


@pytest.mark.parametrize(
    "kept", [None, [], {}, {"y": [0, 3, 9, 1]}, {"x": [0, 3, 9]}, {"x": [0, 4, 9, 1]}, {"x": "a"}]
)
def test_damaged_answers_are_asked_again(kept: Any) -> None:
    asked = OpenSizes(Path("a.onnx"), {"x": (None, 3, 9, None)}, {"x": (0, 3, 9, 224)})
    assert remembered({asked.key: kept}, asked) is None
    assert remembered({asked.key: {"x": [0, 3, 9, 0]}}, asked) is None
    assert remembered({asked.key: {"x": [0, 3, 9, 7]}}, asked) == {"x": (0, 3, 9, 7)}


def test_the_last_hundred_answers_are_kept() -> None:
    kept: dict[str, Any] = {}
    for n in range(130):
        question = OpenSizes(Path(f"{n}.onnx"), {"x": (None,)}, {"x": (0,)})
        kept = with_answer(kept, question, question.used)
    assert len(kept) == REMEMBERED and next(iter(kept)).startswith("30.onnx")


def test_the_bar_asks_with_a_box_for_each_open_size(qtbot: QtBot) -> None:
    bar = OpenSizesBar()
    qtbot.addWidget(bar)
    asked = OpenSizes(Path("a.onnx"), {"x": (None, 3, None, None)}, {"x": (0, 3, 224, 224)})
    bar.set_question(asked)
    boxes = bar.findChildren(QSpinBox)
    assert [box.accessibleName() for box in boxes] == ["x rows", "x columns"]
    assert not bar.isHidden() and "a.onnx" in bar.accessibleName()
    boxes[0].setFocus()
    boxes[0].selectAll()
    QTest.keyClicks(boxes[0], "64")
    said: list[Any] = []
    bar.open_requested.connect(lambda question, shapes: said.append((question, shapes)))
    QTest.mouseClick(bar.button, Qt.MouseButton.LeftButton)
    assert said == [(asked, {"x": (0, 3, 64, 224)})]
    kept: list[Any] = []
    bar.kept.connect(kept.append)
    QTest.mouseClick(bar.close_button, Qt.MouseButton.LeftButton)
    assert kept == [asked] and bar.isHidden()


def test_the_window_asks_and_opens(window: Any, qtbot: QtBot, riddle: Path) -> None:
    c = window.controller
    c.projects.open(riddle)
    qtbot.waitUntil(lambda: not window.open_sizes.isHidden())
    (box,) = window.open_sizes.findChildren(QSpinBox)
    box.setFocus()
    box.selectAll()
    QTest.keyClicks(box, "40")
    QTest.mouseClick(window.open_sizes.button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: not c.projects.builders.busy)
    assert c.document.graph.inputs[0].shape == (3, 9, 40)
    assert window.open_sizes.isHidden()


def test_a_large_file_without_names_opens_as_stages(
    bench: Any, qtbot: QtBot, tmp_path: Path
) -> None:
    graph = ARCHITECTURES["cifar-resnet20"].build()
    model = export_onnx(graph, initial_parameters(graph, 5))
    known = {entry.name for entry in (*model.graph.input, *model.graph.output)}
    for number, node in enumerate(model.graph.node):
        node.name = f"n{number}"
        for names in (node.input, node.output):
            names[:] = [n if n in known else f"t{crc32(n.encode())}" for n in names]
    for tensor in model.graph.initializer:
        tensor.name = f"t{crc32(tensor.name.encode())}"
    path = tmp_path / "nameless.onnx"
    onnx.save(model, path)
    opened(bench, qtbot, path)
    d = bench.document
    shown = [node.id for node in folding.view(d.graph, d.folded).graph.nodes]
    named = next(node for node in d.graph.nodes if node.id.startswith("stage1/block1/"))
    assert d.name_in_file(named.id) in {f"n{n}" for n in range(200)}
    assert d.name_in_file("nothing") == ""
    assert shown == ["stem/", "stage1/", "stage2/", "stage3/", "head/"]


def test_the_usual_sizes() -> None:
    assert usual(None) == (0, 3, 224, 224)
    assert usual((None, None, 100, None)) == (0, 3, 100, 224)
    assert usual((1, 10)) == (1, 10)
