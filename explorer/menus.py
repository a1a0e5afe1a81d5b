"""The menu bar, made from the table of commands."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from PySide6.QtCore import QObject
from PySide6.QtGui import QAction, QActionGroup
from PySide6.QtWidgets import QMainWindow, QMenu

from explorer.commands import MENUS, Actions, tr
from explorer.projects import Projects
from explorer.settings import Settings
from explorer.workspaces import WORKSPACES

GROUPS = frozenset(
    (
        *("file.open", "file.save", "file.export", "file.quit"),
        *("edit.cut", "edit.arrange", "edit.settings"),
        *("step.play", "step.predict"),
        *("focus.side", "focus.check", "focus.reset"),
        *("sample.draw", "train.go_on"),
        *("view.fold", "view.fit", "view.presentation", "view.system"),
        "help.about",
    )
)
"""The commands that begin a group of their menu: a line stands above each."""


class Menus(QObject):
    """Fills a window's menu bar; menus of files are filled when they are opened."""

    def __init__(
        self,
        window: QMainWindow,
        actions: Actions,
        panels: Iterable[QAction],
        projects: Projects,
        settings: Settings,
    ) -> None:
        """``panels`` show and hide the docks."""
        super().__init__(window)
        self._projects, self._settings = projects, settings
        for menu_id, title in MENUS:
            menu = window.menuBar().addMenu(tr(title))
            menu.setObjectName(f"menu.{menu_id}")
            menu.setToolTipsVisible(True)
            align: QMenu | None = None
            for action in actions.in_menu(menu_id):
                if action.objectName().startswith("edit.align_"):
                    align = align or menu.addMenu(self.tr("Align"))
                    align.setObjectName("menu.align")
                    align.addAction(action)
                else:
                    menu.addAction(action)
            if menu_id == "view":
                menu.addSeparator()
                shown = menu.addMenu(self.tr("Panels"))
                shown.setObjectName("menu.panels")
                shown.addActions(list(panels))
            if menu_id == "file":
                self._recent = menu.addMenu(self.tr("Open recent"))
                menu.insertMenu(actions["file.save"], self._recent)
                self._gallery = menu.addMenu(self.tr("Gallery"))
                self._gallery.setObjectName("menu.gallery")
                menu.insertMenu(actions["file.open"], self._gallery)
                self._gallery.aboutToShow.connect(self._fill_gallery)
                self._examples = menu.addMenu(self.tr("Examples to check by hand"))
                self._examples.setObjectName("menu.examples")
                menu.insertMenu(actions["file.open"], self._examples)
                self._examples.aboutToShow.connect(self._fill_examples)
                self._recent.aboutToShow.connect(self._fill_recent)
            for action in actions.in_menu(menu_id):  # above the submenus that stand before it
                if action.objectName() in GROUPS:
                    menu.insertSeparator(action)
        for ids in (
            [f"view.{w}" for w in WORKSPACES],
            ["view.system", "view.light", "view.dark"],
        ):
            group = QActionGroup(window)
            for command_id in ids:
                group.addAction(actions[command_id])

    def _fill_recent(self) -> None:
        self._recent.clear()
        for name in self._settings["recent"]:
            self._recent.addAction(Path(name).name, self._opener(Path(name))).setToolTip(name)
        if self._recent.isEmpty():
            self._recent.addAction(self.tr("Nothing was saved yet")).setEnabled(False)

    def _fill_gallery(self) -> None:
        from explorer import gallery  # the program's start does not wait for the architectures

        if self._gallery.isEmpty():
            gallery.fill(self._gallery, self._architecture_opener)

    def _fill_examples(self) -> None:
        from explorer import examples

        if self._examples.isEmpty():
            examples.fill(self._examples, self._example_opener)

    def _example_opener(self, name: str) -> Callable[[], None]:
        return lambda: self._projects.open_example(name)

    def _architecture_opener(self, name: str) -> Callable[[], None]:
        return lambda: self._projects.open_architecture(name)

    def _opener(self, path: Path) -> Callable[[], None]:
        def open_it() -> None:
            self._projects.open(path)

        return open_it
