"""Single keys step after whatever was done before, without a click on the canvas."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QFileDialog, QLineEdit, QWidget
from pytestqt.qtbot import QtBot

from engine.cell import Cell
from explorer import theme
from explorer.settings import Settings
from explorer.window import Window
from explorer.workspaces import WORKSPACES

CONTROL = Qt.KeyboardModifier.ControlModifier


@pytest.fixture
def window(qtbot: QtBot, qapp: QApplication, tmp_path: Path) -> Iterator[Window]:
    theme.apply(qapp)
    settings = Settings(tmp_path / "settings.json")
    settings.set("predict", "never")
    window = Window(settings)
    qtbot.addWidget(window)
    window.resize(1280, 720)
    window.controller.start(None)
    window.show()
    window.activateWindow()
    qtbot.waitUntil(window.isActiveWindow)
    window.controller.stepping.to_start()
    QApplication.processEvents()
    yield window
    window.close()


def type_key(key: Qt.Key, modifiers: Qt.KeyboardModifier = Qt.KeyboardModifier.NoModifier) -> None:
    """To what has the keyboard, as a keyboard does."""
    has: QWidget | None = QApplication.focusWidget() or QApplication.activeWindow()
    assert has is not None, "nothing has the keyboard"
    QTest.keyClick(has, key, modifiers)
    QApplication.processEvents()


def n_steps(window: Window, qtbot: QtBot) -> None:
    qtbot.waitUntil(window.isActiveWindow)
    before = window.document.position
    type_key(Qt.Key.Key_N)
    assert window.document.position == before + 1


@pytest.mark.parametrize("command", ["help.shortcuts", "help.about", "help.find", "file.export"])
def test_after_a_dialog(window: Window, qtbot: QtBot, command: str) -> None:
    window.actions_by_id[command].trigger()
    qtbot.waitUntil(
        lambda: (
            bool(QApplication.activePopupWidget())
            or QApplication.activeWindow() not in (None, window)
        )
    )
    type_key(Qt.Key.Key_Escape)
    n_steps(window, qtbot)


def test_after_a_file_dialog_that_was_given_up(
    window: Window, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    def give_up(*_: object) -> tuple[str, str]:
        window.canvas.clearFocus()  # the dialog had the keyboard
        return "", ""

    monkeypatch.setattr(QFileDialog, "getOpenFileName", give_up)
    type_key(Qt.Key.Key_O, CONTROL)
    n_steps(window, qtbot)


def test_after_the_pad_and_the_buttons_of_the_pictures(window: Window, qtbot: QtBot) -> None:
    type_key(Qt.Key.Key_D, CONTROL)
    qtbot.waitUntil(window.sample_bar.popup.isVisible)
    QTest.mouseClick(window.sample_bar.popup.done, Qt.MouseButton.LeftButton)
    n_steps(window, qtbot)
    QTest.mouseClick(window.sample_bar.next, Qt.MouseButton.LeftButton)
    n_steps(window, qtbot)


@pytest.mark.parametrize("name", WORKSPACES)
def test_after_a_switch_of_the_workspace(window: Window, qtbot: QtBot, name: str) -> None:
    window.panel("layers").setFocus()
    window.sample_bar.target.setFocus()
    window.actions_by_id[f"view.{name}"].trigger()
    n_steps(window, qtbot)


def test_after_another_network_was_opened(window: Window, qtbot: QtBot) -> None:
    window.sample_bar.target.setFocus()
    window.actions_by_id["file.resnet_digits"].trigger()
    qtbot.waitUntil(window.canvas.hasFocus)
    type_key(Qt.Key.Key_Home, CONTROL)
    n_steps(window, qtbot)


def click_link(window: Window, text: str) -> None:
    parts = window.narration.sentence.parts
    number = next(i for i, part in enumerate(parts) if part.text == text)
    words = window.narration.words
    at = words.rects_of(f"#{number}")[0].center().toPoint()
    QTest.mouseClick(words.viewport(), Qt.MouseButton.LeftButton, pos=at)
    QApplication.processEvents()


def test_after_a_click_on_a_number_of_the_sentence(window: Window, qtbot: QtBot) -> None:
    """W asks on, as the README's first minutes say, and the other keys work too."""
    stepping, asking = window.controller.stepping, window.controller.asking
    for _ in range(3):
        stepping.next()
    QApplication.processEvents()
    click_link(window, "5.54")
    first = asking.place
    assert first is not None and first.source == Cell("pool1", 0, (5, 5, 6))
    type_key(Qt.Key.Key_W)
    second = asking.place
    assert second is not None and second.source == Cell("relu1", 0, (5, 10, 12))
    type_key(Qt.Key.Key_W)
    assert asking.place is not None and asking.place.source == Cell("conv1", 0, (5, 10, 12))
    type_key(Qt.Key.Key_Backspace)
    assert asking.place == second
    n_steps(window, qtbot)
    click_link(window, "conv2")
    n_steps(window, qtbot)
    window.use_workspace("build")  # a sentence is nothing that is typed in
    assert window.focusWidget() is window.canvas


def test_to_the_start_and_where_the_keyboard_was_lost(window: Window, qtbot: QtBot) -> None:
    grid = window.inspector.output.forward_grid
    QTest.mouseClick(grid, Qt.MouseButton.LeftButton, pos=QPoint(40, 40))
    type_key(Qt.Key.Key_End, CONTROL)
    type_key(Qt.Key.Key_Home, CONTROL)
    n_steps(window, qtbot)
    has = QApplication.focusWidget()
    assert has is not None
    has.clearFocus()
    qtbot.waitUntil(window.canvas.hasFocus)
    n_steps(window, qtbot)


def test_a_field_that_is_typed_in_keeps_the_keyboard(window: Window, qtbot: QtBot) -> None:
    window.use_workspace("build")
    search = window.panel("layers").findChild(QLineEdit)
    assert search is not None
    search.setFocus()
    type_key(Qt.Key.Key_N)
    window.use_workspace("build")
    type_key(Qt.Key.Key_O)
    assert search.text() == "no" and window.document.position == 0
    window.use_workspace("step")  # the field is not in sight any more
    n_steps(window, qtbot)
