"""The bar shows the picture and the answer, and asks for others."""

import numpy as np
from PySide6.QtCore import QEvent, QPoint, Qt
from PySide6.QtGui import QColor
from PySide6.QtWidgets import QApplication

from explorer import theme
from explorer.panels import SampleBar
from explorer.panels.sample_bar import GUESS

IMAGE = np.zeros((1, 4, 4), np.float32)
IMAGE[0, 0, 0] = 1


def shown(qtbot):
    bar = SampleBar()
    qtbot.addWidget(bar)
    bar.resize(900, 70)
    bar.set_labels(tuple("0123456789"))
    bar.show()
    return bar


def test_picture_and_answer(qtbot):
    bar = shown(qtbot)
    bar.set_sample(IMAGE, 7, (7, 0.983), "drawn digit seven")
    assert bar.answer.text() == "✓ Network: 7 (98.3%)"
    assert bar.origin.text() == "drawn digit seven"
    image = bar.thumbnail.grab().toImage()
    side = image.width() / 4
    assert image.pixelColor(int(side / 2), int(side / 2)) == QColor("#ffffff")
    assert image.pixelColor(int(2.5 * side), int(2.5 * side)) == QColor("#000000")
    bar.set_sample(IMAGE, 7, (1, 0.5), "")
    assert bar.answer.text() == "✗ Network: 1 (50%), shows 7"
    bar.set_sample(IMAGE, None, (1, 0.5), "")
    assert bar.answer.text() == "Network: 1 (50%)"
    bar.set_sample(IMAGE, 7, None, "")
    assert bar.answer.text() == "Shows 7 · not predicted yet"
    bar.set_sample(None, None, None, "")
    assert "draw one" in bar.answer.text()


def test_buttons_ask_for_other_pictures(qtbot):
    bar = shown(qtbot)
    for button, signal in (
        (bar.previous, bar.previous_requested),
        (bar.next, bar.next_requested),
    ):
        with qtbot.waitSignal(signal):
            qtbot.mouseClick(button, Qt.MouseButton.LeftButton)


def test_the_right_answer_is_chosen_by_key_and_set_silently(qtbot):
    bar = shown(qtbot)
    asked = []
    bar.target_requested.connect(asked.append)
    bar.set_target(3)
    assert bar.target.currentText() == "Right answer: 3" and asked == []
    qtbot.keyClick(bar.target, Qt.Key.Key_Down)
    assert asked == [4]
    qtbot.keyClick(bar.target, Qt.Key.Key_Home)
    assert asked == [4, GUESS]
    bar.set_target(None)
    assert "its own guess" in bar.target.currentText()


def test_drawing_on_the_pad_is_handed_on(qtbot):
    bar = shown(qtbot)
    qtbot.mouseClick(bar.draw, Qt.MouseButton.LeftButton)
    pad = bar.popup.pad
    assert pad.isVisible()
    drawn = []
    bar.drawing_requested.connect(drawn.append)
    centre = pad.rect().center()
    qtbot.mousePress(pad, Qt.MouseButton.LeftButton, pos=centre - QPoint(0, 60))
    for step in range(1, 7):
        qtbot.mouseMove(pad, centre - QPoint(0, 60 - 20 * step))
    qtbot.mouseRelease(pad, Qt.MouseButton.LeftButton, pos=centre + QPoint(0, 60))
    assert len(drawn) == 1 and len(drawn[0].strokes) == 1
    qtbot.keyClick(pad, Qt.Key.Key_Escape)
    assert not bar.popup.isVisible() and not bar.draw.isChecked()


