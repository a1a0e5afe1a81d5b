"""The hint of the first minute: buttons of real commands, and a way to be rid of it."""

from __future__ import annotations

from pathlib import Path

import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtGui import QAction
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QToolButton, QWidget
from pytestqt.qtbot import QtBot

from explorer import theme
from explorer.hint import Hint
from explorer.settings import Settings
from explorer.window import Window


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


def test_what_it_offers_looks_as_if_it_can_be_pressed(hint: Hint, qapp: QApplication) -> None:
    """A frame stands around each offer, and none around the cross."""
    theme.apply(qapp)
    hint.adjustSize()

    def framed(name: str) -> bool:
        image = button(hint, name).grab().toImage()
        edge = image.pixelColor(0, image.height() // 2)
        return edge.name() in (theme.current().border_strong, theme.current().accent)

    button(hint, "hint.step.next").setFocus()  # which one has the keyboard makes no difference
    assert framed("hint.step.next") and framed("hint.sample.draw")
    assert not framed("hint.close")


@pytest.mark.parametrize("size", [(1024, 680), (1280, 720)])
def test_it_leads_to_the_lessons(
    qtbot: QtBot, qapp: QApplication, tmp_path: Path, size: tuple[int, int]
) -> None:
    theme.apply(qapp)
    window = Window(Settings(tmp_path / "settings.json"))
    qtbot.addWidget(window)
    window.resize(*size)
    window.show()
    window.controller.start(None)
    qtbot.waitUntil(window.hint.isVisible)
    offer = button(window.hint, "hint.view.learn")
    assert offer.text() == "Take a lesson"
    assert window.hint.rect().contains(offer.geometry())
    little = theme.metrics().strip_height + theme.metrics().space_2
    qtbot.waitUntil(lambda: window.hint.height() <= little)  # the canvas has the rest
    QTest.mouseClick(offer, Qt.MouseButton.LeftButton)
    assert window.settings["workspace"] == "learn" and not window.hint.isVisible()
    window.close()


def test_where_there_is_little_room_the_buttons_stand_below_the_words(
    hint: Hint, pressed: list[str], qtbot: QtBot
) -> None:
    hint.resize(900, 40)
    step = button(hint, "hint.step.next")

    def top(widget: QWidget) -> int:
        return widget.mapTo(hint, QPoint(0, 0)).y()

    qtbot.waitUntil(lambda: top(step) < hint.words.geometry().bottom())
    hint.resize(hint.minimumSizeHint().width(), 80)
    qtbot.waitUntil(lambda: top(step) > hint.words.geometry().bottom())
    words = hint.words.fontMetrics().horizontalAdvance(hint.words.text())
    assert hint.words.width() >= min(words, hint.width() // 2)
    assert all(b.rect().width() >= b.sizeHint().width() for b in hint.buttons)
    QTest.mouseClick(step, Qt.MouseButton.LeftButton)
    assert pressed == ["step.next"]
    hint.resize(900, 40)
    qtbot.waitUntil(lambda: top(step) < hint.words.geometry().bottom())
