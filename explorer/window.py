"""The main window: composes canvas, panels, menus and toolbar, and connects them to the
controller. It decides nothing else.
"""

from __future__ import annotations

import base64
import contextlib
from collections.abc import Callable
from math import isfinite
from pathlib import Path
from typing import Any

from PySide6.QtCore import QByteArray, QSignalBlocker, QSize, Qt, QTimer
from PySide6.QtGui import (
    QActionGroup,
    QCloseEvent,
    QDragEnterEvent,
    QDropEvent,
    QGuiApplication,
    QImage,
    QKeySequence,
    QResizeEvent,
    QShortcut,
    QShowEvent,
)
from PySide6.QtWidgets import (
    QAbstractSpinBox,
    QApplication,
    QDialog,
    QDockWidget,
    QFileDialog,
    QLabel,
    QLineEdit,
    QMainWindow,
    QMenu,
    QPlainTextEdit,
    QSlider,
    QTextEdit,
    QToolBar,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from engine import recording
from engine.cell import Cell
from engine.explain import Direction, Place, Weight, touching
from engine.lessons import lessons
from engine.losses import Total
from engine.project_file import SUFFIX
from explorer import folding, panels, theme
from explorer.alignment import SIDES, Side
from explorer.background import Background
from explorer.canvas import Canvas, picture
from explorer.canvas.card import StopMark
from explorer.command_box import CommandBox
from explorer.commands import COMMANDS, MENUS, Actions, Scope, scope_of, tr
from explorer.controller import Controller
from explorer.document import Document
from explorer.export_dialog import ExportDialog
from explorer.export_session import ExportSession
from explorer.fields import FieldsInSight
from explorer.hint import Hint
from explorer.narration import Crumb, Sentence, Text, crumbs, finish_text, inside_sentence, sentence
from explorer.notices import Level, Notice, NoticeBar
from explorer.open_sizes import OpenSizesBar
from explorer.panels import Inspector, Narration, Properties, SampleBar, Timeline
from explorer.path_shares import PathShares
from explorer.progress import Progress
from explorer.run_files import RunFiles
from explorer.settings import Settings
from explorer.tensors.grid import TensorGrid
from explorer.training_session import TrainingSession
from explorer.watches import Watch, Watches
from explorer.what_if import WhatIfBar
from explorer.workspaces import WORKSPACES, panel_title

PICTURE_SCALE = 2.0
"""Pixels for each unit of the canvas in a picture of the network."""
LOW_PANEL = 130
"""Height of the panel of problems when there are some."""
PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".pgm", ".ppm", ".npy", ".webp")
TYPED_IN = (QLineEdit, QAbstractSpinBox, QPlainTextEdit, QTextEdit)
"""What keeps the keyboard while a network is opened or a workspace switched."""
_SPEEDS = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0)


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
        self._export_dialog: ExportDialog | None = None
        self.paths = PathShares(self.document, self)
        self.watches = Watches(self.document, self._training_step, self)
        self.controller.project_replaced.connect(self.watches.clear)
        self._writer = Background(self)
        self.run_files = RunFiles(self.document, self._say, self)
        self.fields = FieldsInSight(self.document, self.settings, self)
        self.setMinimumSize(1024, 680)
        self.setAcceptDrops(True)
        self.setDockNestingEnabled(True)
        self.setAnimated(False)

        self.canvas = Canvas(self)
        self.narration = Narration(self)
        self.notices = NoticeBar(self)
        middle = QWidget(self)
        column = QVBoxLayout(middle)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        self.sample_bar = SampleBar(self)
        self.what_if = WhatIfBar(self)
        self.open_sizes = OpenSizesBar(self)
        column.addWidget(self.notices)
        column.addWidget(self.open_sizes)
        column.addWidget(self.what_if)
        column.addWidget(self.sample_bar)
        column.addWidget(self.canvas, 1)
        column.addWidget(self.narration)
        self.setCentralWidget(middle)

        self.timeline = Timeline(self)
        self.inspector = Inspector(self)
        self.properties = Properties(self)
        # the rest is made when it is first shown, so that the first picture does not wait
        self.docks: dict[str, QDockWidget] = {}
        self._made: dict[str, QWidget] = {
            "timeline": self.timeline,
            "inspector": self.inspector,
            "properties": self.properties,
        }
        self._properties_seen = False
        self._make_docks()
        self.actions_by_id = Actions(self, self._commands())
        self.hint = Hint(
            tuple(self.actions_by_id[c] for c in ("step.next", "sample.draw", "view.build")), self
        )
        self._hint_over: bool = self.settings["hint_seen"]
        self.hint.setVisible(not self._hint_over)
        for done in (
            self.hint.closed,
            *(self.actions_by_id[c].triggered for c in ("step.next", "step.play", "view.build")),
            self.canvas.next_requested,
            self.timeline.position_requested,
        ):
            done.connect(self._hint_followed)
        column.insertWidget(0, self.hint)
        self._make_menus()
        self._make_toolbar()
        self._connect_views()
        self._connect_document()
        self._add_scoped_keys()
        self._set_theme(self.settings["theme"])
        self._restore_places()
        self.use_workspace(self.settings["workspace"])
        theme.theme().changed.connect(self._theme_changed)
        self.settings.changed.connect(self._setting_changed)
        if isinstance(application := QApplication.instance(), QApplication):
            application.focusChanged.connect(self._focus_changed)

    # ---- composition -----------------------------------------------------------------------

    def _make_docks(self) -> None:
        left, right, bottom = (
            Qt.DockWidgetArea.LeftDockWidgetArea,
            Qt.DockWidgetArea.RightDockWidgetArea,
            Qt.DockWidgetArea.BottomDockWidgetArea,
        )
        areas = {
            "layers": left,
            "outline": left,
            "history": left,
            "inspector": right,
            "cell": right,
            "inside": right,
            "paths": right,
            "properties": right,
            "timeline": bottom,
            "breakpoints": bottom,
            "watches": bottom,
            "flow": bottom,
            "training": right,
            "problems": bottom,
        }
        first: dict[Qt.DockWidgetArea, QDockWidget] = {}
        for name, area in areas.items():
            dock = QDockWidget(panel_title(name), self)
            dock.setObjectName(name)
            dock.setFeatures(
                QDockWidget.DockWidgetFeature.DockWidgetClosable
                | QDockWidget.DockWidgetFeature.DockWidgetMovable
            )
            if name in self._made:
                dock.setWidget(self._made[name])
            dock.visibilityChanged.connect(self._filler(name))
            self.addDockWidget(area, dock)
            dock.hide()  # Qt leaves dead tab bars behind where docks in sight become tabs
            if name == "history":
                self.tabifyDockWidget(self.docks["outline"], dock)
            elif area in first and area != left:
                self.tabifyDockWidget(first[area], dock)
            first.setdefault(area, dock)
            self.docks[name] = dock
        self.docks["properties"].visibilityChanged.connect(self._properties_shown)
        self.setCorner(Qt.Corner.BottomRightCorner, right)
        self.setCorner(Qt.Corner.TopRightCorner, right)

    def _filler(self, name: str) -> Callable[[bool], None]:
        def fill(visible: bool) -> None:
            if visible:
                self.panel(name)

        return fill

    def panel(self, name: str) -> QWidget:
        """A panel by its name; made and connected when it is first asked for."""
        if name not in self._made:
            widget = self._make_panel(name)
            self._made[name] = widget
            self.docks[name].setWidget(widget)
        return self._made[name]

    def _make_panel(self, name: str) -> QWidget:
        controller = self.controller
        if name == "layers":
            palette = panels.Palette(self)
            palette.add_requested.connect(controller.append_layer)
            palette.block_requested.connect(controller.append_block)
            palette.own_block_requested.connect(controller.append_own_block)
            palette.rename_requested.connect(controller.rename_own_block)
            palette.delete_requested.connect(controller.delete_own_block)
            own = controller.own_blocks
            own.changed.connect(lambda: palette.set_own_blocks(own.names))
            palette.set_own_blocks(own.names)
            return palette
        if name == "outline":
            outline = panels.Outline(self)
            outline.select_requested.connect(controller.select)
            outline.delete_requested.connect(controller.delete)
            outline.rename_requested.connect(controller.rename)
            outline.rename_group_requested.connect(controller.rename_group)
            self.document.network_changed.connect(
                lambda: outline.set_network(self.document.graph, self.document.inference)
            )
            self.document.selection_changed.connect(
                lambda: outline.set_selection(self.document.selection)
            )
            outline.set_network(self.document.graph, self.document.inference)
            outline.set_selection(self.document.selection)
            return outline
        if name == "history":
            return panels.HistoryPanel(controller.undo_stack, self)
        if name == "cell":
            return self._make_cell_panel()
        if name == "watches":
            return self._make_watches()
        if name == "paths":
            return self._make_paths()
        if name == "inside":
            return self._make_inside()
        if name == "breakpoints":
            return self._make_breakpoints()
        if name == "flow":
            flow = panels.FlowPanel(self)
            flow.select_requested.connect(controller.select)
            self.document.selection_changed.connect(
                lambda: flow.set_selection(self.document.selection)
            )

            def show() -> None:
                flow.set_run(self.document.graph, self.document.trace, self.document.position)

            self.document.position_changed.connect(show)
            self.document.run_changed.connect(show)
            show()
            return flow
        if name == "problems":
            problems = panels.Problems(self)
            problems.select_requested.connect(controller.select)
            problems.fix_requested.connect(controller.apply_fix)

            def show_problems() -> None:
                d, was = self.document, problems.empty
                problems.set_errors(d.inference.errors)
                problems.set_advice(lessons(d.graph, d.inference))
                if problems.empty != was:
                    self._size_problems(problems.empty)

            self.document.network_changed.connect(show_problems)
            show_problems()
            return problems
        training = panels.TrainingPanel(self)
        self.training.attach(training)
        return training

    def _make_watches(self) -> QWidget:
        panel, watches = panels.WatchesPanel(self), self.watches
        panel.add_requested.connect(self.watch)
        panel.remove_requested.connect(watches.remove)
        panel.focus_requested.connect(self._focus_and_explain)

        def show() -> None:
            panel.set_lines(watches.lines)

        watches.changed.connect(show)
        show()
        return panel

    def _make_paths(self) -> QWidget:
        d, shares = self.document, self.paths
        panel = panels.PathsPanel(self)
        panel.select_requested.connect(self.controller.select)
        panel.gain_requested.connect(self.controller.what_ifs.set_gain)

        def show_gains() -> None:
            panel.set_gains(d.graph, d.gains)

        d.what_if_changed.connect(show_gains)
        d.network_changed.connect(show_gains)

        def show() -> None:
            panel.set_parts(shares.parts, shares.note)
            panel.set_selection(d.selection)

        shares.changed.connect(show)
        d.selection_changed.connect(lambda: panel.set_selection(d.selection))
        self.docks["paths"].visibilityChanged.connect(shares.watch)
        shares.watch(True)
        show()
        show_gains()
        return panel

    def _connect_grids(self, panel: QWidget) -> None:
        """What is drawn of a tensor in a panel can be saved."""
        for grid in panel.findChildren(TensorGrid):
            grid.picture_requested.connect(self.ask_picture_of)

    def _make_inside(self) -> QWidget:
        s = self.controller.stepping
        panel = panels.InsidePanel(self)
        self._connect_grids(panel)
        panel.level_requested.connect(s.set_level)
        panel.side_requested.connect(s.set_side)
        panel.cell_requested.connect(s.set_cell)
        panel.focus_requested.connect(self.controller.focus)
        panel.inside_requested.connect(self.look_inside)

        def show() -> None:
            panel.set_inside(s.sheet, self.document.inside)

        self.document.position_changed.connect(show)
        self._add_keys_to(panel, "stepping")
        show()
        return panel

    def _make_breakpoints(self) -> QWidget:
        c, d = self.controller, self.document
        panel = panels.Breakpoints(self)
        panel.change_requested.connect(c.stepping.set_breakpoints)
        panel.select_requested.connect(c.select)

        def show_nodes() -> None:
            panel.set_nodes((*(n.id for n in d.graph.order), *(x.id for x in d.graph.losses)))

        def show() -> None:
            panel.set_breakpoints(d.breakpoints)

        d.network_changed.connect(show_nodes)
        d.breakpoints_changed.connect(show)
        show_nodes()
        show()
        return panel

    def _make_cell_panel(self) -> QWidget:
        c, d = self.controller, self.document
        cell = panels.CellPanel(self)
        cell.focus_requested.connect(c.focus)
        cell.why_requested.connect(c.why)
        cell.back_requested.connect(c.why_back)
        cell.forward_requested.connect(c.why_forward)
        cell.jump_requested.connect(c.why_back)

        def show_run() -> None:
            cell.set_run(d.graph, d.trace, d.explained)

        def show_way() -> None:
            cell.set_way(c.way, c.can_go_back, c.can_go_forward)

        d.network_changed.connect(show_run)
        d.run_changed.connect(show_run)
        d.position_changed.connect(show_run)
        c.trail_changed.connect(show_way)
        self.fields.found_changed.connect(cell.set_fields)
        cell.set_fields(self.fields.found)
        self._add_keys_to(cell, "stepping")
        show_run()
        show_way()
        return cell

    def _commands(self) -> dict[str, Callable[[], None]]:
        c, t = self.controller, self.training
        return {
            "file.new": self.new_network,
            "file.lenet5": lambda: c.projects.open_shipped("lenet5"),
            "file.resnet_digits": lambda: c.projects.open_shipped("resnet-digits"),
            "file.open": self.ask_open,
            "file.save": self.save,
            "file.save_as": self.ask_save,
            "file.export": self.ask_export,
            "file.picture": self.ask_network_picture,
            "file.window_picture": self.ask_window_picture,
            "file.save_run": self.ask_save_run,
            "file.quit": self.quit,
            "edit.undo": c.undo,
            "edit.redo": c.redo,
            "edit.cut": lambda: self._copy(and_delete=True),
            "edit.copy": self._copy,
            "edit.paste": lambda: c.paste(QGuiApplication.clipboard().text()),
            "edit.delete": lambda: c.delete(self.document.selection),
            "edit.select_all": c.select_all,
            "edit.arrange": c.arrange,
            "edit.group": lambda: c.group(self.document.selection),
            "edit.ungroup": lambda: c.ungroup(self.document.selection),
            "edit.save_block": self.save_block,
            "edit.mute": lambda: c.mute(self.document.selection),
            **{f"edit.align_{side}": self._aligner(side) for side in SIDES},
            "edit.align_across": lambda: c.distribute("across"),
            "edit.align_down": lambda: c.distribute("down"),
            "edit.align_arrange": c.arrange_selection,
            "edit.settings": self.show_settings,
            "step.start": c.stepping.to_start,
            "step.back": c.stepping.back,
            "step.next": c.stepping.next,
            "step.finish": c.stepping.finish,
            "step.inside": self.look_inside,
            "step.predict": self._toggle_predict,
            "step.end": c.stepping.to_end,
            "step.play": lambda: c.stepping.play(None),
            "step.run_to": c.stepping.run_to,
            "step.breakpoint": self._toggle_breakpoint,
            "focus.why": self.ask_why,
            "focus.back": c.why_back,
            "focus.forward": c.why_forward,
            "focus.side": self._asker(c.other_side),
            "focus.reset": c.what_ifs.reset,
            "focus.watch": self.watch,
            "focus.check": lambda: c.checker.check(c.place),
            "focus.field": self._toggle_fields,
            "sample.previous": c.pictures.previous,
            "sample.next": c.pictures.next,
            "sample.draw": self.sample_bar.draw.click,
            "sample.open": self.ask_picture,
            "train.start": t.start_with_last_settings,
            "train.pause": t.toggle_pause,
            "train.stop": t.stop,
            "train.go_on": t.go_on,
            "train.restore": c.restore_weights,
            **{f"view.{w}": self._switcher(w) for w in WORKSPACES},
            "view.fold": lambda: c.folds.toggle(self.document.selection),
            "view.fold_all": c.folds.fold_all,
            "view.unfold_all": c.folds.unfold_all,
            "view.fit": self.canvas.fit,
            "view.zoom_in": lambda: self.canvas.set_zoom(self.canvas.zoom * 1.25),
            "view.zoom_out": lambda: self.canvas.set_zoom(self.canvas.zoom / 1.25),
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

    def _aligner(self, side: Side) -> Callable[[], None]:
        return lambda: self.controller.align(side)

    def _make_menus(self) -> None:
        for menu_id, title in MENUS:
            menu = self.menuBar().addMenu(tr(title))
            menu.setObjectName(f"menu.{menu_id}")
            menu.setToolTipsVisible(True)
            align: QMenu | None = None
            for action in self.actions_by_id.in_menu(menu_id):
                if action.objectName().startswith("edit.align_"):
                    align = align or menu.addMenu(self.tr("Align"))
                    align.setObjectName("menu.align")
                    align.addAction(action)
                else:
                    menu.addAction(action)
            if menu_id == "view":
                menu.addSeparator()
                for dock in self.docks.values():
                    menu.addAction(dock.toggleViewAction())
            if menu_id == "file":
                self._recent = menu.addMenu(self.tr("Open recent"))
                menu.insertMenu(self.actions_by_id["file.save"], self._recent)
                self._gallery = menu.addMenu(self.tr("Gallery"))
                self._gallery.setObjectName("menu.gallery")
                menu.insertMenu(self.actions_by_id["file.open"], self._gallery)
                self._gallery.aboutToShow.connect(self._fill_gallery)
                self._examples = menu.addMenu(self.tr("Examples to check by hand"))
                self._examples.setObjectName("menu.examples")
                menu.insertMenu(self.actions_by_id["file.open"], self._examples)
                self._examples.aboutToShow.connect(self._fill_examples)
                self._recent.aboutToShow.connect(self._fill_recent)
        for ids in (
            [f"view.{w}" for w in WORKSPACES],
            ["view.system", "view.light", "view.dark"],
        ):
            group = QActionGroup(self)
            for command_id in ids:
                group.addAction(self.actions_by_id[command_id])

    def _fill_recent(self) -> None:
        self._recent.clear()
        for name in self.settings["recent"]:
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
        return lambda: self.controller.projects.open_example(name)

    def _architecture_opener(self, name: str) -> Callable[[], None]:
        return lambda: self.controller.projects.open_architecture(name)

    def _opener(self, path: Path) -> Callable[[], None]:
        def open_it() -> None:
            self.controller.projects.open(path)

        return open_it

    def _make_toolbar(self) -> None:
        bar = QToolBar(self.tr("Main"), self)
        bar.setObjectName("main-toolbar")
        bar.setMovable(False)
        bar.setIconSize(QSize(theme.METRICS.icon, theme.METRICS.icon))
        self.addToolBar(bar)
        for ids in (
            ("file.open", "file.save", "edit.undo", "edit.redo"),
            (
                "step.start",
                "step.back",
                "step.next",
                "step.inside",
                "step.finish",
                "step.end",
                "step.play",
            ),
        ):
            for command_id in ids:
                bar.addAction(self.actions_by_id[command_id])
            bar.addSeparator()
        self.actions_by_id["step.next"].setIconText(self.tr("Next"))
        next_button = bar.widgetForAction(self.actions_by_id["step.next"])
        if isinstance(next_button, QToolButton):
            next_button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
            next_button.setObjectName("next-button")
        self.speed = QSlider(Qt.Orientation.Horizontal, self)
        self.speed.setObjectName("speed")
        self.speed.setRange(0, len(_SPEEDS) - 1)
        self.speed.setFixedWidth(theme.METRICS.strip_height * 2)
        self.speed.setPageStep(1)
        nearest = min(
            range(len(_SPEEDS)), key=lambda i: abs(_SPEEDS[i] - self.settings["play_speed"])
        )
        self.speed.setValue(nearest)
        self.speed.setAccessibleName(self.tr("Speed of playing"))
        self._speed_tip(nearest)
        self.speed.valueChanged.connect(self._speed_moved)
        self._speed_action = bar.addWidget(self.speed)
        spacer = QWidget(self)
        spacer.setSizePolicy(
            spacer.sizePolicy().Policy.Expanding, spacer.sizePolicy().Policy.Preferred
        )
        bar.addWidget(spacer)
        for workspace in WORKSPACES:
            bar.addAction(self.actions_by_id[f"view.{workspace}"])
        bar.addAction(self.actions_by_id["help.shortcuts"])
        self.status = QLabel(self)
        self.status.setContentsMargins(theme.METRICS.space_2, 0, 0, 0)
        self.statusBar().addWidget(self.status, 1)
        self.recording = Progress(self.tr("Making the animation"), self)
        self.statusBar().addPermanentWidget(self.recording)
        self.training_progress = Progress(self.tr("Training"), self, cancel=self.tr("Stop"))
        self.statusBar().addPermanentWidget(self.training_progress)
        self.training_progress.cancel_requested.connect(self.training.stop)
        self.training.progressed.connect(self.training_progress.set_progress)
        self.training.state_changed.connect(self._show_training_state)
        self._show_training_state(self.training.worker.state)
        self.recording.cancel_requested.connect(self.run_files.cancel)
        self.run_files.progressed.connect(self.recording.set_progress)
        self.run_files.ended.connect(self.recording.hide)
        self.statusBar().setSizeGripEnabled(False)

    def _show_training_state(self, state: str) -> None:
        going = state != "idle"
        if not going:
            self.training_progress.hide()
        self.actions_by_id["train.pause"].setEnabled(going)
        self.actions_by_id["train.stop"].setEnabled(going)

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        # In a narrow window the workspaces come before the speed, which is seldom changed.
        self._speed_action.setVisible(self.width() >= 28 * theme.METRICS.strip_height)

    def _speed_moved(self, index: int) -> None:
        self._speed_tip(index)
        self.controller.stepping.set_play_speed(_SPEEDS[index])

    def _speed_tip(self, index: int) -> None:
        self.speed.setToolTip(self.tr("{0:g} operations per second").format(_SPEEDS[index]))

    def _add_scoped_keys(self) -> None:
        """Keys that must not be stolen from buttons and text fields stay with their widgets."""
        self._add_keys_to(self.canvas, "canvas")
        for host in (self.canvas, self.timeline, self.inspector):
            self._add_keys_to(host, "stepping")

        self._answering = [
            self._answer_key(host, number)
            for host in (self.canvas, self.timeline, self.inspector, self.narration)
            for number in range(len(self.narration.choices))
        ]
        self._presenting = [
            self._make_shortcut(key, command.id, self)
            for command in COMMANDS
            for key in command.shortcuts
            if scope_of(command, key) == "presentation"
        ]
        for shortcut in self._presenting:
            shortcut.setContext(Qt.ShortcutContext.WindowShortcut)
        self._pad_away = QShortcut(QKeySequence(Qt.Key.Key_Escape), self)
        self._pad_away.activated.connect(self.sample_bar.close_pad)
        self._share_escape()

    def _share_escape(self) -> None:
        """Escape closes the drawing pad first, and then ends a presentation."""
        presenting = self.actions_by_id["view.presentation"].isChecked()
        drawing = self.sample_bar.drawing
        self._pad_away.setEnabled(drawing)
        for shortcut in self._presenting:
            taken = drawing and shortcut.key() == self._pad_away.key()
            shortcut.setEnabled(presenting and not taken)

    def _pad_toggled(self, on: bool) -> None:
        self._share_escape()
        if not on:
            self._take_keys_back()

    def _take_keys(self) -> None:
        """Single keys step again, without a click; a field that is typed in keeps the keyboard."""
        has = self.focusWidget()
        typing = isinstance(has, TYPED_IN) and has.isVisible() and has.isEnabled()
        if not typing:
            self.canvas.setFocus()

    def _take_keys_back(self) -> None:
        """A dialog of this window was closed: not every desktop gives the window the keyboard."""
        if QApplication.activeWindow() in (None, self):
            self.activateWindow()
        self._take_keys()

    def _focus_changed(self, _old: QWidget | None, now: QWidget | None) -> None:
        """What had the keyboard is gone, and nothing else got it."""
        if now is None and self.isActiveWindow():
            QTimer.singleShot(0, self, self._take_lost_keys)

    def _take_lost_keys(self) -> None:
        if self.isActiveWindow() and QApplication.focusWidget() is None:
            self._take_keys()

    def _answer_key(self, host: QWidget, number: int) -> QShortcut:
        """A digit answers while something is asked; else it is the host's own key."""
        shortcut = QShortcut(QKeySequence(str(number + 1)), host)
        shortcut.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
        shortcut.activated.connect(lambda: self.controller.stepping.answer(number))
        shortcut.setEnabled(False)
        return shortcut

    def _make_shortcut(self, key: str, command_id: str, host: QWidget) -> QShortcut:
        shortcut = QShortcut(QKeySequence(key), host)
        shortcut.activated.connect(self.actions_by_id[command_id].trigger)
        return shortcut

    def _add_keys_to(self, host: QWidget, scope: Scope) -> None:
        for command in COMMANDS:
            for key in command.shortcuts:
                if scope_of(command, key) != scope:
                    continue
                if command.id in ("edit.delete", "edit.select_all"):
                    continue  # the canvas has these keys itself
                shortcut = self._make_shortcut(key, command.id, host)
                shortcut.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)

    # ---- connections -----------------------------------------------------------------------

    def _connect_views(self) -> None:
        c, canvas = self.controller, self.canvas
        canvas.insert_requested.connect(c.insert_layer)
        canvas.insert_before_requested.connect(c.insert_before)
        canvas.fold_requested.connect(c.folds.fold)
        canvas.unfold_requested.connect(c.folds.unfold)
        canvas.fold_all_requested.connect(c.folds.fold_all)
        canvas.unfold_all_requested.connect(c.folds.unfold_all)
        canvas.group_requested.connect(c.group)
        canvas.mute_requested.connect(c.mute)
        canvas.ungroup_requested.connect(c.ungroup)
        canvas.rename_group_requested.connect(self._rename_block)
        canvas.add_requested.connect(c.add_layer)
        canvas.replace_requested.connect(c.replace_layer)
        canvas.connect_requested.connect(c.connect_tensor)
        canvas.disconnect_requested.connect(c.disconnect_tensor)
        canvas.delete_requested.connect(c.delete)
        canvas.move_requested.connect(c.move)
        canvas.select_requested.connect(c.select)
        canvas.duplicate_requested.connect(c.duplicate)
        canvas.focus_requested.connect(self._cell_chosen)
        canvas.fix_requested.connect(c.apply_fix)
        canvas.run_to_requested.connect(c.stepping.run_to)
        canvas.next_requested.connect(c.stepping.next)
        canvas.back_requested.connect(c.stepping.back)
        canvas.open_requested.connect(self._open_node)
        self.timeline.position_requested.connect(c.stepping.go_to)
        self.timeline.breakpoint_requested.connect(c.stepping.toggle_operation)
        canvas.breakpoint_requested.connect(c.stepping.toggle_node)
        self.timeline.play_requested.connect(lambda: c.stepping.play(True))
        self.narration.answer_requested.connect(c.stepping.answer)
        self.narration.reveal_requested.connect(c.stepping.next)
        c.stepping.question_changed.connect(self._show_position)
        self.narration.crumb_requested.connect(self._go_to_crumb)
        self.narration.link_requested.connect(self._focus_and_explain)
        self.inspector.focus_requested.connect(self._cell_chosen)
        for pair in (self.inspector.output, self.inspector.source, self.inspector.input):
            pair.forward_grid.selected.connect(self._side_asker("forward"))
            pair.gradient_grid.selected.connect(self._side_asker("gradient"))
        self.inspector.weight_requested.connect(self._focus_and_explain)
        self._connect_grids(self.inspector)
        self.inspector.gain_requested.connect(c.what_ifs.set_gain)
        self.inspector.value_requested.connect(c.what_ifs.set_pixel)
        self.what_if.reset_requested.connect(c.what_ifs.reset)
        c.projects.replacing.connect(lambda: self.open_sizes.set_question(None))
        c.projects.sizes_asked.connect(self.open_sizes.set_question)
        self.open_sizes.open_requested.connect(c.projects.open_sized)
        self.open_sizes.kept.connect(lambda asked: c.projects.remember_sizes(asked, asked.used))
        self.inspector.scale_mode_requested.connect(self._set_scale_mode)
        self.inspector.set_scale_mode(self.settings["scale_mode"])
        self.properties.change_requested.connect(c.change_layer)
        self.properties.rename_requested.connect(c.rename)
        self.properties.fix_requested.connect(c.apply_fix)
        self.sample_bar.previous_requested.connect(c.pictures.previous)
        self.sample_bar.next_requested.connect(c.pictures.next)
        self.sample_bar.target_requested.connect(self._set_target)
        self.sample_bar.drawing_requested.connect(c.pictures.draw)
        self.sample_bar.pad_toggled.connect(self._pad_toggled)
        c.project_replaced.connect(self._project_replaced)
        c.layouts.aspect = self._canvas_aspect
        c.notice.connect(self._show_notice)
        c.stepping.playing_changed.connect(self._show_playing)
        c.arranged.connect(self.canvas.fit)
        c.undo_stack.canUndoChanged.connect(self.actions_by_id["edit.undo"].setEnabled)
        c.undo_stack.canRedoChanged.connect(self.actions_by_id["edit.redo"].setEnabled)
        c.undo_stack.undoTextChanged.connect(self._name_undo)
        c.undo_stack.redoTextChanged.connect(self._name_undo)
        self.actions_by_id["edit.undo"].setEnabled(False)
        self.actions_by_id["focus.reset"].setEnabled(False)
        self.actions_by_id["edit.redo"].setEnabled(False)

    def _project_replaced(self) -> None:
        self.sample_bar.close_pad()
        self.inspector.scroll_to_top()
        QTimer.singleShot(0, self, self._take_keys)  # when the forms show the new network
        if self.document.operations:  # not the first, which the hint speaks of
            self._end_hint()

    def _connect_document(self) -> None:
        d = self.document
        d.network_changed.connect(self._show_network)
        d.folded_changed.connect(self._show_folded)
        d.parameters_changed.connect(self._show_selected)
        d.run_changed.connect(self._show_run)
        d.position_changed.connect(self._show_position)
        d.selection_changed.connect(self._show_selected)
        d.focus_changed.connect(self._show_focus)
        self.fields.shown_changed.connect(self.canvas.set_fields)
        self.fields.shown_changed.connect(self.inspector.set_fields)
        self.actions_by_id["focus.field"].setChecked(self.fields.on)
        d.breakpoints_changed.connect(self._show_breakpoints)
        d.what_if_changed.connect(self._show_what_if)
        self.controller.trail_changed.connect(self._show_trail)
        self._show_trail()
        d.sample_changed.connect(self._show_sample)
        d.sample_changed.connect(self._show_what_if)
        d.identity_changed.connect(self._show_identity)

    def _show_folded(self) -> None:
        d = self.document
        self.canvas.set_network(d.graph, d.layout, d.inference, d.costs, d.folded)

    def _rename_block(self, path: str) -> None:
        """A block is renamed where its name stands: in the outline."""
        outline = self.panel("outline")
        self.docks["outline"].show()
        self.docks["outline"].raise_()
        if isinstance(outline, panels.Outline):
            outline.edit_group(path)

    def _show_network(self) -> None:
        d = self.document
        self._show_folded()
        self._show_selected()
        total = sum(cost.parameters for cost in d.costs.values())
        work = sum(cost.multiply_adds for cost in d.costs.values())
        text = self.tr("{0:,} parameters · {1:,} multiply-adds per picture").format(total, work)
        if d.inference.errors:
            text += self.tr(" · {0} to mend").format(len(d.inference.errors))
        self.status.setText(text)

    def _show_run(self) -> None:
        d = self.document
        self.timeline.set_operations(d.operations)
        self._show_touched()
        self._show_breakpoints()
        self._show_position()

    def _show_what_if(self) -> None:
        d = self.document
        self.what_if.set_what_if(d.graph, d.gains, d.pixels)
        self.inspector.set_gains(d.gains)
        self.actions_by_id["focus.reset"].setEnabled(bool(d.gains or d.pixels))

    def _show_breakpoints(self) -> None:
        """Dots on the ticks of the timeline and on the cards of the canvas."""
        d = self.document
        on: set[int] = set()
        off: set[int] = set()
        for point in d.breakpoints:
            (on if point.on else off).update(point.operations(d.operations))
        self.timeline.set_breakpoints(frozenset(on), frozenset(off - on))
        marks: dict[str, StopMark] = {}
        for point in d.breakpoints:
            if point.kind == "node" and marks.get(point.node) != "on":
                marks[point.node] = "on" if point.on else "off"
        self.canvas.set_breakpoints(marks)

    def _toggle_breakpoint(self) -> None:
        """At the tick that was carried out last where the timeline has the keyboard."""
        d = self.document
        if self.timeline.hasFocus() and d.step is not None:
            self.controller.stepping.toggle_operation(d.position - 1)
        else:
            self.controller.stepping.toggle_here()

    def _show_position(self) -> None:
        d = self.document
        computed = len(d.trace) if d.trace else 0
        self.timeline.set_position(d.position, computed)
        self.canvas.set_run(d.trace, d.position)
        sheet = self.controller.stepping.sheet
        self.canvas.set_current(d.step if sheet is None else sheet.step)
        assumed = d.run is not None and d.run.assumed_target
        asked = self.controller.stepping.question
        if asked is not None and d.trace is not None:
            step = d.trace.steps[asked.operation]
            self.canvas.set_current(step)
            told = Sentence(asked.text, step.phase)
        elif sheet is not None and d.inside is not None:
            told = inside_sentence(sheet, d.inside)
            told = Sentence((*d.answered, *told.parts), told.phase)
        elif d.trace is None and d.structure_only and not d.inference.errors:
            told = Sentence((Text(d.structure_text()),))
        else:
            told = sentence(
                d.graph,
                d.trace,
                d.position,
                d.graph.labels,
                assumed=assumed,
                broken=tuple(d.inference.errors),
                stop=d.stop,
                answered=d.answered,
            )
        self.narration.set_sentence(told)
        self.narration.set_question(asked)
        for shortcut in self._answering:
            shortcut.setEnabled(asked is not None)
        self._show_way_in()
        self._show_inspected()
        self._show_sample()
        running = bool(d.operations)
        for command_id, on in (
            ("step.start", d.position > 0),
            ("step.back", d.position > 0 or sheet is not None),
            ("step.next", d.position < len(d.operations)),
            ("step.inside", running),
            ("step.finish", d.position < len(d.operations)),
            ("step.end", d.position < len(d.operations)),
            ("step.play", running),
        ):
            self.actions_by_id[command_id].setEnabled(on)

    def _show_way_in(self) -> None:
        """The call stack: network, blocks, layer, and the place inside of it."""
        d, sheet = self.document, self.controller.stepping.sheet
        asked = self.controller.stepping.question
        if asked is not None:
            node = d.operations[asked.operation].node
        else:
            node = sheet.node.id if sheet is not None else d.step.node if d.step else ""
        self.narration.set_crumbs(crumbs(d.title, node, sheet, d.inside))
        finish = self.actions_by_id["step.finish"]
        finish.setText(finish_text(d.inside.level if d.inside is not None else None))

    def _go_to_crumb(self, crumb: Crumb) -> None:
        """A block or layer is shown; a level inside is what steps go by from now on."""
        d = self.document
        if crumb.level is not None:
            self.controller.stepping.set_level(crumb.level)
        elif not crumb.path:
            self.canvas.fit()
        else:
            inside = {n for n in d.known_ids if (n + "/").startswith(crumb.path + "/")}
            self.controller.select(inside)
            self.canvas.zoom_to(inside)

    def _training_step(self) -> int:
        """How many steps the weights of the document have been trained for."""
        return self.training.reports[-1].step if self.training.reports else 0

    def watch(self) -> None:
        """Follow the selected number, else the gradient of the selected layer."""
        d, place = self.document, self.controller.place
        if place is not None:
            forward = place.direction == "forward"
            wanted = Watch(place.source.node, "value" if forward else "gradient", place.source)
        elif len(d.selection) == 1:
            wanted = Watch(next(iter(d.selection)), "gradient norm")
        else:
            text = self.tr("Click a cell or select a layer first, then watch it.")
            self._show_notice(Notice("info", text))
            return
        if not self.watches.add(wanted):
            text = self.tr("No more than {0} numbers are watched at once.").format(
                len(self.watches.lines)
            )
            self._show_notice(Notice("info", text))
            return
        if not self.actions_by_id["view.presentation"].isChecked():
            self.docks["watches"].show()
            self.docks["watches"].raise_()

    def _toggle_predict(self) -> None:
        self.controller.stepping.set_asks(self.actions_by_id["step.predict"].isChecked())

    def look_inside(self) -> None:
        """Into the operation, and its panel to the front."""
        self.controller.stepping.look_inside()
        presenting = self.actions_by_id["view.presentation"].isChecked()
        if self.document.inside is not None and not presenting:
            self.docks["inside"].show()
            self.docks["inside"].raise_()

    def _inspected(self) -> str:
        """The node that the inspector shows: the selected one, else the one just computed."""
        d = self.document
        if len(d.selection) == 1:
            return next(iter(d.selection))
        block = self._selected_block()
        if block is not None:
            return block.outputs[0][0]
        asked = self.controller.stepping.question
        if asked is not None:
            return d.operations[asked.operation].node
        if d.step is not None:
            return d.step.node
        return d.graph.inputs[0].id if d.graph.inputs else ""

    def _selected_block(self) -> folding.Block | None:
        """The folded block whose card alone is selected."""
        view, selection = self.document.view, self.document.selection
        cards = view.cards(selection)
        block = view.blocks.get(next(iter(cards))) if len(cards) == 1 else None
        return block if block is not None and selection == set(block.members) else None

    def _show_inspected(self) -> None:
        d = self.document
        self.inspector.set_run(d.graph, d.inference, d.trace, d.position, self._inspected(), 0)
        self.inspector.set_focus(d.focus)

    def _show_selected(self) -> None:
        d = self.document
        self.canvas.set_selection(d.selection)
        if self._properties_seen:
            self._show_properties()
        self._show_inspected()

    def _properties_shown(self, visible: bool) -> None:
        """A form that is not in sight is made when it comes to the front: it takes a while."""
        self._properties_seen = visible
        if visible:
            self._show_properties()

    def _show_properties(self) -> None:
        d = self.document
        node_id = next(iter(d.selection), "") if len(d.selection) == 1 else ""
        node = d.graph.by_id.get(node_id)
        block = self._selected_block()
        if block is not None:
            self._show_block(block)
            return
        loss = next((x for x in d.graph.losses if x.id == node_id), None)
        source = next((x for x in d.graph.inputs if x.id == node_id), None)
        if loss is not None:
            entering = d.inference.specs.get(loss.input)
            self.properties.set_end(
                node_id,
                loss.function.title,
                type(loss.function).__doc__ or "",
                {self.tr("Input"): str(entering) if entering else self.tr("not known")},
                d.inference.errors.get(node_id),
            )
        elif source is not None:
            self.properties.set_end(
                node_id,
                node_id,
                self.tr("Input of the network: the picture."),
                {self.tr("Output"): "×".join(map(str, source.shape))},
                d.inference.errors.get(node_id),
            )
        elif node is None:
            self.properties.set_node(None, (), (), None, None)
        else:
            inputs = tuple(
                d.inference.specs[r]
                for r in node.inputs
                if r is not None and r in d.inference.specs
            )
            outputs = tuple(s for r, s in d.inference.specs.items() if r[0] == node_id)
            self.properties.set_node(
                node,
                inputs,
                outputs,
                d.costs.get(node_id),
                d.inference.errors.get(node_id),
                d.name_in_file(node_id),
            )

    def _show_block(self, block: folding.Block) -> None:
        d = self.document
        costs = [d.costs[name] for name in block.members if name in d.costs]
        sent = [str(d.inference.specs[ref]) for ref in block.outputs if ref in d.inference.specs]
        errors = (d.inference.errors.get(name) for name in block.members)
        self.properties.set_end(
            block.path,
            self.tr("Block {0}").format(block.path),
            self.tr("Folded layers: a double click on the card, Enter or T opens them."),
            {
                self.tr("Layers"): str(len(block.members)),
                self.tr("Parameters"): f"{sum(c.parameters for c in costs):,}",
                self.tr("Multiply-adds"): f"{sum(c.multiply_adds for c in costs):,}",
                self.tr("Output"): ", ".join(sent) or self.tr("not known"),
            },
            next((error for error in errors if error is not None), None),
        )

    def _show_focus(self) -> None:
        self.canvas.set_focus(self.document.focus)
        self.narration.set_focus(self.document.focus)
        self.inspector.set_focus(self.document.focus)

    def _toggle_fields(self) -> None:
        self.fields.toggle()
        self.actions_by_id["focus.field"].setChecked(self.fields.on)

    def _show_trail(self) -> None:
        place = self.controller.place
        asked = place.source if place is not None else None
        self.inspector.set_weight(asked if isinstance(asked, Weight) else None)
        self._show_touched()
        self.actions_by_id["focus.back"].setEnabled(self.controller.can_go_back)
        self.actions_by_id["focus.forward"].setEnabled(self.controller.can_go_forward)

    def _show_touched(self) -> None:
        """Which ticks of the timeline wrote or read what is asked about."""
        d = self.document
        self.timeline.set_touched(touching(d.graph, d.operations, self.controller.place))

    def ask_why(self) -> None:
        """Walk to the term that contributed most, and show the number that it leads to."""
        self._asker(self.controller.why)()

    def _asker(self, ask: Callable[[], None]) -> Callable[[], None]:
        def run() -> None:
            ask()
            # on a projector the canvas stands alone, and the ring on it moves
            if not self.actions_by_id["view.presentation"].isChecked():
                self.docks["cell"].show()
                self.docks["cell"].raise_()

        return run

    def _side_asker(self, side: Direction) -> Callable[[object], None]:
        def ask(cell: object) -> None:
            if isinstance(cell, Cell):
                self.controller.ask_side(cell, side)

        return ask

    def _cell_chosen(self, cell: object) -> None:
        """A cell was clicked: it answers what is asked, where it is one of the choices."""
        asked = self.controller.stepping.question
        if asked is not None and cell in asked.cells:
            self.controller.stepping.answer(asked.cells.index(cell))
        elif self.sender() is self.canvas:
            self._focus_and_explain(cell)
        else:
            self.controller.focus(cell)

    def _focus_and_explain(self, target: object) -> None:
        """A number was chosen outside the panels beside: say where it came from, if there."""
        self.controller.focus(target)
        if isinstance(target, Cell | Place) and not self.docks["cell"].isHidden():
            self.docks["cell"].raise_()

    def _show_sample(self) -> None:
        d = self.document
        self.sample_bar.set_labels(d.graph.labels)
        functions = [loss.function for loss in d.graph.losses]
        self.sample_bar.set_classifies(
            not functions or any(not isinstance(f, Total) for f in functions)
        )
        self.sample_bar.set_drawing(d.sample.drawing if d.sample is not None else None)
        if d.sample is None:
            self.sample_bar.set_sample(None, None, None, "")
            return
        self.sample_bar.set_sample(
            d.sample.image, d.sample.label, self._prediction(), d.sample.origin
        )
        self.sample_bar.set_target(d.sample.label)
        channels = d.preprocessing.channels if d.preprocessing else 0
        self.sample_bar.draw.setEnabled(channels == 1)

    def _prediction(self) -> tuple[int, float] | None:
        """(class, share) that the network gave, once its output is computed at the position."""
        d = self.document
        if d.trace is None or not d.graph.losses:
            return None
        logits = d.trace.look("value", d.graph.losses[0].input, d.position)
        if logits is None or logits.ndim != 2 or not all(map(isfinite, logits[0])):
            return None
        from engine.losses import softmax

        shares = softmax(logits)[0]
        best = int(shares.argmax())
        return best, float(shares[best])

    def _show_identity(self) -> None:
        d = self.document
        self.setWindowTitle(f"{d.title}[*] — Gradient Flow Explorer")
        self.setWindowModified(d.modified)
        if d.modified or d.path is not None:
            self._end_hint()  # it speaks of the network that the program came with

    def _hint_followed(self) -> None:
        self.settings.set("hint_seen", True)
        self._end_hint()

    def _end_hint(self) -> None:
        self._hint_over = True
        self.hint.hide()

    def _show_notice(self, notice: Notice) -> None:
        self.notices.show_notice(notice.level, notice.text)

    def _show_playing(self, on: bool) -> None:
        action = self.actions_by_id["step.play"]
        action.setChecked(on)
        action.setIcon(theme.icon("pause" if on else "play"))

    def _name_undo(self, _text: str = "") -> None:
        stack = self.controller.undo_stack
        undo, redo = self.actions_by_id["edit.undo"], self.actions_by_id["edit.redo"]
        undo.setText(self.tr("Undo {0}").format(stack.undoText()).strip())
        redo.setText(self.tr("Redo {0}").format(stack.redoText()).strip())

    def _set_scale_mode(self, mode: str) -> None:
        self.settings.set("scale_mode", mode)
        self.inspector.set_scale_mode(self.settings["scale_mode"])

    def _set_target(self, chosen: int) -> None:
        self.controller.pictures.set_target(chosen if chosen >= 0 else None)

    def _open_node(self, node_id: str) -> None:
        self.controller.select({node_id})
        self.docks["inspector"].show()
        self.docks["inspector"].raise_()

    def _canvas_aspect(self) -> float:
        """The canvas's width by its height, so that a new layout fills it."""
        size = self.canvas.viewport().size()
        return size.width() / max(1, size.height())

    # ---- files -----------------------------------------------------------------------------

    def _ask(self, dialog_title: str, pattern: str, saving: bool, name: str = "") -> Path | None:
        start = str(Path(self.settings["last_folder"] or Path.home()) / name)
        ask = QFileDialog.getSaveFileName if saving else QFileDialog.getOpenFileName
        chosen, _ = ask(self, dialog_title, start, pattern)
        self._take_keys_back()
        if not chosen:
            return None
        self.settings.set("last_folder", str(Path(chosen).parent))
        return Path(chosen)

    def _copy(self, *, and_delete: bool = False) -> None:
        selection = self.document.selection
        text = self.controller.copy(selection)
        if not text:
            self._show_notice(Notice("info", self.tr("Select layers first: they are copied.")))
            return
        QGuiApplication.clipboard().setText(text)
        if and_delete:
            self.controller.delete(selection)

    def save_block(self) -> None:
        """Keep the selection in the palette, where its name can be typed at once."""
        if name := self.controller.save_block(self.document.selection):
            palette = self.panel("layers")
            self.docks["layers"].show()
            self.docks["layers"].raise_()
            if isinstance(palette, panels.Palette):
                palette.edit_own_block(name)

    def new_network(self) -> None:
        """Start with an empty network, where layers are at hand."""
        self.controller.projects.new()
        self.use_workspace("build")

    def ask_open(self) -> None:
        """Let the user choose a project or an ONNX file to open."""
        pattern = self.tr("Networks and runs (*{0} *.onnx *{1})").format(SUFFIX, recording.SUFFIX)
        self.sample_bar.close_pad()  # it would stand over the dialog
        if path := self._ask(self.tr("Open a project"), pattern, saving=False):
            self.controller.projects.open(path)

    def save(self) -> None:
        """Save where the project is from, or ask."""
        if self.document.path is None:
            self.ask_save()
        else:
            self.controller.projects.save(self.document.path)

    def ask_save(self) -> None:
        """Let the user choose where to save."""
        pattern = self.tr("Projects (*{0})").format(SUFFIX)
        name = f"{self.document.title}{SUFFIX}"
        if path := self._ask(self.tr("Save the project"), pattern, saving=True, name=name):
            self.controller.projects.save(path)

    def ask_export(self) -> None:
        """Let the user choose what is exported, and where to."""
        if self._export_dialog is None:
            self._export_dialog = ExportDialog(self)
            self.export.attach(self._export_dialog)
            self._export_dialog.finished.connect(self._take_keys_back)
        self._export_dialog.show()
        self._export_dialog.raise_()
        self._export_dialog.activateWindow()
        self._export_dialog.form.setFocus()

    def ask_network_picture(self) -> None:
        """Let the user choose where a picture of the network goes."""
        name = f"{self.document.title}.png"
        kinds = self.tr("Pictures (*.png *.svg)")
        title = self.tr("Save picture of the network")
        if path := self._ask(title, kinds, saving=True, name=name):
            self.save_network_picture(path if path.suffix else path.with_suffix(".png"))

    def ask_save_run(self) -> None:
        """Let the user choose where the run goes, and by the name as what."""
        kinds = {
            recording.SUFFIX: self.tr("Run, to be opened again (*{0})").format(recording.SUFFIX),
            ".txt": self.tr("Table of its steps (*.txt)"),
            ".gif": self.tr("Animated GIF (*.gif)"),
        }
        start = str(Path(self.settings["last_folder"] or Path.home()) / self.document.title)
        patterns = ";;".join(kinds.values())
        chosen, kind = QFileDialog.getSaveFileName(self, self.tr("Save the run"), start, patterns)
        self._take_keys_back()
        if not chosen:
            return
        path = Path(chosen)
        self.settings.set("last_folder", str(path.parent))
        if path.suffix.lower() not in kinds:  # a name without one is of the kind that was chosen
            suffix = next((s for s, text in kinds.items() if text == kind), recording.SUFFIX)
            path = path.with_name(path.name + suffix)
            if path.exists():
                text = self.tr("{0} exists already. Choose it by its full name to replace it.")
                self._say("warning", text.format(path.name))
                return
        self.run_files.save(path, 1 / max(0.1, self.settings["play_speed"]))

    def ask_window_picture(self) -> None:
        """Let the user choose where a picture of the window goes."""
        made = self.grab().toImage()  # as it is now, without a dialog over it
        self.ask_picture_of(made, self.document.title)

    def ask_picture_of(self, made: object, name: str) -> None:
        """Let the user choose where a picture that is drawn already goes."""
        title, kinds = self.tr("Save picture"), self.tr("Pictures (*.png)")
        name = f"{name.replace('/', ' ')}.png"
        path = self._ask(title, kinds, saving=True, name=name)
        if path is not None and isinstance(made, QImage):
            path = path if path.suffix else path.with_suffix(".png")
            self._writer.run(lambda: picture.write_png(made, path), self._written)

    def save_network_picture(self, path: Path) -> None:
        """Draw the network and write it beside the window's work; says so, or why not."""
        try:
            write = picture.writer(self.canvas.network, path, self.document.title, PICTURE_SCALE)
        except picture.PictureError as error:
            self._show_notice(Notice("error", str(error)))
            return

        self._writer.run(write, self._written)

    def _written(self, result: Any) -> None:
        if isinstance(result, Path):
            self._say("success", self.tr("Saved {0}.").format(result.name))
        else:
            self._say("error", str(result) or type(result).__name__)

    def _say(self, level: Level, text: str) -> None:
        self._show_notice(Notice(level, text))

    def ask_picture(self) -> None:
        """Let the user choose a picture for the network."""
        kinds = " ".join(f"*{s}" for s in PICTURE_SUFFIXES)
        pattern = self.tr("Pictures ({0})").format(kinds)
        if path := self._ask(self.tr("Open a picture"), pattern, saving=False):
            self.controller.pictures.open(path)

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        if any(url.isLocalFile() for url in event.mimeData().urls()):
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent) -> None:
        for url in event.mimeData().urls():
            path = Path(url.toLocalFile())
            if path.suffix.lower() in PICTURE_SUFFIXES:
                self.controller.pictures.open(path)
            else:
                self.controller.projects.open(path)
            break

    def quit(self) -> None:
        """Close the window, as its button does."""
        self.close()

    # ---- view ------------------------------------------------------------------------------

    def use_workspace(self, name: str) -> None:
        """Show the panels of a workspace; the document does not change. Ends a presentation."""
        workspace = WORKSPACES[name]
        self.settings.set("workspace", name)
        presentation = self.actions_by_id["view.presentation"]
        if presentation.isChecked():
            presentation.trigger()  # comes back here for the panels
            return
        self.actions_by_id[f"view.{name}"].setChecked(True)
        self.actions_by_id["step.predict"].setChecked(self.controller.stepping.asks)
        followed = {"watches"} if name == "train" and self.watches.lines else set()
        for panel, dock in self.docks.items():
            dock.setVisible(panel in workspace.panels or panel in followed)
        for panel in workspace.front:
            self.panel(panel)
            self.docks[panel].raise_()
        self._take_keys()
        QTimer.singleShot(0, self, self._size_docks)

    def _size_docks(self) -> None:
        h, v = Qt.Orientation.Horizontal, Qt.Orientation.Vertical
        side = max(320, self.width() * 3 // 10)
        rights = [
            self.docks[n]
            for n in ("inspector", "cell", "inside", "paths", "properties", "training")
        ]
        self.resizeDocks(rights, [side] * len(rights), h)
        left = 6 * theme.METRICS.strip_height  # a layer's name, and its size beside it
        self.resizeDocks([self.docks["layers"], self.docks["outline"]], [left, left], h)
        self.resizeDocks([self.docks["layers"], self.docks["outline"]], [320, 180], v)
        problems = self._made.get("problems")
        empty = isinstance(problems, panels.Problems) and problems.empty
        build = theme.METRICS.strip_height if empty else LOW_PANEL
        low = {"step": 110, "learn": 110, "build": build}.get(self.settings["workspace"], 240)
        names = ("timeline", "breakpoints", "watches", "flow", "problems")
        self.resizeDocks([self.docks[n] for n in names], [low] * len(names), v)

    def _size_problems(self, empty: bool) -> None:
        """A panel with nothing in it takes little room; one that was made larger stays so."""
        dock = self.docks["problems"]
        low, high = theme.METRICS.strip_height, LOW_PANEL
        if dock.isVisible() and dock.height() <= high:
            self.resizeDocks([dock], [low if empty else high], Qt.Orientation.Vertical)

    def toggle_presentation(self) -> None:
        """Canvas, answer and narration only, light and large; again for the way back."""
        on = self.actions_by_id["view.presentation"].isChecked()
        theme.theme().set_presentation(on)
        self._share_escape()
        for bar in self.findChildren(QToolBar):
            bar.setVisible(not on)
        self.menuBar().setVisible(not on)
        self.statusBar().setVisible(not on)
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

    def _set_theme(self, mode: Any) -> None:
        self.settings.set("theme", mode)
        theme.set_mode(mode)
        self.actions_by_id[f"view.{mode}"].setChecked(True)

    def _theme_changed(self) -> None:
        for command in COMMANDS:
            if command.icon:
                self.actions_by_id[command.id].setIcon(theme.icon(command.icon))

    def find_command(self) -> None:
        """The box that runs every command by its name."""
        places = self.document.known_ids | folding.groups(self.document.graph).keys()
        box = CommandBox(self.actions_by_id, self, sorted(places))
        box.layer_requested.connect(self.controller.append_layer)
        box.block_requested.connect(self.controller.append_block)
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

    def show_settings(self) -> None:
        """The dialog of the settings; what is changed in it counts at once."""
        from explorer.settings_dialog import SettingsDialog

        dialog = self.findChild(SettingsDialog) or SettingsDialog(self.settings, self)
        dialog.show()
        dialog.raise_()
        dialog.activateWindow()

    def _setting_changed(self, name: str) -> None:
        """What the dialog changed is shown at once."""
        value, actions = self.settings[name], self.actions_by_id
        if name == "theme":
            theme.set_mode(value)
            actions[f"view.{value}"].setChecked(True)
        elif name == "play_speed":
            nearest = min(range(len(_SPEEDS)), key=lambda i: abs(_SPEEDS[i] - value))
            with QSignalBlocker(self.speed):
                self.speed.setValue(nearest)
            self.speed.setToolTip(self.tr("{0:g} operations per second").format(value))
            self.controller.stepping.set_play_speed(value)
        elif name == "receptive_field":
            actions["focus.field"].setChecked(value)
            self.fields.shown_changed.emit(self.fields.shown)
        elif name == "predict":
            actions["step.predict"].setChecked(self.controller.stepping.asks)
        elif name == "scale_mode":
            self.inspector.set_scale_mode(value)

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

    # ---- the window itself -----------------------------------------------------------------

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

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        if not event.spontaneous():  # panels that were sized for another window fit this one
            QTimer.singleShot(0, self, self._size_docks)

    def closeEvent(self, event: QCloseEvent) -> None:
        geometry = base64.b64encode(self.saveGeometry().data()).decode()
        self.settings.set("windows", {"geometry": geometry})
        self.training.close()
        self.export.close()
        self.paths.close()
        self.run_files.close()
        self._writer.close()
        self.controller.close()
        event.accept()
