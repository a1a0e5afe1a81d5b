"""The list of edits: named, clickable, and where the network stands."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtGui import QUndoCommand, QUndoStack
from PySide6.QtTest import QTest
from pytestqt.qtbot import QtBot

from explorer.panels import HistoryPanel


def test_a_click_goes_back_and_forth(qtbot: QtBot) -> None:
    stack = QUndoStack()
    for text in ("Insert conv1", "Set stride to 2", "Delete relu1"):
        stack.push(QUndoCommand(text))
    panel = HistoryPanel(stack)
    qtbot.addWidget(panel)
    panel.resize(240, 200)
    panel.show()
    qtbot.waitExposed(panel)
    model = panel.model()
    texts = [model.index(row, 0).data() for row in range(model.rowCount())]
    assert texts == ["As it was opened", "Insert conv1", "Set stride to 2", "Delete relu1"]
    assert panel.currentIndex().row() == 3

    def click(row: int) -> None:
        at = panel.visualRect(model.index(row, 0)).center()
        QTest.mouseClick(panel.viewport(), Qt.MouseButton.LeftButton, pos=at)

    click(1)
    assert stack.index() == 1 and stack.undoText() == "Insert conv1"
    click(0)
    assert stack.index() == 0
    click(3)
    assert stack.index() == 3
    stack.undo()
    assert panel.currentIndex().row() == 2
