"""The menu bar: groups that the eye can take in, and nothing that looks like what it is not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from PySide6.QtCore import QCoreApplication, QEvent, Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QMenu
from pytestqt.qtbot import QtBot

from explorer import theme
from explorer.commands import COMMANDS, MENUS
from explorer.menus import GROUPS
from explorer.settings import Settings
from explorer.window import Window


@pytest.fixture
def window(qtbot: QtBot, qapp: QApplication, tmp_path: Path) -> Iterator[Window]:
    # windows of tests in which no event was handled would all be styled anew
    QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete.value)
    theme.apply(qapp)
    window = Window(Settings(tmp_path / "settings.json"))
    qtbot.addWidget(window)
    window.resize(1280, 720)
    window.controller.start(None)
    window.show()
    yield window
    window.close()


def menu_of(window: Window, menu_id: str) -> QMenu:
    menu = window.menuBar().findChild(QMenu, f"menu.{menu_id}")
    assert isinstance(menu, QMenu)
    return menu


@pytest.mark.parametrize("menu_id", [menu_id for menu_id, _ in MENUS])
def test_a_menu_is_in_groups(window: Window, menu_id: str) -> None:
    """A line above each group; none at an end or beside another."""
    groups: list[list[str]] = [[]]
    for action in menu_of(window, menu_id).actions():
        if action.isSeparator():
            groups.append([])
        else:
            groups[-1].append(action.objectName() or action.text())
    assert all(1 <= len(group) <= 8 for group in groups), groups
    ids = {c.id for c in COMMANDS if c.menu == menu_id}
    assert {group[0] for group in groups[1:]} >= GROUPS & ids - {"file.open", "file.save"}
    assert ids >= {i for i in GROUPS if i.startswith(f"{menu_id}.")}


@pytest.mark.parametrize("menu_id", [menu_id for menu_id, _ in MENUS])
def test_a_menu_fits_on_a_small_screen(window: Window, menu_id: str) -> None:
    """Qt scrolls a longer one, whose end then nobody finds."""
    below = window.menuBar().height()
    assert menu_of(window, menu_id).sizeHint().height() + below <= 720


def test_the_submenus_of_files_stand_with_what_they_are(window: Window) -> None:
    names = [
        "—" if action.isSeparator() else action.objectName() or action.text()
        for action in menu_of(window, "file").actions()
    ]
    assert names[:10] == [
        *("file.new", "file.lenet5", "file.resnet_digits", "file.gallery"),
        *("Gallery", "Examples to check by hand"),
        *("—", "file.open", "Open recent", "—"),
    ]


def test_panels_are_shown_and_hidden_from_their_menu(window: Window) -> None:
    menu = menu_of(window, "panels")
    action = next(a for a in menu.actions() if a.text() == "Inspector")
    assert action.isChecked() and window.docks["inspector"].isVisible()
    menu.popup(window.mapToGlobal(window.rect().center()))
    at = menu.actionGeometry(action).center()
    QTest.mouseClick(menu, Qt.MouseButton.LeftButton, pos=at)
    assert not window.docks["inspector"].isVisible()


def test_no_icon_of_a_command_looks_like_a_check_mark() -> None:
    """In a menu it would seem to be on."""
    assert "check" not in {c.icon for c in COMMANDS}


def test_a_chosen_colour_scheme_is_seen_to_be_chosen(window: Window) -> None:
    """A command with an icon has no room for a check mark: its icon is framed."""
    window.actions_by_id["view.light"].trigger()
    menu = menu_of(window, "view")
    menu.popup(window.mapToGlobal(window.rect().topLeft()))
    accent = theme.current().accent

    def framed(command_id: str) -> bool:
        image = menu.grab(menu.actionGeometry(window.actions_by_id[command_id])).toImage()
        return any(
            image.pixelColor(x, y).name() == accent
            for x in range(image.height())
            for y in range(image.height())
        )

    assert framed("view.light") and not framed("view.dark") and not framed("view.system")
    menu.close()
