"""Presentation: a clicker steps, Escape and a workspace lead out, and a way out is told."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QToolBar
from pytestqt.qtbot import QtBot

from explorer import theme
from explorer.settings import Settings
from explorer.window import Window


@pytest.fixture
def window(qtbot: QtBot, qapp: QApplication, tmp_path: Path) -> Iterator[Window]:
    theme.apply(qapp)
    window = Window(Settings(tmp_path / "settings.json"))
    qtbot.addWidget(window)
    window.resize(1280, 720)
    window.controller.start(None)
    window.show()
    window.activateWindow()
    qtbot.waitUntil(window.isActiveWindow)
    yield window
    theme.theme().set_presentation(False)
    window.close()


def press(window: Window, key: Qt.Key) -> None:
    QTest.keyClick(window.canvas, key)
    QApplication.processEvents()


def test_page_keys_step_only_while_presenting(window: Window) -> None:
    start = window.document.position
    press(window, Qt.Key.Key_PageDown)
    assert window.document.position == start
    window.actions_by_id["view.presentation"].trigger()
    assert "Escape" in window.notices.text
    press(window, Qt.Key.Key_PageDown)
    press(window, Qt.Key.Key_PageDown)
    assert window.document.position == start + 2
    press(window, Qt.Key.Key_PageUp)
    assert window.document.position == start + 1


def test_escape_ends_the_presentation(window: Window) -> None:
    window.actions_by_id["view.presentation"].trigger()
    assert window.menuBar().isHidden()
    press(window, Qt.Key.Key_Escape)
    assert not window.actions_by_id["view.presentation"].isChecked()
    assert window.menuBar().isVisible() and window.docks["inspector"].isVisible()
    assert window.notices.text == ""


def test_a_workspace_ends_the_presentation(window: Window) -> None:
    window.actions_by_id["view.presentation"].trigger()
    window.actions_by_id["view.build"].trigger()
    assert not window.actions_by_id["view.presentation"].isChecked()
    assert window.menuBar().isVisible() and window.docks["layers"].isVisible()
    assert not window.docks["timeline"].isVisible()


def test_a_new_network_has_the_layers_at_hand(window: Window) -> None:
    window.actions_by_id["file.new"].trigger()
    assert window.docks["layers"].isVisible()
    assert "Drag a layer" in window.narration.sentence.text
    window.controller.select({"loss"})
    assert window.properties.card is not None
    window.properties.card.fix_requested.emit(
        window.document.inference.errors["loss"].fixes[0]  # type: ignore[attr-defined]
    )
    assert not window.document.inference.errors
    assert [type(n.layer).__name__ for n in window.document.graph.nodes] == ["Flatten"]


def test_every_workspace_and_the_help_have_a_button_in_the_smallest_window(
    window: Window, qtbot: QtBot
) -> None:
    bar = window.findChild(QToolBar, "main-toolbar")
    assert bar is not None
    window.resize(window.minimumSize())
    for command in ("view.build", "view.learn", "help.shortcuts"):
        button = bar.widgetForAction(window.actions_by_id[command])
        qtbot.waitUntil(lambda button=button: button.isVisible())
    assert not window.toolbar.speed.isVisible()

    def lines() -> int:
        return sum(a.isSeparator() and a.isVisible() for a in bar.actions())

    assert lines() == 1  # none is left where the speed was
    window.resize(1400, 800)
    qtbot.waitUntil(window.toolbar.speed.isVisible)
    assert lines() == 2 and "Speed of playing: 2 op" in window.toolbar.speed.toolTip()


def test_the_status_counts_problems_as_the_panel_calls_them(window: Window) -> None:
    assert "problem" not in window.status.text.text()
    window.controller.projects.new()
    assert window.status.text.text().endswith(" · 1 problem")
    found = window.document.inference
    twice = replace(found, errors={**found.errors, "again": found.errors["loss"]})
    window.status.set_network({}, twice)
    assert window.status.text.text().endswith(" · 2 problems")


def draw_a_line(window: Window) -> None:
    pad = window.sample_bar.popup.pad
    middle = pad.rect().center()
    QTest.mousePress(pad, Qt.MouseButton.LeftButton, pos=middle - QPoint(0, 60))
    for step in range(1, 7):
        QTest.mouseMove(pad, middle - QPoint(0, 60 - 20 * step))
    QTest.mouseRelease(pad, Qt.MouseButton.LeftButton, pos=middle + QPoint(0, 60))
    QApplication.processEvents()


def open_pad(window: Window, qtbot: QtBot) -> None:
    QTest.keyClick(window.canvas, Qt.Key.Key_D, Qt.KeyboardModifier.ControlModifier)
    qtbot.waitUntil(window.sample_bar.popup.isVisible)


@pytest.mark.parametrize("where", ["pad", "button", "canvas"])
def test_escape_closes_the_pad_and_then_ends_the_presentation(
    window: Window, qtbot: QtBot, where: str
) -> None:
    presentation = window.actions_by_id["view.presentation"]
    presentation.trigger()
    open_pad(window, qtbot)
    popup = window.sample_bar.popup
    draw_a_line(window)
    place = {"pad": popup.pad, "button": popup.undo, "canvas": window.canvas}[where]
    QTest.keyClick(place, Qt.Key.Key_Escape)
    assert not popup.isVisible() and presentation.isChecked()
    press(window, Qt.Key.Key_Escape)
    assert not presentation.isChecked()


def test_escape_closes_the_pad_from_anywhere_without_a_presentation(
    window: Window, qtbot: QtBot
) -> None:
    open_pad(window, qtbot)
    QTest.keyClick(window.timeline, Qt.Key.Key_Escape)
    assert not window.sample_bar.popup.isVisible()
    assert not window.sample_bar.draw.isChecked()
    press(window, Qt.Key.Key_Escape)  # the canvas's own key again
    assert window.isVisible()


def test_an_open_pad_does_not_stop_a_presentation_from_ending(window: Window, qtbot: QtBot) -> None:
    open_pad(window, qtbot)
    window.actions_by_id["view.presentation"].trigger()
    press(window, Qt.Key.Key_Escape)
    assert not window.sample_bar.popup.isVisible()
    press(window, Qt.Key.Key_Escape)
    assert not window.actions_by_id["view.presentation"].isChecked()


@pytest.mark.parametrize("command", ["file.new", "file.resnet_digits"])
def test_another_network_puts_the_pad_away(window: Window, qtbot: QtBot, command: str) -> None:
    open_pad(window, qtbot)
    window.actions_by_id[command].trigger()
    assert not window.sample_bar.popup.isVisible()


def test_the_pad_is_empty_when_another_picture_is_read(window: Window, qtbot: QtBot) -> None:
    open_pad(window, qtbot)
    draw_a_line(window)
    pad = window.sample_bar.popup.pad
    window.sample_bar.target_requested.emit(4)  # another answer, the same drawing
    assert len(pad.drawing.strokes) == 1
    assert window.document.sample is not None and window.document.sample.drawing == pad.drawing
    QTest.keyClick(window.canvas, Qt.Key.Key_Escape)
    open_pad(window, qtbot)
    assert len(pad.drawing.strokes) == 1
    window.actions_by_id["sample.next"].trigger()
    assert pad.drawing.strokes == () and window.sample_bar.popup.verdict.text() == ""
    draw_a_line(window)
    assert len(window.document.sample.drawing.strokes) == 1


def test_a_presentation_shows_the_answer_in_large_type(window: Window, qtbot: QtBot) -> None:
    answer = window.sample_bar.answer
    before = answer.font().pixelSize()
    window.actions_by_id["view.presentation"].trigger()
    press(window, Qt.Key.Key_End)
    window.actions_by_id["step.end"].trigger()
    assert "Network: 7 (" in answer.text() and answer.isVisible()
    assert answer.font().pixelSize() >= 32 > before
    words = answer.fontMetrics().horizontalAdvance(answer.text())
    qtbot.waitUntil(lambda: answer.width() >= words)
    bar = window.sample_bar
    assert not any(w.isVisible() for w in (bar.previous, bar.next, bar.origin, bar.draw))
    assert not bar.target.isVisible()
    open_pad(window, qtbot)
    draw_a_line(window)
    verdict = bar.popup.verdict
    assert verdict.isVisible() and verdict.text() == answer.text() != ""
    assert verdict.text().startswith("Network: ") and verdict.font().pixelSize() >= 32
    area = bar.popup.rect()
    assert area.contains(verdict.geometry()) and area.contains(bar.popup.done.geometry())
    press(window, Qt.Key.Key_Escape)
    press(window, Qt.Key.Key_Escape)
    assert bar.draw.isVisible() and bar.target.isVisible() and bar.next.isVisible()
    assert answer.font().pixelSize() == before


@pytest.mark.parametrize("first", ["N", "timeline", "canvas"])
def test_the_first_hint_stays_away_once_it_was_followed(
    window: Window, tmp_path: Path, first: str
) -> None:
    window.actions_by_id["view.presentation"].trigger()
    press(window, Qt.Key.Key_Escape)
    assert window.hint.isVisible()  # nothing was done yet
    if first == "N":
        press(window, Qt.Key.Key_N)
    elif first == "timeline":
        place = window.timeline.rect_of(3).center().toPoint()
        QTest.mouseClick(window.timeline, Qt.MouseButton.LeftButton, pos=place)
    else:
        window.canvas.next_requested.emit()
    assert not window.hint.isVisible()
    window.actions_by_id["view.presentation"].trigger()
    press(window, Qt.Key.Key_Escape)
    assert not window.hint.isVisible()
    assert Settings(tmp_path / "settings.json")["hint_seen"]


@pytest.mark.parametrize("command", ["file.new", "file.resnet_digits", "edit.delete"])
def test_the_first_hint_speaks_of_no_other_network(window: Window, command: str) -> None:
    assert window.hint.isVisible()
    window.controller.select({"relu1"})
    window.actions_by_id[command].trigger()
    assert not window.hint.isVisible()
    window.actions_by_id["view.presentation"].trigger()
    press(window, Qt.Key.Key_Escape)
    assert not window.hint.isVisible()


def test_looking_inside_shows_its_panel_until_it_is_left(window: Window) -> None:
    window.actions_by_id["view.presentation"].trigger()
    press(window, Qt.Key.Key_PageUp)
    assert window.docks["inside"].isHidden()
    press(window, Qt.Key.Key_F11)
    assert window.document.inside is not None and window.docks["inside"].isVisible()
    press(window, Qt.Key.Key_PageDown)
    assert window.document.inside is not None and window.docks["inside"].isVisible()
    assert window.docks["inspector"].isHidden()
    window.controller.stepping.finish()
    while window.document.inside is not None:
        window.controller.stepping.finish()
    assert window.docks["inside"].isHidden()
    press(window, Qt.Key.Key_Escape)
    assert not window.actions_by_id["view.presentation"].isChecked()
