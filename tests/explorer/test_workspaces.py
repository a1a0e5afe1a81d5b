"""The workspaces: panels that exist, keys that switch, nothing else changed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QDockWidget, QTabBar, QToolButton, QTreeView
from pytestqt.qtbot import QtBot

from explorer import theme
from explorer.commands import COMMANDS
from explorer.settings import SETTINGS, Settings
from explorer.window import Window
from explorer.workspaces import WORKSPACES, panel_title


@pytest.fixture
def window(qtbot: QtBot, qapp: QApplication, tmp_path: Path) -> Iterator[Window]:
    theme.apply(qapp)
    window = Window(Settings(tmp_path / "settings.json"))
    qtbot.addWidget(window)
    window.resize(1600, 900)
    window.controller.start(None)
    window.show()
    window.activateWindow()
    qtbot.waitUntil(window.isActiveWindow)
    settle()
    yield window
    window.close()


def _in_sight(dock: QDockWidget) -> bool:
    """Not hidden behind another tab."""
    return not dock.visibleRegion().isEmpty()


def settle() -> None:
    for _ in range(4):
        QApplication.processEvents()


def shown(window: Window) -> set[str]:
    return {name for name, dock in window.docks.items() if not dock.isHidden()}


class TestTable:
    def test_every_panel_has_a_title_and_what_is_in_front_is_shown(self) -> None:
        titles = set()
        for workspace in WORKSPACES.values():
            assert set(workspace.front) <= workspace.panels
            titles |= {panel_title(panel) for panel in workspace.panels}
        assert all(titles)

    def test_each_has_a_command_a_key_and_can_be_kept(self) -> None:
        commands = {c.id: c for c in COMMANDS}
        for name in WORKSPACES:
            assert commands[f"view.{name}"].shortcuts
            assert commands[f"view.{name}"].checkable
            assert SETTINGS["workspace"].accepts(name)

    def test_a_panel_that_does_not_exist_has_no_title(self) -> None:
        with pytest.raises(KeyError):
            panel_title("nothing")


class TestSwitching:
    @pytest.mark.parametrize(("number", "name"), list(enumerate(WORKSPACES, 1)))
    def test_its_key_shows_exactly_its_panels(self, window: Window, number: int, name: str) -> None:
        other = "build" if name != "build" else "train"
        window.use_workspace(other)
        QTest.keyClick(
            window.canvas, Qt.Key(Qt.Key.Key_0.value + number), Qt.KeyboardModifier.ControlModifier
        )
        settle()
        assert shown(window) == WORKSPACES[name].panels
        assert window.actions_by_id[f"view.{name}"].isChecked()
        assert not window.actions_by_id[f"view.{other}"].isChecked()
        assert window.settings["workspace"] == name

    @pytest.mark.parametrize("name", list(WORKSPACES))
    def test_what_is_in_front_can_be_seen(self, window: Window, name: str) -> None:
        window.use_workspace(name)
        settle()
        for panel in WORKSPACES[name].front:
            widget = window.panel(panel)
            assert not widget.visibleRegion().isEmpty(), panel
            assert widget.width() >= 180 and widget.height() >= 60, panel

    def test_the_document_stays_as_it_is(self, window: Window) -> None:
        document = window.document
        window.controller.select({"pool1"})
        before = (document.content, document.position, document.selection, document.parameters)
        for name in WORKSPACES:
            window.use_workspace(name)
            settle()
        after = (document.content, document.position, document.selection, document.parameters)
        assert after == before
        assert not document.modified and not window.controller.undo_stack.canUndo()

    def test_the_canvas_keeps_most_of_the_window(self, window: Window) -> None:
        for name in WORKSPACES:
            window.use_workspace(name)
            settle()
            assert window.canvas.width() > 500 and window.canvas.height() > 250, name

    def test_the_next_start_has_the_same(
        self, window: Window, qtbot: QtBot, tmp_path: Path
    ) -> None:
        window.use_workspace("train")
        window.close()
        again = Window(Settings(tmp_path / "settings.json"))
        qtbot.addWidget(again)
        assert again.settings["workspace"] == "train"
        assert shown(again) == WORKSPACES["train"].panels
        again.close()

    @pytest.mark.parametrize("name", list(WORKSPACES))
    def test_a_start_has_the_same_panels_in_front_as_a_change(
        self, qtbot: QtBot, qapp: QApplication, tmp_path: Path, name: str
    ) -> None:
        theme.apply(qapp)
        settings = Settings(tmp_path / "start.json")
        settings.set("workspace", name)
        window = Window(settings)
        qtbot.addWidget(window)
        window.resize(1280, 720)
        window.show()
        window.controller.start(None)
        settle()
        for panel in WORKSPACES[name].front:
            dock = window.docks[panel]
            qtbot.waitUntil(lambda dock=dock: _in_sight(dock))  # type: ignore[misc]
        window.close()

    def test_the_first_start_steps_at_the_timeline(self, window: Window) -> None:
        assert window.settings["workspace"] == "step"
        assert window.timeline.isVisible() and window.inspector.isVisible()
        assert window.actions_by_id["view.step"].isChecked()
        assert window.document.position > 0 and window.sample_bar.answer.text().startswith("✓")

    @pytest.mark.parametrize("at_start", [True, False])
    def test_names_of_layers_are_read_in_a_small_window(
        self, qtbot: QtBot, qapp: QApplication, tmp_path: Path, at_start: bool
    ) -> None:
        theme.apply(qapp)
        settings = Settings(tmp_path / "small.json")
        settings.set("workspace", "build" if at_start else "step")
        window = Window(settings)
        qtbot.addWidget(window)
        window.resize(1280, 720)
        window.show()
        window.controller.start(None)
        settle()
        if not at_start:
            window.use_workspace("build")
        for name in ("layers", "outline"):
            dock = window.docks[name]
            qtbot.waitUntil(lambda dock=dock: dock.width() >= 236)  # type: ignore[misc]
        outline = window.panel("outline")
        assert isinstance(outline, QTreeView)
        settle()
        model = outline.model()
        for row in range(model.rowCount()):
            index = model.index(row, 0)
            words = outline.fontMetrics().horizontalAdvance(str(index.data()))
            assert outline.visualRect(index).width() >= words + outline.iconSize().width(), row
        assert window.canvas.width() > 500
        window.close()

    def test_a_panel_closed_by_hand_comes_back(self, window: Window) -> None:
        dock = window.docks["inspector"]
        assert dock.features() & QDockWidget.DockWidgetFeature.DockWidgetClosable
        dock.close()
        assert "inspector" not in shown(window)
        window.use_workspace("step")
        assert "inspector" in shown(window)


def cut(window: Window) -> list[str]:
    """The tabs that are not read in full."""
    found = []
    bars = [b for b in window.findChildren(QTabBar) if b.isVisible() and b.count() > 1]
    for bar in bars:
        for index in range(bar.count()):
            text, place = bar.tabText(index), bar.tabRect(index)
            words = bar.fontMetrics().horizontalAdvance(text)
            if place.width() < words or place.right() >= bar.width():
                found.append(text)
    return found


class TestNarrow:
    @pytest.mark.parametrize("hinted", [True, False])
    @pytest.mark.parametrize("name", list(WORKSPACES))
    def test_no_tab_and_no_answer_is_cut_in_a_small_window(
        self, window: Window, name: str, hinted: bool
    ) -> None:
        window.resize(1024, 680)
        if not hinted:
            close = window.hint.findChild(QToolButton, "hint.close")
            assert close is not None
            QTest.mouseClick(close, Qt.MouseButton.LeftButton)
        window.use_workspace(name)
        settle()
        assert window.hint.isVisible() == hinted
        assert not cut(window)
        seen = window.sample_bar.answer.shown_text
        assert seen.startswith("✓") and seen.endswith("7 (89.7%)")

    @pytest.mark.parametrize("name", list(WORKSPACES))
    def test_one_panel_more_shortens_names_for_as_long_as_it_has_to(
        self, window: Window, name: str
    ) -> None:
        window.resize(1024, 680)
        window.use_workspace(name)
        settle()
        for panel in ("paths", "cell", "field"):
            window.answers.show_panel(panel)
            settle()
            assert not cut(window)
        window.resize(1920, 900)
        window.use_workspace(name)  # which gives the panels their part of the wider window
        window.answers.show_panel("field")
        settle()
        assert not cut(window)
        for panel in shown(window):
            assert window.docks[panel].windowTitle() == panel_title(panel)
