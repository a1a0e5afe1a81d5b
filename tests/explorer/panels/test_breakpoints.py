"""The list of breakpoints is switched, added to and cleared by mouse and keys."""

from __future__ import annotations

import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QComboBox
from pytestqt.qtbot import QtBot

from explorer.breakpoints import Breakpoint
from explorer.panels import Breakpoints

NODE = Breakpoint("node", "conv1")
SMALL = Breakpoint("gradient below", limit=1e-6)


@pytest.fixture
def panel(qtbot: QtBot) -> Breakpoints:
    panel = Breakpoints()
    qtbot.addWidget(panel)
    panel.resize(880, 140)
    panel.set_nodes(("conv1", "relu1", "loss"))
    panel.change_requested.connect(panel.set_breakpoints)  # as the document answers
    panel.show()
    return panel


def choose(box: QComboBox, text: str) -> None:
    box.setFocus()
    box.setCurrentIndex(box.findText(text))


def click(widget: object) -> None:
    QTest.mouseClick(widget, Qt.MouseButton.LeftButton)


def test_empty_it_says_what_to_do(panel: Breakpoints) -> None:
    assert panel.empty.isVisible() and "F9" in panel.empty.text()
    assert not panel.list.isVisible() and not panel.clear.isEnabled()


def test_each_kind_is_added_from_the_form(panel: Breakpoints) -> None:
    click(panel.add)
    choose(panel.kind, "Layer")
    choose(panel.where, "relu1")
    choose(panel.phase, "Send blame back")
    assert not panel.limit.isVisible()
    click(panel.add)
    choose(panel.kind, "Share of zeros above")
    assert panel.where.currentText() == "relu1"
    choose(panel.where, "anywhere")
    assert panel.limit.text() == "50" and panel.unit.text() == "%"
    panel.limit.selectAll()
    QTest.keyClicks(panel.limit, "87,5")
    QTest.keyClick(panel.limit, Qt.Key.Key_Return)
    choose(panel.kind, "Phase")
    choose(panel.phase, "Add up")
    click(panel.add)
    choose(panel.kind, "NaN or infinity")
    click(panel.add)
    click(panel.add)  # one is enough
    assert panel.breakpoints == (
        SMALL,
        Breakpoint("node", "relu1", "backward"),
        Breakpoint("zeros above", limit=0.875),
        Breakpoint("phase", phase="accumulate"),
        Breakpoint("not finite"),
    )
    texts = [panel.list.item(i).text() for i in range(panel.list.count())]
    assert texts[:3] == [
        "‖gradient‖ < 1e−6, anywhere",
        "relu1, Send blame back",
        "More than 87.5% of a value is zero, anywhere",
    ]


@pytest.mark.parametrize("typed", ["", "small", "-1", "nan", "inf"])
def test_a_limit_that_is_no_number_is_marked(panel: Breakpoints, typed: str) -> None:
    panel.limit.selectAll()
    QTest.keyClick(panel.limit, Qt.Key.Key_Delete)
    QTest.keyClicks(panel.limit, typed)
    click(panel.add)
    assert panel.breakpoints == () and panel.limit.property("invalid")
    assert "1e-6" in panel.limit.toolTip()
    QTest.keyClick(panel.limit, Qt.Key.Key_Backspace)
    QTest.keyClicks(panel.limit, "1")
    assert not panel.limit.property("invalid")


def test_one_is_switched_off_by_its_box(panel: Breakpoints) -> None:
    panel.set_breakpoints((NODE, SMALL))
    rect = panel.list.visualItemRect(panel.list.item(1))
    box = QPoint(rect.left() + 14, rect.center().y())
    QTest.mouseClick(panel.list.viewport(), Qt.MouseButton.LeftButton, pos=box)
    assert [p.on for p in panel.breakpoints] == [True, False]


def test_one_is_removed_by_key_and_all_by_button(panel: Breakpoints) -> None:
    panel.set_breakpoints((NODE, SMALL, Breakpoint("not finite")))
    panel.list.setFocus()
    panel.list.setCurrentRow(1)
    QTest.keyClick(panel.list, Qt.Key.Key_Delete)
    assert panel.breakpoints == (NODE, Breakpoint("not finite"))
    assert panel.list.currentRow() == 1
    click(panel.clear)
    assert panel.breakpoints == () and panel.empty.isVisible()


def test_enter_selects_the_layer(panel: Breakpoints) -> None:
    panel.set_breakpoints((NODE, SMALL))
    asked: list[object] = []
    panel.select_requested.connect(asked.append)
    panel.list.setFocus()
    panel.list.setCurrentRow(0)
    QTest.keyClick(panel.list, Qt.Key.Key_Return)
    assert asked == [frozenset({"conv1"})]
