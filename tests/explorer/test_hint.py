"""The hint of the first minute: buttons of real commands, and a way to be rid of it."""

from __future__ import annotations

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QAction
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QToolButton
from pytestqt.qtbot import QtBot

from explorer.hint import Hint


@pytest.fixture
def pressed() -> list[str]:
    return []


@pytest.fixture
def hint(qtbot: QtBot, pressed: list[str]) -> Hint:
    actions = []
    for name, text in (("step.next", "Next operation"), ("sample.draw", "Draw your own digit")):
        action = QAction(text)
        action.setObjectName(name)
        action.setToolTip(f"{text} (a key)")
        action.triggered.connect(lambda _=False, name=name: pressed.append(name))
        actions.append(action)
    hint = Hint(tuple(actions))
    hint.actions_of_test = actions  # a QAction without a parent lives as long as it is held
    qtbot.addWidget(hint)
    hint.show()
    return hint


def button(hint: Hint, name: str) -> QToolButton:
    found = hint.findChild(QToolButton, name)
    assert isinstance(found, QToolButton)
    return found


def test_its_buttons_are_the_commands(hint: Hint, pressed: list[str]) -> None:
    draw = button(hint, "hint.sample.draw")
    assert draw.text() == "Draw your own digit" and draw.toolTip() == "Draw your own digit (a key)"
    QTest.mouseClick(draw, Qt.MouseButton.LeftButton)
    QTest.mouseClick(button(hint, "hint.step.next"), Qt.MouseButton.LeftButton)
    assert pressed == ["sample.draw", "step.next"]
    assert hint.isVisible()


def test_closing_hides_it_and_says_so(hint: Hint, qtbot: QtBot, pressed: list[str]) -> None:
    with qtbot.waitSignal(hint.closed, timeout=1000):
        QTest.mouseClick(button(hint, "hint.close"), Qt.MouseButton.LeftButton)
    assert not hint.isVisible()
    assert pressed == []


def test_the_keyboard_reaches_every_button(hint: Hint, pressed: list[str]) -> None:
    close = button(hint, "hint.close")
    assert close.accessibleName()
    for child in hint.findChildren(QToolButton):
        assert child.text() or child.accessibleName()
        assert child.toolTip()
    QTest.keyClick(button(hint, "hint.step.next"), Qt.Key.Key_Space)
    assert pressed == ["step.next"]


def test_everything_in_it_fits(hint: Hint) -> None:
    hint.adjustSize()
    for child in hint.findChildren(QToolButton):
        assert hint.rect().contains(child.geometry())
        assert child.width() >= child.sizeHint().width()
