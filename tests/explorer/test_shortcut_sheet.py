"""The sheet of keys: all of the program's, from the table that makes them."""

from __future__ import annotations

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QKeySequence
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QTableWidget, QWidget
from pytestqt.qtbot import QtBot

from explorer import theme
from explorer.commands import COMMANDS, MENUS, key_table
from explorer.shortcut_sheet import ShortcutSheet


@pytest.fixture
def host(qtbot: QtBot, qapp: QApplication) -> QWidget:
    theme.apply(qapp)
    host = QWidget()
    qtbot.addWidget(host)
    host.show()
    return host


@pytest.fixture
def sheet(host: QWidget) -> ShortcutSheet:
    sheet = ShortcutSheet(host)
    sheet.show()
    return sheet


def text_of(table: QTableWidget, row: int) -> str:
    item = table.item(row, 0)
    return item.text() if item is not None else ""


def rows(sheet: ShortcutSheet) -> list[tuple[str, ...]]:
    table = sheet.table
    found = []
    for r in (r for rows in sheet.headings.values() for r in rows):
        items = [table.item(r, c) for c in range(3)]
        found.append(tuple(item.text() if item is not None else "" for item in items))
    return found


def test_every_key_of_every_command_is_on_it(sheet: ShortcutSheet) -> None:
    there = {(name, key) for name, key, _ in rows(sheet)}
    names = {c.id: c.text for c in COMMANDS}
    for key, command, _ in key_table():
        native = QKeySequence(key).toString(QKeySequence.SequenceFormat.NativeText)
        assert (names[command], native) in there


def test_no_cell_is_empty_and_no_row_twice(sheet: ShortcutSheet) -> None:
    found = rows(sheet)
    assert all(all(cell.strip() for cell in row) for row in found)
    assert len(set(found)) == len(found)


def test_a_key_has_one_meaning_in_one_place(sheet: ShortcutSheet) -> None:
    meanings: dict[tuple[str, str], set[str]] = {}
    for name, key, place in rows(sheet):
        meanings.setdefault((key, place), set()).add(name)
    assert {k: v for k, v in meanings.items() if len(v) > 1} == {}


def test_a_letter_is_not_said_to_work_everywhere(sheet: ShortcutSheet) -> None:
    """It would be stolen from text fields."""
    everywhere = {key for _, key, place in rows(sheet) if place == "everywhere"}
    assert everywhere
    assert not {k for k in everywhere if len(k.removeprefix("Shift+")) == 1}


def test_it_does_not_block_the_window_and_cannot_be_edited(sheet: ShortcutSheet) -> None:
    assert not sheet.isModal() and sheet.isVisible()
    item = sheet.table.item(1, 0)
    assert item is not None
    before = item.text()
    rect = sheet.table.visualItemRect(item)
    QTest.mouseDClick(sheet.table.viewport(), Qt.MouseButton.LeftButton, pos=rect.center())
    QTest.keyClicks(sheet.table, "x")
    assert item.text() == before and sheet.table.state() == sheet.table.State.NoState


def test_keys_stand_below_the_name_of_their_menu(sheet: ShortcutSheet) -> None:
    table = sheet.table
    titles = [text_of(table, heading) for heading in sheet.headings]
    assert titles == [
        *(title.replace("&", "") for menu, title in MENUS if any(_keys(menu))),
        "On the canvas and the maps",
    ]
    for (menu, _), inside in zip(MENUS, sheet.headings.values(), strict=False):
        assert len(inside) == len(_keys(menu))
    assert table.rowCount() == len(sheet.headings) + len(rows(sheet))


def _keys(menu: str) -> list[str]:
    return [key for c in COMMANDS if c.menu == menu for key in c.shortcuts]


def test_a_word_finds_commands_and_keys(sheet: ShortcutSheet) -> None:
    table = sheet.table

    def shown() -> list[str]:
        return [
            text_of(table, r)
            for inside in sheet.headings.values()
            for r in inside
            if not table.isRowHidden(r)
        ]

    everything = shown()
    QTest.keyClicks(sheet.search, "why")
    assert shown() == ["Why this number?"]
    assert sum(not table.isRowHidden(h) for h in sheet.headings) == 1
    sheet.search.clear()
    QTest.keyClicks(sheet.search, "f11 shift")
    assert shown() == ["Finish phase"]
    sheet.search.clear()
    QTest.keyClicks(sheet.search, "nothing like it")
    assert shown() == [] and not table.isVisible() and sheet.nothing.isVisible()
    sheet.search.clear()
    assert shown() == everything and table.isVisible() and not sheet.nothing.isVisible()


def test_escape_closes_it(sheet: ShortcutSheet, qtbot: QtBot) -> None:
    with qtbot.waitSignal(sheet.destroyed, timeout=1000):
        QTest.keyClick(sheet, Qt.Key.Key_Escape)


def test_no_column_is_cut(sheet: ShortcutSheet) -> None:
    table = sheet.table
    for column in range(3):
        assert table.columnWidth(column) >= table.sizeHintForColumn(column)
    assert table.horizontalScrollBar().maximum() == 0
