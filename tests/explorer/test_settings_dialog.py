"""The dialog of the settings: made from their description, counts at once, follows the menus."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QCheckBox, QComboBox, QDoubleSpinBox
from pytestqt.qtbot import QtBot

from explorer import theme
from explorer.settings import SETTINGS, Settings
from explorer.settings_dialog import SettingsDialog
from explorer.window import Window


@pytest.fixture
def window(qtbot: QtBot, qapp: QApplication, tmp_path: Path) -> Iterator[Window]:
    theme.apply(qapp)
    window = Window(Settings(tmp_path / "settings.json"))
    qtbot.addWidget(window)
    window.resize(1280, 800)
    window.controller.start(None)
    window.show()
    window.activateWindow()
    qtbot.waitUntil(window.isActiveWindow)
    yield window
    window.close()
    theme.set_mode("system")


@pytest.fixture
def dialog(window: Window) -> SettingsDialog:
    keys = Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.AltModifier
    QTest.keyClick(window.canvas, Qt.Key.Key_S, keys)
    dialog = window.findChild(SettingsDialog)
    assert dialog is not None and dialog.isVisible() and not dialog.isModal()
    return dialog


def test_every_described_setting_has_an_editor_with_its_help(dialog: SettingsDialog) -> None:
    assert dialog.editors.keys() == {name for name, s in SETTINGS.items() if s.title}
    for name, editor in dialog.editors.items():
        setting = SETTINGS[name]
        assert setting.help in editor.toolTip() and "Default: " in editor.toolTip()
        assert editor.accessibleName() == setting.title
        assert len(setting.words) in (0, len(setting.choices))
    assert "From 0.25 to 20." in dialog.editors["play_speed"].toolTip()


def test_what_is_changed_counts_at_once(window: Window, dialog: SettingsDialog) -> None:
    colours, scale = dialog.editors["theme"], dialog.editors["scale_mode"]
    assert isinstance(colours, QComboBox) and isinstance(scale, QComboBox)
    dark = theme.current() is theme.DARK
    QTest.keyClick(colours, Qt.Key.Key_End)
    assert theme.current() is theme.DARK and not dark
    assert window.actions_by_id["view.dark"].isChecked()
    QTest.keyClick(scale, Qt.Key.Key_Down)
    assert window.settings["scale_mode"] == "per channel"

    field = dialog.editors["receptive_field"]
    assert isinstance(field, QCheckBox)
    QTest.keyClick(field, Qt.Key.Key_Space)
    assert not window.fields.on and not window.actions_by_id["focus.field"].isChecked()

    speed = dialog.editors["play_speed"]
    assert isinstance(speed, QDoubleSpinBox)
    speed.selectAll()
    QTest.keyClicks(speed, "7.5")
    QTest.keyClick(speed, Qt.Key.Key_Return)
    assert dialog.isVisible()
    assert window.settings["play_speed"] == 7.5 and window.toolbar.speed.value() == 4
    assert "7.5" in window.toolbar.speed.toolTip()

    QTest.mouseClick(dialog.restore, Qt.MouseButton.LeftButton)
    assert all(window.settings[name] == SETTINGS[name].default for name in dialog.editors)
    assert not dialog.restore.isEnabled()


def test_it_follows_menus_and_keys_and_opens_once(window: Window, dialog: SettingsDialog) -> None:
    window.actions_by_id["focus.field"].trigger()
    field = dialog.editors["receptive_field"]
    assert isinstance(field, QCheckBox) and not field.isChecked()
    window.actions_by_id["edit.settings"].trigger()
    assert len(window.findChildren(SettingsDialog)) == 1
    QTest.keyClick(dialog, Qt.Key.Key_Escape)
    QApplication.processEvents()
    assert window.findChild(SettingsDialog) is None