def test_the_answer_is_read_in_full_where_the_bar_is_narrow(qtbot):
    bar = shown(qtbot)
    bar.set_labels([str(i) for i in range(10)])
    bar.set_sample(IMAGE, 7, (1, 0.957), "drawn digit")
    words = bar.answer.fontMetrics().horizontalAdvance(bar.answer.text())
    for width in (1000, 780, 640):
        bar.resize(width, 56)
        qtbot.waitUntil(lambda: bar.answer.width() >= words)
        assert bar.draw.accessibleName() == "Draw your own digit"
    bar.resize(1000, 56)
    QApplication.sendEvent(bar.target, QEvent(QEvent.Type.StyleChange))
    bar.target.minimumSizeHint()  # Qt remembers it
    bar.resize(640, 56)
    qtbot.waitUntil(lambda: bar.answer.width() >= words)
    bar.resize(1000, 56)
    assert bar.draw.text() == "Draw your own digit"


def test_the_pin_asks_and_shows_what_was_granted(qtbot):
    bar = shown(qtbot)
    asked = []
    bar.pin_requested.connect(lambda: asked.append(True))
    qtbot.mouseClick(bar.pin, Qt.MouseButton.LeftButton)
    assert asked == [True] and not bar.pin.isChecked()  # until it is granted
    bar.set_pinned(True, "Ctrl+P")
    assert bar.pin.isChecked() and bar.pin.toolTip() == "Let go of the pinned picture (Ctrl+P)"
    qtbot.mouseClick(bar.pin, Qt.MouseButton.LeftButton)
    assert asked == [True, True] and bar.pin.isChecked()
    theme.theme().set_presentation(True)
    assert not bar.pin.isVisible()
    theme.theme().set_presentation(False)
    assert bar.pin.isVisible()


def test_where_the_bar_is_very_narrow_only_the_answer_keeps_its_words(qtbot):
    bar = shown(qtbot)
    theme.apply(QApplication.instance())
    bar.set_sample(IMAGE, 7, (7, 0.897), "drawn digit, smeared by a wet hand on a rainy day")
    bar.set_target(7)
    bar.resize(454, 56)
    qtbot.waitUntil(lambda: bar.width() == 454 and bar.answer.width() > 100)
    assert bar.answer.shown_text == bar.answer.text() == "✓ Network: 7 (89.7%)"
    assert bar.draw.text() == "" and bar.draw.width() >= bar.next.width()
    assert bar.target.shown_text in ("Right: 7", "7")
    assert bar.target.currentText() == "Right answer: 7"
    assert bar.origin.shown_text.endswith("…") and bar.origin.toolTip() == bar.origin.text()
    bar.resize(400, 56)
    qtbot.waitUntil(lambda: bar.answer.shown_text == "✓ 7 (89.7%)")
    bar.resize(bar.minimumSizeHint().width() + 50, 56)
    qtbot.waitUntil(lambda: bar.answer.shown_text.endswith("…"))
    assert "Network: 7 (89.7%)" in bar.answer.toolTip()
    bar.resize(454, 56)
    bar.set_sample(IMAGE, 7, (1, 0.5), "")
    qtbot.waitUntil(lambda: bar.answer.shown_text == "✗ 1 (50%), shows 7")
    bar.set_sample(IMAGE, 7, (7, 0.897), "")
    bar.resize(1000, 56)
    qtbot.waitUntil(lambda: bar.target.shown_text == "Right answer: 7")
    assert bar.draw.text() == "Draw your own digit"
    ink = bar.answer.grab().toImage()
    tones = {ink.pixelColor(x, y).name() for x in range(80) for y in range(ink.height())}
    assert theme.current().success in tones


def test_the_choice_in_few_words_names_what_is_chosen(qtbot):
    bar = shown(qtbot)
    bar.set_labels(("cat", "a very long name of a class that nobody can fit"))
    bar.set_sample(IMAGE, 0, (0, 0.5), "")
    bar.resize(430, 56)
    for index, seen in ((GUESS, "Own"), (0, "cat"), (1, "a very")):
        bar.set_target(None if index == GUESS else index)
        qtbot.waitUntil(lambda seen=seen: seen in bar.target.shown_text)
    assert bar.target.shown_text.endswith("…")
