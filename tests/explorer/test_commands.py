"""The one table of commands: no key twice, an icon for every name, an action for every id."""

from __future__ import annotations

import itertools

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QAction, QKeySequence
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QLineEdit, QMainWindow, QWidget
from pytestqt.qtbot import QtBot

from explorer import commands, theme
from explorer.command_box import CommandBox
from explorer.commands import COMMANDS, MENUS, Actions, key_table, scope_of
from explorer.shortcut_sheet import ShortcutSheet


@pytest.fixture
def ran() -> list[str]:
    return []


@pytest.fixture
def window(qtbot: QtBot, ran: list[str]) -> QMainWindow:
    window = QMainWindow()
    qtbot.addWidget(window)
    window.actions_by_id = Actions(window, {c.id: lambda i=c.id: ran.append(i) for c in COMMANDS})
    window.setCentralWidget(QWidget())
    window.show()
    window.activateWindow()
    qtbot.waitUntil(window.isActiveWindow)
    return window


def test_no_two_commands_share_a_key_where_both_work() -> None:
    """All scopes overlap: the canvas is part of the window, and a place for stepping too."""
    keys = [(QKeySequence(key), command) for key, command, _ in key_table()]
    for (one, first), (two, second) in itertools.combinations(keys, 2):
        match = one.matches(two) or two.matches(one)
        assert match == QKeySequence.SequenceMatch.NoMatch, (first, second, one.toString())


def test_every_key_is_a_key() -> None:
    for key, command, _ in key_table():
        assert QKeySequence(key).toString(), (key, command)


def test_keys_that_type_stay_with_the_places_for_stepping() -> None:
    scopes = {key: scope for key, _, scope in key_table()}
    assert {scopes[key] for key in ("N", "O", "?", "Shift+N")} == {"stepping"}
    assert scopes["Delete"] == scopes["Ctrl+A"] == "canvas"
    assert scopes["F10"] == scopes["Ctrl+S"] == "window"


def test_ids_are_unique_and_each_is_in_a_menu() -> None:
    ids = [c.id for c in COMMANDS]
    assert len(set(ids)) == len(ids)
    assert {c.menu for c in COMMANDS} == {menu for menu, _ in MENUS}
    accelerators = [title[title.index("&") + 1].lower() for _, title in MENUS]
    assert len(set(accelerators)) == len(accelerators)


def test_every_icon_exists() -> None:
    assert {c.icon for c in COMMANDS if c.icon} <= set(theme.icon_names())


def test_every_command_runs_its_function(window: QMainWindow, ran: list[str]) -> None:
    for command in COMMANDS:
        window.actions_by_id[command.id].trigger()
    assert ran == [c.id for c in COMMANDS]


def test_a_command_without_a_function_is_noticed(qtbot: QtBot) -> None:
    window = QMainWindow()
    qtbot.addWidget(window)
    with pytest.raises(KeyError):
        Actions(window, {c.id: print for c in COMMANDS[1:]})


def test_window_keys_work_and_typing_is_left_alone(
    window: QMainWindow, ran: list[str], qtbot: QtBot
) -> None:
    line = QLineEdit(window.centralWidget())
    line.show()
    line.setFocus()
    QTest.keyClicks(line, "No?")
    assert line.text() == "No?" and ran == []
    QTest.keyClick(line, Qt.Key.Key_F10)
    assert ran == ["step.next"]
    QTest.keyClick(
        window,
        Qt.Key.Key_Z,
        Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.ShiftModifier,
    )
    assert ran == ["step.next", "edit.redo"]


def test_tips_name_the_keys(window: QMainWindow) -> None:
    tip = window.actions_by_id["step.next"].toolTip()
    assert "F10" in tip and "debugger: step over" in tip


def test_menus_name_every_key(window: QMainWindow) -> None:
    for command in COMMANDS:
        keys = [
            QKeySequence(k) for k in command.shortcuts if scope_of(command, k) != "presentation"
        ]
        shown = window.findChild(QAction, command.id).shortcut()
        assert (shown in keys) if keys else shown.isEmpty()


def test_menus_hold_the_table_in_order(window: QMainWindow) -> None:
    actions = itertools.chain(*(window.actions_by_id.in_menu(menu) for menu, _ in MENUS))
    assert [a.objectName() for a in actions] == sorted(
        (c.id for c in COMMANDS), key=lambda i: [m for m, _ in MENUS].index(i.split(".")[0])
    )


def test_the_sheet_has_every_key(window: QMainWindow, qtbot: QtBot) -> None:
    sheet = ShortcutSheet(window)
    shown = [
        (sheet.table.item(r, 0).text(), sheet.table.item(r, 1).text())
        for rows in sheet.headings.values()
        for r in rows
    ]
    native = QKeySequence.SequenceFormat.NativeText
    for command in COMMANDS:
        for key in command.shortcuts:
            assert (commands.tr(command.text), QKeySequence(key).toString(native)) in shown
    sheet.close()


class TestCommandBox:
    @pytest.fixture
    def box(self, window: QMainWindow, qtbot: QtBot) -> CommandBox:
        box = CommandBox(window.actions_by_id, window)
        box.open_over(window.centralWidget())
        return box

    def shown(self, box: CommandBox) -> list[str]:
        return [box.list.item(i).data(Qt.ItemDataRole.UserRole) for i in range(box.list.count())]

    def test_every_typed_word_narrows_the_list(self, box: CommandBox) -> None:
        assert len(self.shown(box)) == len(COMMANDS)
        QTest.keyClicks(box.line, "training sto")
        assert self.shown(box) == ["train.stop", "train.restore"]
        box.close()

    def test_arrows_choose_and_return_runs(self, box: CommandBox, ran: list[str]) -> None:
        QTest.keyClicks(box.line, "training sto")
        QTest.keyClick(box.line, Qt.Key.Key_Down)
        QTest.keyClick(box.line, Qt.Key.Key_Down)
        QTest.keyClick(box.line, Qt.Key.Key_Return)
        assert ran == ["train.restore"]
        assert QApplication.activePopupWidget() is None

    def test_nothing_that_matches_runs_nothing(self, box: CommandBox, ran: list[str]) -> None:
        QTest.keyClicks(box.line, "no such command")
        QTest.keyClick(box.line, Qt.Key.Key_Return)
        assert ran == [] and box.isVisible()
        QTest.keyClick(box.line, Qt.Key.Key_Escape)

    def test_what_cannot_be_done_now_is_not_offered(
        self, window: QMainWindow, qtbot: QtBot
    ) -> None:
        window.actions_by_id["edit.undo"].setEnabled(False)
        box = CommandBox(window.actions_by_id, window)
        box.open_over(window.centralWidget())
        assert "edit.undo" not in self.shown(box)
        box.close()
