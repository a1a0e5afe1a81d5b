"""The main window: composes canvas, panels, menus and toolbar. It decides nothing else.

What the views ask for is connected in ``requests.py`` and ``panel_connections.py``, what they show
in ``document_views.py``.
"""

from __future__ import annotations

import base64
import contextlib
from collections.abc import Callable
from typing import Any

from PySide6.QtCore import QByteArray, QTimer
from PySide6.QtGui import QCloseEvent, QDragEnterEvent, QDropEvent, QResizeEvent, QShowEvent
from PySide6.QtWidgets import QApplication, QDialog, QMainWindow, QVBoxLayout, QWidget

from explorer import command_functions, folding, requests, theme
from explorer import panel_connections as connected
from explorer.answer_panels import AnswerPanels
from explorer.banners import Banners
from explorer.canvas import Canvas
from explorer.command_box import CommandBox
from explorer.commands import COMMANDS, Actions
from explorer.controller import Controller
from explorer.docks import Docks
from explorer.document import Document
from explorer.document_views import DocumentViews, Views
from explorer.effective_field import EffectiveField
from explorer.export_session import ExportSession
from explorer.fields import FieldsInSight
from explorer.file_dialogs import FileDialogs
from explorer.hint import Hint
from explorer.keyboard import Keyboard
from explorer.lesson_guide import LessonGuide
from explorer.menus import Menus
from explorer.notices import Level, Notice, NoticeBar
from explorer.open_sizes import OpenSizesBar
from explorer.panels import Inspector, Narration, Properties, SampleBar, Timeline
from explorer.path_shares import PathShares
from explorer.run_files import RunFiles
from explorer.settings import Settings
from explorer.status import Status
from explorer.toolbar import MainToolbar
from explorer.training_session import TrainingSession
from explorer.watches import Watches
from explorer.what_if import WhatIfBar
from explorer.workspaces import WORKSPACES


