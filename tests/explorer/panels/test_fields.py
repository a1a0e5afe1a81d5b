"""The editors of hyper-parameters: what they say of a number, and where it stands."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtGui import QColor
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QComboBox, QVBoxLayout, QWidget
from pytestqt.qtbot import QtBot

from engine.layers.base import HyperField
from explorer import theme
from explorer.panels.fields import Field, IntegerField, NumberBox, SizeField, field_for


def described(kind: str, unit: str = "", choices: tuple[str, ...] = ()) -> HyperField:
    return HyperField("size", kind, 8, 0, 100, unit, "", choices)


def test_one_is_one_cell(qtbot: QtBot) -> None:
    for kind in ("int", "int | tuple[int, int]"):
        field = field_for(described(kind, "cells"))
        qtbot.addWidget(field)
        box = field.boxes()[0]
        assert isinstance(box, NumberBox)
        field.set_value(1)
        assert box.text() == "1 cell" and field.value() == 1
        field.set_value(3)
        assert box.text() == "3 cells" and field.value() == 3
        box.stepBy(-2)
        assert box.text() == "1 cell" and field.value() == 1
        box.selectAll()
        QTest.keyClicks(box, "0")
        assert field.value() == 0
        QTest.keyClick(box, Qt.Key.Key_Return)
        assert box.text() == "0 cells" and field.value() == 0
        box.selectAll()
        QTest.keyClicks(box, "1")
        assert field.value() == 1
        QTest.keyClick(box, Qt.Key.Key_Return)
        assert box.text() == "1 cell"


def test_a_number_for_each_side_has_its_word_and_no_unit(qtbot: QtBot) -> None:
    field = SizeField(described("int | tuple[int, int]", "cells"))
    qtbot.addWidget(field)
    field.set_value((1, 3))
    assert [box.text() for box in field.numbers[:2]] == ["1", "3"]
    field.set_value(1)
    assert field.numbers[0].text() == "1 cell"


def test_texts_of_all_editors_begin_at_the_same_place(qtbot: QtBot, qapp: QApplication) -> None:
    theme.set_mode("light")
    theme.apply(qapp)
    host = QWidget()
    qtbot.addWidget(host)
    column = QVBoxLayout(host)
    fields: list[Field] = [
        IntegerField(described("int")),
        IntegerField(described("int", "cells")),
        *(field_for(described(kind)) for kind in ("float", "tuple[int, ...]", "str")),
        SizeField(described("int | tuple[int, int]")),
        field_for(described("str", choices=("8", "9"))),
    ]
    for field in fields:
        value = field.value()
        field.set_value((8,) if isinstance(value, tuple) else "8" if value in ("", "8") else 8)
        column.addWidget(field)
    host.resize(300, 400)
    host.show()
    host.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
    host.setFocus()
    starts = {}
    for i, field in enumerate(fields):
        box = field.boxes()[0]
        box.clearFocus()
        assert isinstance(box, QComboBox) or box.isVisible()
        image = box.grab().toImage()
        dark = QColor(theme.current().text)
        for x in range(4, image.width()):
            ys = range(8, image.height() - 8)
            if any(abs(image.pixelColor(x, y).lightness() - dark.lightness()) < 90 for y in ys):
                starts[i, type(field).__name__] = x
                break
    assert len(starts) == len(fields) and max(starts.values()) - min(starts.values()) <= 1, starts
