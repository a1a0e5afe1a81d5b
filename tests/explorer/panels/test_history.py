"""The list of edits: named, clickable, and where the network stands."""

from __future__ import annotations

from dataclasses import dataclass

from PySide6.QtCore import Qt
from PySide6.QtGui import QUndoCommand, QUndoStack
from PySide6.QtTest import QTest
from pytestqt.qtbot import QtBot
from shiboken6 import delete

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


@dataclass(frozen=True)
class Kept:
    number: int
    text: str
    index: int


def test_weights_stand_behind_the_edit_after_which_they_were_kept(qtbot: QtBot) -> None:
    stack = QUndoStack()
    panel = HistoryPanel(stack)
    qtbot.addWidget(panel)
    panel.resize(320, 200)
    panel.show()
    asked: list[int] = []
    panel.weights_requested.connect(asked.append)
    for text in ("Insert conv1", "Set stride to 2"):
        stack.push(QUndoCommand(text))
    panel.set_marks((Kept(1, "Weights before training, 14:02", 1),))
    model = panel.model()

    def texts() -> list[str]:
        return [model.index(row, 0).data() for row in range(model.rowCount())]

    assert texts() == [
        *("As it was opened", "Insert conv1"),
        *("Weights before training, 14:02", "Set stride to 2"),
    ]
    at = panel.visualRect(model.index(2, 0)).center()
    QTest.mouseClick(panel.viewport(), Qt.MouseButton.LeftButton, pos=at)
    assert asked == [1] and stack.index() == 2 and panel.currentIndex().row() == 3
    QTest.keyClick(panel, Qt.Key.Key_Up)
    QTest.keyClick(panel, Qt.Key.Key_Return)
    assert asked == [1, 1]
    # Edits that are undone stay in the list, in another colour, until another takes their place.
    stack.undo()
    muted = model.index(3, 0).data(Qt.ItemDataRole.ForegroundRole)
    assert muted is not None and model.index(1, 0).data(Qt.ItemDataRole.ForegroundRole) is None
    stack.undo()
    stack.push(QUndoCommand("Delete relu1"))
    assert texts() == ["As it was opened", "Delete relu1", "Weights before training, 14:02"]


def test_the_end_of_the_stack_is_no_error(qtbot: QtBot) -> None:
    """At the end of the program it empties itself while the panel is still there."""
    stack = QUndoStack()
    stack.push(QUndoCommand("Insert conv1"))
    panel = HistoryPanel(stack)
    qtbot.addWidget(panel)
    panel.show()
    with qtbot.capture_exceptions() as caught:
        delete(stack)
    assert caught == []