class Window(QMainWindow):
    """Everything on the screen; owns the document, the controller and the training session."""

    def __init__(self, settings: Settings | None = None) -> None:
        super().__init__()
        self.setObjectName("window")
        self.settings = settings or Settings()
        self.document = Document(self)
        self.controller = Controller(self.document, self.settings, self)
        self.training = TrainingSession(self.document, self.controller, self)
        self.export = ExportSession(self.document, self.controller, self)
        self.paths = PathShares(self.document, self)
        self.effective_field = EffectiveField(self.document, self.controller.pictures, self)
        self.watches = Watches(self.document, self._training_step, self)
        self.controller.project_replaced.connect(self.watches.clear)
        self.watches.edited.connect(self.controller.projects.note_change)
        self.run_files = RunFiles(self.document, self._say, self)
        self.fields = FieldsInSight(self.document, self.settings, self)
        self.setMinimumSize(1024, 680)
        self.setAcceptDrops(True)
        self.setDockNestingEnabled(True)
        self.setAnimated(False)

        self.canvas = Canvas(self)
        self.narration = Narration(self)
        self.notices = NoticeBar(self)
        self.sample_bar = SampleBar(self)
        self.what_if = WhatIfBar(self)
        self.open_sizes = OpenSizesBar(self)
        self.timeline = Timeline(self)
        self.inspector = Inspector(self)
        self.properties = Properties(self)
        self.docks = Docks(
            self,
            {
                "timeline": self.timeline,
                "inspector": self.inspector,
                "properties": self.properties,
            },
            self._panel_makers(),
        )
        self.files = FileDialogs(
            self,
            document=self.document,
            controller=self.controller,
            settings=self.settings,
            canvas=self.canvas,
            sample_bar=self.sample_bar,
            run_files=self.run_files,
            export=self.export,
            say=self._say,
            unsay=self.notices.clear,
            closed=self._take_keys_back,
        )
        self.answers = AnswerPanels(
            self.document,
            self.controller,
            self.docks,
            self.watches,
            self._presenting,
            self._say,
            self,
        )
        self.lessons = LessonGuide(
            self.document,
            self.controller,
            self.paths,
            self.settings,
            lambda command: self.actions_by_id[command].trigger(),
            self.answers.show_panel,
            self,
        )
        self.actions_by_id = Actions(self, self._commands())
        self.keyboard = Keyboard(self, self.canvas, self.sample_bar, self.actions_by_id)
        self.hint = Hint(
            tuple(self.actions_by_id[c] for c in ("step.next", "sample.draw", "view.learn")), self
        )
        self._hint_over: bool = self.settings["hint_seen"]
        self._lay_out_middle()
        Menus(
            self,
            self.actions_by_id,
            [dock.toggleViewAction() for dock in self.docks.values()],
            self.controller.projects,
            self.settings,
        )
        self.toolbar = MainToolbar(self.actions_by_id, self.settings["play_speed"], self)
        self.addToolBar(self.toolbar)
        self.status = Status(self.training, self.run_files, self)
        self.setStatusBar(self.status)
        self._connect()
        self._add_scoped_keys()
        self._set_theme(self.settings["theme"])
        self._restore_places()
        self.use_workspace(self.settings["workspace"])
        theme.theme().changed.connect(self._theme_changed)
        self.settings.changed.connect(self._setting_changed)

    # ---- composition -----------------------------------------------------------------------

    def _lay_out_middle(self) -> None:
        middle = QWidget(self)
        column = QVBoxLayout(middle)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        for bar in (self.hint, self.open_sizes, self.what_if, self.sample_bar):
            column.addWidget(bar)
        column.addWidget(self.canvas, 1)
        column.addWidget(self.narration)
        # what comes and goes by itself must not move the network
        Banners(self.canvas, self.notices)
        self.setCentralWidget(middle)

    def _panel_makers(self) -> dict[str, Callable[[], QWidget]]:
        """Each panel that is made when it is first seen."""
        c, d = self.controller, self.document

        def with_keys(panel: QWidget) -> QWidget:
            self.keyboard.add_keys(panel, "stepping")
            return panel

        return {
            "layers": lambda: connected.layers(c, self),
            "outline": lambda: connected.outline(d, c, self),
            "history": lambda: connected.history(c, lambda: self.training.worker.busy, self),
            "cell": lambda: with_keys(connected.cell(d, c, self.fields, self)),
            "inside": lambda: with_keys(
                connected.inside(d, c, self.answers.look_inside, self.files.save_picture, self)
            ),
            "field": lambda: connected.field(d, c, self.effective_field, self.docks["field"], self),
            "lessons": lambda: connected.lessons_panel(self.lessons, self.docks["lessons"], self),
            "paths": lambda: connected.paths(d, c, self.paths, self.docks["paths"], self),
            "breakpoints": lambda: connected.breakpoints(d, c, self),
            "watches": lambda: connected.watches(
                self.watches, self.answers.watch, self.answers.explain, self
            ),
            "flow": lambda: connected.flow(d, c, self.training, self.files.save_plate, self),
            "training": lambda: connected.training(self.training, self),
            "problems": lambda: connected.problems(d, c, self.docks.fit_problems, self),
        }

    def panel(self, name: str) -> QWidget:
        """A panel by its name; made and connected when it is first asked for."""
        return self.docks.panel(name)

    def _commands(self) -> command_functions.Functions:
        """What each command does; those of the window itself are here."""
        c, files, answers = self.controller, self.files, self.answers

        def checked(command_id: str) -> bool:
            return self.actions_by_id[command_id].isChecked()

        return {
            **command_functions.file_functions(c, files),
            **command_functions.edit_functions(c, answers, self._say),
            **command_functions.step_functions(c, answers, self.timeline, checked),
            **command_functions.focus_functions(c, answers),
            **command_functions.sample_functions(c, files, self.sample_bar),
            **command_functions.train_functions(c, self.training),
            **command_functions.canvas_functions(c, self.canvas),
            "file.new": self.new_network,
            "file.gallery": self.show_gallery,
            "file.quit": self.quit,
            "edit.settings": self.show_settings,
            "focus.field": self._toggle_fields,
            **{f"view.{w}": self._switcher(w) for w in WORKSPACES},
            "view.presentation": self.toggle_presentation,
            "view.system": lambda: self._set_theme("system"),
            "view.light": lambda: self._set_theme("light"),
            "view.dark": lambda: self._set_theme("dark"),
            "help.find": self.find_command,
            "help.shortcuts": self.show_shortcuts,
            "help.about": self.show_about,
        }

    def _switcher(self, workspace: str) -> Callable[[], None]:
        return lambda: self.use_workspace(workspace)

    def _add_scoped_keys(self) -> None:
        self.keyboard.add_keys(self.canvas, "canvas")
        for host in (self.canvas, self.timeline, self.inspector, self.narration):
            self.keyboard.add_keys(host, "stepping")
        self.keyboard.add_answers(
            (self.canvas, self.timeline, self.inspector, self.narration),
            len(self.narration.choices),
            self.controller.stepping.answer,
        )

    def _connect(self) -> None:
        c, answers = self.controller, self.answers
        requests.from_canvas(self.canvas, c, answers)
        requests.from_timeline(self.timeline, c)
        requests.from_narration(self.narration, self.canvas, c, answers)
        requests.from_inspector(self.inspector, c, answers, self.settings, self.files.save_picture)
        requests.from_properties(self.properties, c)
        requests.from_sample_bar(self.sample_bar, c)
        requests.from_open_sizes(self.open_sizes, c)
        self.what_if.reset_requested.connect(c.what_ifs.reset)
        self.toolbar.speed_changed.connect(c.stepping.set_play_speed)
        c.project_replaced.connect(self._project_replaced)
        c.notice.connect(self._show_notice)
        c.stepping.playing_changed.connect(self._show_playing)
        self._connect_actions()
        shown = DocumentViews(
            self.document,
            c,
            self.fields,
            Views(
                self.canvas,
                self.narration,
                self.timeline,
                self.inspector,
                self.properties,
                self.sample_bar,
                self.what_if,
                self.status,
            ),
            self.actions_by_id,
            self.keyboard,
            self,
        )
        self.docks["properties"].visibilityChanged.connect(shown.set_properties_seen)
        self.document.identity_changed.connect(self._show_identity)
        for done in (
            self.hint.closed,
            *(
                self.actions_by_id[x].triggered
                for x in ("step.next", "step.play", "view.build", "view.learn")
            ),
            self.canvas.next_requested,
            self.timeline.position_requested,
        ):
            done.connect(self._hint_followed)
        self.hint.setVisible(not self._hint_over)

    def _connect_actions(self) -> None:
        """Commands that are possible only at times, or say what they would do."""
        stack, actions = self.controller.undo_stack, self.actions_by_id
        stack.canUndoChanged.connect(actions["edit.undo"].setEnabled)
        stack.canRedoChanged.connect(actions["edit.redo"].setEnabled)
        stack.undoTextChanged.connect(self._name_undo)
        stack.redoTextChanged.connect(self._name_undo)
        for command_id in ("edit.undo", "edit.redo", "focus.reset"):
            actions[command_id].setEnabled(False)
        actions["focus.field"].setChecked(self.fields.on)
        self.training.state_changed.connect(self._training_state_changed)
        self._training_state_changed(self.training.worker.state)

    def _training_state_changed(self, state: str) -> None:
        for command_id in ("train.pause", "train.stop"):
            self.actions_by_id[command_id].setEnabled(state != "idle")

    def _name_undo(self, _text: str = "") -> None:
        stack = self.controller.undo_stack
        undo, redo = self.actions_by_id["edit.undo"], self.actions_by_id["edit.redo"]
        undo.setText(self.tr("Undo {0}").format(stack.undoText()).strip())
        redo.setText(self.tr("Redo {0}").format(stack.redoText()).strip())

    def _training_step(self) -> int:
        """How many steps the weights of the document have been trained for."""
        return self.training.reports[-1].step if self.training.reports else 0

    # ---- what the window itself says -------------------------------------------------------

    def _show_notice(self, notice: Notice) -> None:
        self.notices.show_notice(notice.level, notice.text)

    def _say(self, level: Level, text: str) -> None:
        self._show_notice(Notice(level, text))

    def _show_playing(self, on: bool) -> None:
        action = self.actions_by_id["step.play"]
        action.setChecked(on)
        action.setIcon(theme.icon("pause" if on else "play"))

    def _show_identity(self) -> None:
        d = self.document
        self.setWindowTitle(f"{d.title}[*] — Gradient Flow Explorer")
        self.setWindowModified(d.modified)
        if d.modified or d.path is not None:
            self._end_hint()  # it speaks of the network that the program came with

    def _project_replaced(self) -> None:
        self.sample_bar.close_pad()
        self.notices.drop_note()
        self.inspector.scroll_to_top()
        # when the forms show the new network
        QTimer.singleShot(0, self.keyboard, self.keyboard.take)
        if self.document.operations:  # not the first, which the hint speaks of
            self._end_hint()

    def _hint_followed(self) -> None:
        self.settings.set("hint_seen", True)
        self._end_hint()

    def _end_hint(self) -> None:
        self._hint_over = True
        if self.hint.isVisible():
            self.canvas.keep_when_higher(self.hint.height())
        self.hint.hide()

    # ---- workspaces and presentation -------------------------------------------------------

    def new_network(self) -> None:
        """Start with an empty network, where layers are at hand."""
        self.controller.projects.new()
        self.use_workspace("build")

    def use_workspace(self, name: str) -> None:
        """Show the panels of a workspace; the document does not change. Ends a presentation."""
        workspace = WORKSPACES[name]
        self.settings.set("workspace", name)
        if self._presenting():
            self.actions_by_id["view.presentation"].trigger()  # comes back here for the panels
            return
        self.actions_by_id[f"view.{name}"].setChecked(True)
        self.actions_by_id["step.predict"].setChecked(self.controller.stepping.asks)
        followed = {"watches"} if name == "train" and self.watches.lines else set()
        for panel, dock in self.docks.items():
            dock.setVisible(panel in workspace.panels or panel in followed)
        self._raise_front()
        self.keyboard.take()
        QTimer.singleShot(0, self, self._fit_docks)

    def _raise_front(self) -> None:
        for panel in WORKSPACES[self.settings["workspace"]].front:
            self.panel(panel)
            self.docks.to_front(panel)

    def _fit_docks(self) -> None:
        self.docks.fit(self.settings["workspace"])

    def _presenting(self) -> bool:
        return self.actions_by_id["view.presentation"].isChecked()

    def toggle_presentation(self) -> None:
        """Canvas, answer and narration only, light and large; again for the way back."""
        on = self._presenting()
        theme.theme().set_presentation(on)
        self.keyboard.share_escape()
        for bar in (self.toolbar, self.menuBar(), self.status):
            bar.setVisible(not on)
        self.hint.setVisible(not on and not self._hint_over)
        if on:
            for dock in self.docks.values():
                dock.hide()
            self.canvas.setFocus()
            self.notices.show_notice(
                "info",
                self.tr("Page Down and Page Up step, Escape ends the presentation."),
            )
        else:
            self.notices.clear()
            self.use_workspace(self.settings["workspace"])
        QTimer.singleShot(0, self.canvas, self.canvas.fit)

    # ---- settings --------------------------------------------------------------------------

    def _set_theme(self, mode: Any) -> None:
        self.settings.set("theme", mode)
        theme.set_mode(mode)
        self.actions_by_id[f"view.{mode}"].setChecked(True)

    def _theme_changed(self) -> None:
        for command in COMMANDS:
            if command.icon:
                self.actions_by_id[command.id].setIcon(theme.icon(command.icon))

    def _toggle_fields(self) -> None:
        self.fields.toggle()
        self.actions_by_id["focus.field"].setChecked(self.fields.on)

    def _setting_changed(self, name: str) -> None:
        """What the dialog changed is shown at once."""
        value, actions = self.settings[name], self.actions_by_id
        if name == "theme":
            theme.set_mode(value)
            actions[f"view.{value}"].setChecked(True)
        elif name == "play_speed":
            self.toolbar.set_speed(value)
            self.controller.stepping.set_play_speed(value)
        elif name == "receptive_field":
            actions["focus.field"].setChecked(value)
            self.fields.shown_changed.emit(self.fields.shown)
        elif name == "predict":
            actions["step.predict"].setChecked(self.controller.stepping.asks)
        elif name == "scale_mode":
            self.inspector.set_scale_mode(value)

    # ---- dialogs ---------------------------------------------------------------------------

    def find_command(self) -> None:
        """The box that runs every command by its name."""
        places = self.document.known_ids | folding.groups(self.document.graph).keys()
        own = self.controller.own_blocks.widths
        box = CommandBox(self.actions_by_id, self, sorted(places), own)
        box.layer_requested.connect(self.controller.adding.append_layer)
        box.block_requested.connect(self.controller.adding.append_block)
        box.own_block_requested.connect(self.controller.adding.append_own_block)
        box.node_requested.connect(self._go_to)
        box.closed.connect(self._take_keys_back)
        box.open_over(self.canvas)

    def _go_to(self, node_id: str) -> None:
        c, canvas = self.controller, self.canvas
        c.folds.reveal(node_id)
        layers = canvas.network.graph_group(node_id)
        if node_id in self.document.known_ids:
            c.select({node_id})
            canvas.center_on(node_id)
        elif layers:
            c.select(layers)
            canvas.zoom_to(layers)

    def show_gallery(self) -> None:
        """The networks of the gallery with their pictures, to open one."""
        from explorer.gallery_dialog import GalleryDialog  # the start does not wait for them

        dialog = self.findChild(GalleryDialog)
        if dialog is None:
            dialog = GalleryDialog(self)
            dialog.open_requested.connect(self.controller.projects.open_architecture)
        self._show_dialog(dialog)
        dialog.raise_()
        dialog.activateWindow()

    def show_settings(self) -> None:
        """The dialog of the settings; what is changed in it counts at once."""
        from explorer.settings_dialog import SettingsDialog

        dialog = self.findChild(SettingsDialog) or SettingsDialog(self.settings, self)
        dialog.show()
        dialog.raise_()
        dialog.activateWindow()

    def show_shortcuts(self) -> None:
        """The sheet with every key."""
        from explorer.shortcut_sheet import ShortcutSheet

        self._show_dialog(ShortcutSheet(self))

    def show_about(self) -> None:
        """Program, version, and whose work is shown."""
        from explorer.about import About

        self._show_dialog(About(self.document, self))

    def _show_dialog(self, dialog: QDialog) -> None:
        dialog.finished.connect(self._take_keys_back)
        dialog.show()

    def _take_keys_back(self) -> None:
        self.keyboard.take_back()

    # ---- the window itself -----------------------------------------------------------------

    def quit(self) -> None:
        """Close the window, as its button does."""
        self.close()

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        if any(url.isLocalFile() for url in event.mimeData().urls()):
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent) -> None:
        self.files.drop(event.mimeData().urls())

    def _restore_places(self) -> None:
        stored = self.settings["windows"]
        screen = QApplication.primaryScreen()
        if isinstance(stored.get("geometry"), str):
            with contextlib.suppress(ValueError):
                data = base64.b64decode(stored["geometry"])
                self.restoreGeometry(QByteArray(data))
                return
        if screen is not None:
            area = screen.availableGeometry()
            self.resize(
                min(1600, max(1024, area.width() * 9 // 10)),
                min(1000, max(680, area.height() * 9 // 10)),
            )

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self.toolbar.fit(self.width())

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        if not event.spontaneous():  # panels that were sized for another window fit this one
            self._raise_front()  # before, there were no tabs to choose from
            QTimer.singleShot(0, self, self._fit_docks)

    def closeEvent(self, event: QCloseEvent) -> None:
        geometry = base64.b64encode(self.saveGeometry().data()).decode()
        self.settings.set("windows", {"geometry": geometry})
        self.training.close()
        self.export.close()
        self.paths.close()
        self.effective_field.close()
        self.run_files.close()
        self.files.close()
        self.controller.close()
        event.accept()
