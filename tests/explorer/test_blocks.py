"""Blocks in the command box: typed, added behind the selection in one entry, and taken back."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from engine.building_blocks import KINDS, Block
from explorer import theme
from explorer.settings import Settings
from explorer.typed import meanings
from explorer.window import Window


@pytest.mark.parametrize(
    ("line", "block"),
    [
        ("residual block 32 s2", Block("residual", 32, 2)),
        ("residual", Block("residual")),
        ("conv-bn-relu 16", Block("conv-bn-relu", 16)),
        ("conv bn relu 16 s2", Block("conv-bn-relu", 16, 2)),
        ("inception 64", Block("inception", 64)),
        ("squeeze-excite", Block("squeeze-excite")),
        ("Dense Block 12", Block("dense", 12)),
        ("bottleneck s2", Block("bottleneck", 0, 2)),
    ],
)
def test_a_line_is_a_block(line: str, block: Block) -> None:
    (found,) = meanings(line, ())
    assert found.sure and found.block == block and found.layer is None


def test_a_line_is_a_layer_still() -> None:
    assert meanings("dense 10", ())[0].layer is not None
    assert meanings("conv 16", ())[0].layer is not None
    assert meanings("resid", ())[-1].block == Block("residual")


@pytest.mark.parametrize("line", ["residual block 3x3", "inception s2", "residual 0"])
def test_what_cannot_be_read_is_said(line: str) -> None:
    (found,) = meanings(line, ())
    assert found.block is None and "expected" in found.text


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_one_entry_behind_the_selection(bench: Any, kind: str) -> None:
    c, document = bench.controller, bench.document
    before, layout, count = document.graph, dict(document.layout), c.undo_stack.count()
    c.select({"relu1"})
    c.adding.append_block(Block(kind, 4))
    assert document.inference.valid and not bench.notices
    assert c.undo_stack.count() == count + 1
    new = {n.id for n in document.graph.nodes} - before.by_id.keys()
    assert document.selection == new and document.graph.node("flatten1").inputs[0][0] in new
    c.undo()
    assert document.graph == before and document.layout == layout


def test_blocks_stand_one_behind_the_other_and_layers_behind_them(bench: Any) -> None:
    c, document = bench.controller, bench.document
    c.select({"relu1"})
    c.adding.append_block(Block("residual", 4))
    c.adding.append_block(Block("residual", 8, 2))
    assert document.graph.node("block2/conv1").inputs == (("block1/relu2", 0),)
    c.adding.append_layer(document.graph.node("relu1").layer)
    (name,) = document.selection
    assert document.graph.node(name).inputs == (("block2/relu2", 0),)


def test_places_made_by_hand_stay_and_those_below_make_room(bench: Any) -> None:
    c, document = bench.controller, bench.document
    names = ("image", "conv1", "relu1", "flatten1", "linear1", "loss")
    c.arranging.move({name: (0.0, 180.0 * i) for i, name in enumerate(names)})
    c.arranging.move({"conv1": (-400.0, 30.0)})
    c.select({"relu1"})
    above = document.layout["relu1"]
    c.adding.append_block(Block("conv-bn-relu", 4))
    layout = document.layout
    assert layout["conv1"] == (-400.0, 30.0) and layout["relu1"] == above
    column = [layout[n] for n in ("relu1", "block1/conv", "block1/bn", "block1/relu", "flatten1")]
    assert [y for _, y in column] == sorted(y for _, y in column)
    assert len(set(layout.values())) == len(layout)


def test_behind_numbers_it_says_what_is_expected(bench: Any) -> None:
    c, before = bench.controller, bench.document.graph
    c.select({"linear1"})
    c.adding.append_block(Block("residual"))
    assert "expected maps" in bench.notices[-1].text and bench.document.graph == before


@pytest.fixture
def window(qtbot: QtBot, qapp: QApplication, tmp_path: Path) -> Iterator[Window]:
    theme.apply(qapp)
    window = Window(Settings(tmp_path / "settings.json"))
    qtbot.addWidget(window)
    window.resize(1280, 800)
    window.show()
    window.activateWindow()
    qtbot.waitUntil(window.isActiveWindow)
    window.controller.projects.new()
    yield window
    window.close()


def test_a_small_residual_network_is_typed(window: Window) -> None:
    QTest.keyClick(window.canvas, Qt.Key.Key_K, Qt.KeyboardModifier.ControlModifier)
    QApplication.processEvents()
    box = QApplication.focusWidget()
    assert box is not None
    for line in ("conv-bn-relu 4", "residual 4", "residual 8 s2", "gap", "flatten", "fc 10"):
        QTest.keyClicks(box, line)
        QTest.keyClick(box, Qt.Key.Key_Return)
        QApplication.processEvents()
    QTest.keyClick(box, Qt.Key.Key_Escape)
    document = window.document
    assert document.inference.valid
    assert document.graph.losses[0].input == ("fc1", 0)
    assert {n.id.split("/")[0] for n in document.graph.nodes} >= {"block1", "block2", "block3"}
    assert document.trace is not None
