"""The bar of messages: what it says, for how long, and that it can be closed."""

from __future__ import annotations

import pytest
from PySide6.QtCore import Qt, QTimer
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QLabel, QToolButton, QVBoxLayout, QWidget
from pytestqt.qtbot import QtBot

from explorer.notices import NoticeBar


@pytest.fixture
def window(qtbot: QtBot) -> QWidget:
    window = QWidget()
    qtbot.addWidget(window)
    window.resize(420, 300)
    window.show()
    return window


@pytest.fixture
def bar(window: QWidget) -> NoticeBar:
    """A bar at the top of a small window, as above the canvas."""
    column = QVBoxLayout(window)
    bar = NoticeBar(window)
    column.addWidget(bar)
    column.addStretch(1)
    return bar


def labels(bar: NoticeBar) -> tuple[QLabel, QLabel]:
    """(icon, text)."""
    icon, text = bar.findChildren(QLabel)
    return icon, text


def timer(bar: NoticeBar) -> QTimer:
    (found,) = bar.findChildren(QTimer)
    return found


def test_it_is_not_there_until_there_is_something_to_say(bar: NoticeBar) -> None:
    assert not bar.isVisible() and bar.text == ""


@pytest.mark.parametrize(
    ("level", "stays"),
    [("info", False), ("success", False), ("note", True), ("warning", True), ("error", True)],
)
def test_good_news_goes_by_itself_and_bad_news_stays(
    bar: NoticeBar, level: str, stays: bool
) -> None:
    bar.show_notice(level, "Saved mine.gflow.")
    assert bar.isVisible() and bar.text == "Saved mine.gflow."
    assert bar.accessibleName() == "Saved mine.gflow."
    assert timer(bar).isActive() is not stays
    if not stays:
        assert 3000 <= timer(bar).interval() <= 15000


def test_a_message_that_stays_replaces_one_that_goes(bar: NoticeBar) -> None:
    bar.show_notice("success", "Saved.")
    bar.show_notice("error", "notes.png: expected a picture, received text.")
    assert not timer(bar).isActive()
    assert bar.text.startswith("notes.png")
    bar.show_notice("info", "Here is the next one.")
    assert timer(bar).isActive() and bar.text == "Here is the next one."


def test_the_time_ends_and_the_bar_is_gone(bar: NoticeBar, qtbot: QtBot) -> None:
    bar.show_notice("success", "Saved.")
    timer(bar).setInterval(1)
    qtbot.waitUntil(lambda: not bar.isVisible(), timeout=1000)
    assert bar.text == ""


def test_its_button_closes_it(bar: NoticeBar) -> None:
    bar.show_notice("error", "It did not work.")
    (close,) = bar.findChildren(QToolButton)
    assert close.accessibleName()
    QTest.mouseClick(close, Qt.MouseButton.LeftButton)
    assert not bar.isVisible() and bar.text == ""


def test_each_level_has_an_icon_of_its_own(bar: NoticeBar) -> None:
    seen = set()
    for level in ("info", "success", "warning", "error"):
        bar.show_notice(level, "text")
        image = labels(bar)[0].pixmap().toImage()
        assert not image.isNull()
        seen.add(bytes(image.constBits()))
    assert len(seen) == 4


def test_markup_of_a_file_name_is_shown_as_it_is(bar: NoticeBar) -> None:
    bar.show_notice("error", "<b>bold</b>.gflow: expected a project")
    assert labels(bar)[1].textFormat() == Qt.TextFormat.PlainText
    assert labels(bar)[1].text() == "<b>bold</b>.gflow: expected a project"


def test_a_long_message_wraps_and_is_not_cut(bar: NoticeBar, qtbot: QtBot) -> None:
    bar.show_notice("error", "One line.")
    one = bar.height()
    bar.show_notice("error", "expected a number of channels that the groups divide, received " * 5)
    qtbot.waitUntil(lambda: bar.height() > 2 * one, timeout=1000)
    text = labels(bar)[1]
    assert text.height() >= text.heightForWidth(text.width())
    assert bar.width() <= 420
