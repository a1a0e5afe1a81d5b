"""Who has the keyboard, and the keys that must not be stolen from buttons and text fields."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from PySide6.QtCore import QObject, Qt, QTimer
from PySide6.QtGui import QKeySequence, QShortcut
from PySide6.QtWidgets import (
    QAbstractSpinBox,
    QApplication,
    QLineEdit,
    QMainWindow,
    QPlainTextEdit,
    QTextEdit,
    QWidget,
)
from shiboken6 import isValid

from explorer.canvas import Canvas
from explorer.commands import COMMANDS, Actions, Scope, scope_of
from explorer.panels import SampleBar

TYPED_IN = (QLineEdit, QAbstractSpinBox, QPlainTextEdit, QTextEdit)
"""What keeps the keyboard while a network is opened or a workspace switched."""


class Keyboard(QObject):
    """Single keys belong to the canvas and the views of the run, and come back to the canvas."""

    def __init__(
        self, window: QMainWindow, canvas: Canvas, sample_bar: SampleBar, actions: Actions
    ) -> None:
        super().__init__(window)
        self._window, self._canvas, self._actions = window, canvas, actions
        self._sample_bar = sample_bar
        self._answering: list[QShortcut] = []
        self._presenting = [
            self._make_shortcut(key, command.id, window)
            for command in COMMANDS
            for key in command.shortcuts
            if scope_of(command, key) == "presentation"
        ]
        for shortcut in self._presenting:
            shortcut.setContext(Qt.ShortcutContext.WindowShortcut)
        self._pad_away = QShortcut(QKeySequence(Qt.Key.Key_Escape), window)
        self._pad_away.activated.connect(sample_bar.close_pad)
        self.share_escape()
        sample_bar.pad_toggled.connect(self._pad_toggled)
        if isinstance(application := QApplication.instance(), QApplication):
            application.focusChanged.connect(self._focus_changed)

    # ---- keys ------------------------------------------------------------------------------

    def add_keys(self, host: QWidget, scope: Scope) -> None:
        """The keys of this scope work while ``host`` or something in it has the keyboard."""
        for command in COMMANDS:
            for key in command.shortcuts:
                if scope_of(command, key) != scope:
                    continue
                if command.id in ("edit.delete", "edit.select_all"):
                    continue  # the canvas has these keys itself
                shortcut = self._make_shortcut(key, command.id, host)
                shortcut.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)

    def add_answers(
        self, hosts: Iterable[QWidget], count: int, answer: Callable[[int], None]
    ) -> None:
        """Digits answer while something is asked; else they are the hosts' own keys."""
        self._answering += [
            self._answer_key(host, number, answer) for host in hosts for number in range(count)
        ]

    def set_answering(self, on: bool) -> None:
        """Whether something is asked."""
        for shortcut in self._answering:
            shortcut.setEnabled(on)

    def _answer_key(self, host: QWidget, number: int, answer: Callable[[int], None]) -> QShortcut:
        shortcut = QShortcut(QKeySequence(str(number + 1)), host)
        shortcut.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
        shortcut.activated.connect(lambda: answer(number))
        shortcut.setEnabled(False)
        return shortcut

    def _make_shortcut(self, key: str, command_id: str, host: QWidget) -> QShortcut:
        shortcut = QShortcut(QKeySequence(key), host)
        shortcut.activated.connect(self._actions[command_id].trigger)
        return shortcut

    def share_escape(self) -> None:
        """Escape closes the drawing pad first, and then ends a presentation."""
        presenting = self._actions["view.presentation"].isChecked()
        drawing = self._sample_bar.drawing
        self._pad_away.setEnabled(drawing)
        for shortcut in self._presenting:
            taken = drawing and shortcut.key() == self._pad_away.key()
            shortcut.setEnabled(presenting and not taken)

    def _pad_toggled(self, on: bool) -> None:
        self.share_escape()
        if not on:
            self.take_back()

    # ---- who has it ------------------------------------------------------------------------

    def take(self) -> None:
        """Single keys step again, without a click; a field that is typed in keeps the keyboard."""
        has = self._window.focusWidget()
        typing = isinstance(has, TYPED_IN) and has.isVisible() and has.isEnabled()
        if isinstance(has, (QTextEdit, QPlainTextEdit)) and has.isReadOnly():
            typing = False
        if not typing:
            self._canvas.setFocus()

    def take_back(self) -> None:
        """A dialog of this window was closed: not every desktop gives the window the keyboard."""
        if QApplication.activeWindow() in (None, self._window):
            self._window.activateWindow()
        self.take()

    def _focus_changed(self, _old: QWidget | None, now: QWidget | None) -> None:
        """What had the keyboard is gone, and nothing else got it."""
        if now is None and isValid(self._window) and self._window.isActiveWindow():
            QTimer.singleShot(0, self, self._take_lost_keys)

    def _take_lost_keys(self) -> None:
        if self._window.isActiveWindow() and QApplication.focusWidget() is None:
            self.take()
